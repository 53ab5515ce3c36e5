"""Evaluates a log larger than memory, then compares rows per second with obp on a size obp can hold.

    python benchmarks/evaluation.py [--rows 10000000]

1. Writes a synthetic log (K = 4 arms, d = 75, Parquet) and evaluates every fixed model and the uniform
   policy with SNIPS and DR, on all cores. Memory is the largest sum of resident sets of this process and all
   its workers, sampled while they work. Exits with 1 above 2 GiB, or when the truth, which is known, is
   outside ±4 standard errors of either estimator.
2. The same on a Dask cluster of two worker processes: the figures must be equal to the last digit.
3. obp (its IPS, SNIPS and DR on arrays in memory, given the reward model's predictions) beside our own
   estimators on the same arrays: rows per second, one thread each.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script, this folder comes first on the path, and http.py would hide the standard library's http.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.progress import Progress

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.block import Block, TargetBlock
from bandit_router.evaluation.estimators import ESTIMATORS, EstimatorInputs, Figure, Nuisance, prepare
from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.logs.read import Log, open_log
from bandit_router.evaluation.logs.write import write_log
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.splits import FOLDS
from bandit_router.types import FloatArray
from benchmarks.obp_alone import obp_estimators

ARMS = ("small", "medium", "large", "huge")
D = 75
MOST_BYTES = 2 * 2**30
MISSING = 0.1
_BLOCK = 20_000
_PER_DAY = 1_000_000
_ASKED = ("snips", "dr")
_STARTED = 1.7e9
console = Console()


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Linear in the context: quality (d, K) coefficients around the mean of each arm, and prices."""

    theta: FloatArray
    mean: FloatArray
    cost: FloatArray

    def qualities(self, x: FloatArray) -> FloatArray:
        return self.mean + x[:, 1:] @ self.theta


def make_world(rng: np.random.Generator) -> World:
    """Means 0.5 to 0.8; a context moves them by 0.1 or so."""
    cost = 1e-4 * 4.0 ** np.arange(len(ARMS), dtype=np.float64)
    theta = 0.1 / np.sqrt(D) * rng.standard_normal((D - 1, len(ARMS)))
    return World(theta=theta, mean=np.linspace(0.5, 0.8, len(ARMS)), cost=cost)


def make_blocks(world: World, rows: int, rng: np.random.Generator) -> Iterator[Block]:
    """The log of a policy that prefers what is good, with a floor of 0.05 for each arm."""
    for start in range(0, rows, _BLOCK):
        n = min(_BLOCK, rows - start)
        x = np.column_stack([np.ones(n), rng.standard_normal((n, D - 1))])
        mean = world.qualities(x)
        p = np.exp(4.0 * mean)
        logged = 0.8 * p / p.sum(axis=1, keepdims=True) + 0.2 / len(ARMS)
        action = (rng.random(n)[:, None] >= np.cumsum(logged, axis=1)[:, :-1]).sum(axis=1)
        quality = mean[np.arange(n), action] + 0.2 * rng.standard_normal(n)
        quality[rng.random(n) < MISSING] = np.nan
        cost = np.where(np.isnan(quality), np.nan, world.cost[action] * rng.gamma(4.0, 0.25, n))
        order = np.arange(start, start + n)
        yield Block(
            arms=ARMS,
            x=x,
            eligible=np.ones((n, len(ARMS)), dtype=np.bool_),
            logged=logged,
            action=action,
            propensity=logged[np.arange(n), action],
            outcomes=np.column_stack([quality, quality, cost]),
            fold=order % FOLDS,
            order=order,
            expected_cost_usd=np.tile(world.cost, (n, 1)),
            cost_weight=np.zeros(n),
            decided_at=_STARTED + 86_400.0 * order / _PER_DAY,
        )


@dataclass(slots=True)
class Memory:
    """The largest sum of resident sets of this process and its children, in bytes."""

    largest: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        me = psutil.Process()
        while not self.stop.wait(0.1):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # it ended meanwhile
                    continue
            self.largest = max(self.largest, total)


@contextmanager
def watched() -> Iterator[Memory]:
    memory = Memory()
    thread = threading.Thread(target=memory.watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        memory.stop.set()
        thread.join()


def evaluate_log(log: Log, cluster: str | None = None) -> tuple[Evaluation, float]:
    """The evaluation, and the seconds it took."""
    started = time.perf_counter()
    with Progress(console=console, transient=True) as bar, workers(cluster=cluster):
        task = bar.add_task("evaluating", total=None)
        evaluation = evaluate(
            log.pieces, log.arms, {}, rows=log.rows, prior=None, estimators=_ASKED, headline="dr",
            progress=lambda n: bar.advance(task, n),
        )  # fmt: skip
    return evaluation, time.perf_counter() - started


def list_figures(evaluation: Evaluation) -> list[tuple[str, str, str, Figure]]:
    return [
        (answer.question.name, name, outcome, figure)
        for answer in evaluation.answers
        for name in _ASKED
        for outcome, figure in answer.estimates[name].items()
        if figure is not None
    ]


def true_quality(world: World, answer: Answer) -> float | None:
    """The mean quality of a fixed model or the uniform policy: contexts have mean 0."""
    name = answer.question.name
    if name == "uniform":
        return float(world.mean.mean())
    return float(world.mean[ARMS.index(name.removeprefix("fixed:"))]) if name.startswith("fixed:") else None


def print_qualities(world: World, evaluation: Evaluation) -> bool:
    """Print the qualities; whether all of them agree with the truth."""
    passed = True
    for answer in evaluation.answers:
        value = true_quality(world, answer)
        if value is None:
            continue
        for name in _ASKED:
            figure = answer.estimates[name]["quality"]
            assert figure is not None
            off = (figure.value - value) / figure.standard_error
            passed &= abs(off) < 4.0
            console.print(
                f"  {answer.question.name:14} {name:6} {figure.value:.6f} ± {figure.standard_error:.6f}"
                f"   truth {value:.6f} ({off:+.1f} standard errors)",
                highlight=False,
            )
    return passed


def evaluate_large_log(rows: int, folder: Path) -> bool:
    """Parts 1 and 2."""
    world, rng = make_world(np.random.default_rng(0)), np.random.default_rng(1)
    started = time.perf_counter()
    write_log(folder, make_blocks(world, rows, rng))
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    console.print(f"wrote {rows:,} rows, {size / 2**30:.2f} GiB, in {time.perf_counter() - started:.0f} s")
    with watched() as memory, open_log(folder) as log:
        evaluation, seconds = evaluate_log(log)
    policies = len(evaluation.answers)
    console.print(
        f"evaluated {policies} policies with SNIPS and DR in {seconds:.0f} s: {rows / seconds:,.0f} rows/s, "
        f"{os.cpu_count()} cores, {memory.largest / 2**30:.2f} GiB at most"
    )
    passed = print_qualities(world, evaluation)
    return passed & (memory.largest < MOST_BYTES) & _same_on_a_cluster(folder, evaluation)


def _same_on_a_cluster(folder: Path, evaluation: Evaluation) -> bool:
    from distributed import LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp"
        ) as cluster,
        open_log(folder) as log,
    ):
        again, seconds = evaluate_log(log, cluster.scheduler_address)
    same = list_figures(again) == list_figures(evaluation)
    console.print(
        f"on a Dask cluster of two workers: {seconds:.0f} s, figures {'equal' if same else 'DIFFER'}"
    )
    return same


def compare_with_obp(rows: int) -> None:
    """Part 3."""
    try:
        obp = obp_estimators()
    except ModuleNotFoundError as error:
        console.print(f"obp is not here ({error}): no comparison")
        return
    world = make_world(np.random.default_rng(0))
    target = np.tile(np.eye(len(ARMS))[2], (_BLOCK, 1))
    blocks = [
        block.with_target(target[: len(block)])
        for block in make_blocks(world, rows, np.random.default_rng(2))
    ]
    started = time.perf_counter()
    nuisance = _sum([prepare(p, {"folds"}) for p in blocks]).fit()
    model_s = time.perf_counter() - started
    chosen = {name: ESTIMATORS[name]() for name in ("ips", "snips", "dr")}
    started = time.perf_counter()
    sums = [{n: e.collect(EstimatorInputs(p, nuisance)) for n, e in chosen.items()} for p in blocks]
    ours = {n: e.estimate(_sum([s[n] for s in sums])) for n, e in chosen.items()}
    ours_s = time.perf_counter() - started
    predictions = np.concatenate([_predict(nuisance, p) for p in blocks])
    has_feedback = np.concatenate([~np.isnan(p.outcomes[:, 1]) for p in blocks])
    common: dict[str, Any] = {
        "reward": np.concatenate([p.outcomes[:, 1] for p in blocks])[has_feedback],
        "action": np.concatenate([p.action for p in blocks])[has_feedback],
        "pscore": np.concatenate([p.propensity for p in blocks])[has_feedback],
        "action_dist": np.concatenate([p.target for p in blocks])[has_feedback][:, :, None],
    }
    with_model = common | {"estimated_rewards_by_reg_model": predictions[has_feedback][:, :, None]}
    asked = (
        (obp.InverseProbabilityWeighting(), common),
        (obp.SelfNormalizedInverseProbabilityWeighting(), common),
        (obp.DoublyRobust(), with_model),
    )
    started = time.perf_counter()
    values = [estimator.estimate_policy_value(**arguments) for estimator, arguments in asked]
    values_s = time.perf_counter() - started
    started = time.perf_counter()
    for estimator, arguments in asked:
        estimator.estimate_interval(**arguments, n_bootstrap_samples=100, random_state=0)
    obp_s = time.perf_counter() - started
    figure = ours["snips"]["quality"]
    assert figure is not None
    assert abs(figure.value / values[1] - 1.0) < 1e-10  # feedback is missing alike for all arms here
    console.print(
        f"{rows:,} rows in memory, IPS + SNIPS + DR, one thread, in rows/s:\n"
        f"  ours {rows / ours_s:,.0f} (three outcomes, intervals), reward model {rows / model_s:,.0f}\n"
        f"  obp  {rows / values_s:,.0f} (values of one outcome, predictions given), "
        f"{rows / obp_s:,.0f} with its bootstrap intervals"
    )


def _predict(nuisance: Nuisance, block: TargetBlock) -> FloatArray:
    assert nuisance.folds is not None
    return nuisance.folds.predict(block.x, block.fold)[..., 1]


def _sum(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description="A large log evaluated, and rows per second beside obp.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--obp-rows", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bandit-router-") as scratch:
        passed = evaluate_large_log(options.rows, Path(scratch) / "log")
    compare_with_obp(options.obp_rows)
    console.print(f"evaluation: {'ok' if passed else 'FAILED'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
