"""Median time of one decision and of one update beside MABWiser and paretobandit, as ratios.

A decision is predict, exact PMF and sample; an update is one observation, after which the next decision
sees it. All contenders hold the same ridge posterior (checked), get the same contexts in the same order,
run on one thread and take turns in short blocks, so that a noisy moment of the machine hits them all.
Nobody weighs costs (cost weight 0), since MABWiser cannot.
Where a peer does less it is let off: MABWiser and paretobandit return an arm without its propensity, and
paretobandit's ``select_arm`` is timed without the ``mark_selected`` its router adds to every decision.
Exits with 1 when a cell is lost, that is when ours is not faster.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script, this folder comes first on the path, and http.py would hide the standard library's http.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from statistics import median
from time import perf_counter_ns

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from pareto_bandit.policy import DisjointLinUCBPolicy
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from bandit_router.policies import Policy, sample
from bandit_router.policies.bandit import LinUCB, Thompson
from bandit_router.posterior.online import OnlinePosterior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.routing.decide import score_arms
from bandit_router.types import FloatArray

DIMS = (32, 75, 384)
ARMS = (2, 5, 20)
WARM_UP = 200
OURS = "ours"
_STREAM = 1000
_BLOCK_NS = 10_000_000
_LEAST_ROUNDS = 3
_CLOSE = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """Observations in order: contexts x (n, d) of unit length, and what came of each."""

    arms: list[str]
    x: FloatArray
    actions: list[str]
    rewards: list[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One side, warmed up. ``decide`` and ``update`` take the number of an observation of the stream."""

    decide: Callable[[int], object]
    update: Callable[[int], object]
    theta: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One comparison: medians in µs."""

    act: str
    family: str
    peer: str
    d: int
    k: int
    ours_us: float
    peer_us: float

    @property
    def ratio(self) -> float:
        return self.ours_us / self.peer_us

    @property
    def lost(self) -> bool:
        return self.ratio >= 1.0

    def __str__(self) -> str:
        return f"{self.ratio:.3f} ({self.act}, {self.family} vs {self.peer}, d={self.d}, K={self.k})"


def make_stream(d: int, k: int) -> Stream:
    """Rewards in [0, 1], linear in x plus noise; the arms take turns."""
    rng = np.random.default_rng([d, k])
    x = rng.standard_normal((_STREAM, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    arms = [f"arm-{a}" for a in range(k)]
    turns = np.arange(_STREAM) % k
    signal = np.einsum("nd,nd->n", x, rng.standard_normal((k, d))[turns])
    rewards = np.clip(0.5 + 0.2 * signal + 0.1 * rng.standard_normal(_STREAM), 0.0, 1.0)
    return Stream(arms=arms, x=x, actions=[arms[a] for a in turns], rewards=rewards.tolist())


def ours(policy: Policy, stream: Stream) -> Contender:
    d = stream.x.shape[1]
    priors = {arm: Prior(mean=np.zeros(d), precision=np.ones(d)) for arm in stream.arms}
    statistics = SufficientStatistics.empty(priors, schema_id="benchmark", noise_variance=1.0)
    online = OnlinePosterior(statistics)
    arms, x, costs, rng = stream.arms, list(stream.x), [0.0] * len(stream.arms), np.random.default_rng(0)

    def decide(i: int) -> int:
        return sample(policy.pmf(score_arms(online.posterior, arms, x[i], costs, 0.0)), rng)

    def update(i: int) -> None:
        online.observe(stream.actions[i], x[i], stream.rewards[i])

    for i in range(WARM_UP):
        update(i)
    return Contender(decide=decide, update=update, theta=online.posterior.predict_many(np.eye(d))[0].T)


def mabwiser(learning: object, stream: Stream) -> Contender:
    mab = MAB(stream.arms, learning, seed=0)
    x, actions, rewards = stream.x, np.array(stream.actions), np.array(stream.rewards)
    mab.fit(actions[:WARM_UP], rewards[:WARM_UP], x[:WARM_UP])

    def decide(i: int) -> object:
        return mab.predict(x[i : i + 1])

    def update(i: int) -> None:
        mab.partial_fit(actions[i : i + 1], rewards[i : i + 1], x[i : i + 1])

    theta = np.array([mab._imp.arm_to_model[arm].beta for arm in stream.arms])
    return Contender(decide=decide, update=update, theta=theta)


def paretobandit(stream: Stream) -> Contender:
    policy = DisjointLinUCBPolicy(stream.arms, dim=stream.x.shape[1], alpha=1.0, init_lambda=1.0, seed=0)
    x = list(stream.x)

    def decide(i: int) -> object:
        return policy.select_arm(x[i])

    def update(i: int) -> None:
        policy.update(stream.actions[i], x[i], stream.rewards[i])

    for i in range(WARM_UP):
        update(i)
    return Contender(decide=decide, update=update, theta=np.array([policy.theta[arm] for arm in stream.arms]))


def line_up(family: str, stream: Stream) -> dict[str, Contender]:
    """Ours first, then the peers; RuntimeError when they have not learned the same."""
    if family == "thompson":
        lts = LearningPolicy.LinTS(alpha=1.0, l2_lambda=1.0)
        sides = {OURS: ours(Thompson(), stream), "mabwiser": mabwiser(lts, stream)}
    else:
        ucb = LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0)
        sides = {
            OURS: ours(LinUCB(), stream),
            "mabwiser": mabwiser(ucb, stream),
            "paretobandit": paretobandit(stream),
        }
    for name, side in sides.items():
        if not np.allclose(side.theta, sides[OURS].theta, atol=1e-8):
            raise RuntimeError(f"{name} and ours differ after the same {WARM_UP} observations")
    return sides


def take_turns(calls: Mapping[str, Callable[[int], object]], seconds: float) -> dict[str, float]:
    """Median µs per call of each side, over alternating blocks of about 10 ms."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    rounds, end = 0, perf_counter_ns() + int(seconds * 1e9)
    while rounds < _LEAST_ROUNDS or perf_counter_ns() < end:
        for name in sorted(calls, reverse=rounds % 2 == 1):
            time_block(calls[name], times[name])
        rounds += 1
    return {name: median(values) / 1e3 for name, values in times.items()}


def time_block(call: Callable[[int], object], times: list[int]) -> None:
    """Time single calls until the block is full, going on in the stream where the last block stopped."""
    now = perf_counter_ns()
    end = now + _BLOCK_NS
    while now < end:
        i = len(times) % _STREAM
        start = perf_counter_ns()
        call(i)
        now = perf_counter_ns()
        times.append(now - start)


def compare(family: str, d: int, k: int, seconds: float) -> list[Cell]:
    sides = line_up(family, make_stream(d, k))
    cells = []
    for act in ("decision", "update"):
        calls = {n: side.decide if act == "decision" else side.update for n, side in sides.items()}
        us = take_turns(calls, seconds)
        if us[OURS] > _CLOSE * min(us[peer] for peer in us if peer != OURS):
            us = take_turns(calls, 4 * seconds)  # too close to call after a short look
        cells += [
            Cell(act=act, family=family, peer=peer, d=d, k=k, ours_us=us[OURS], peer_us=us[peer])
            for peer in us
            if peer != OURS
        ]
    return cells


def show(cells: list[Cell], console: Console) -> None:
    """One table per family and peer: a row per (d, K), µs and ratio per act."""
    for family, peer in dict.fromkeys((cell.family, cell.peer) for cell in cells):
        table = Table(title=f"{family}, ours beside {peer}: median µs", title_justify="left")
        for column in ("d", "K", "decision", peer, "ratio", "update", peer, "ratio"):
            table.add_column(column, justify="right")
        for d, k in product(DIMS, ARMS):
            row = [c for c in cells if (c.family, c.peer, c.d, c.k) == (family, peer, d, k)]
            figures = [f for c in row for f in (f"{c.ours_us:.1f}", f"{c.peer_us:.1f}", f"{c.ratio:.3f}")]
            table.add_row(str(d), str(k), *figures)
        console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="One decision and one update beside the peers.")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    seconds = 0.2 if parser.parse_args().quick else 0.8
    with threadpool_limits(1):
        cells = [
            cell
            for family, d, k in product(("linucb", "thompson"), DIMS, ARMS)
            for cell in compare(family, d, k, seconds)
        ]
    show(cells, Console())
    lost = [cell for cell in cells if cell.lost]
    for cell in lost:
        print(f"lost: {cell}")
    worst = max(cells, key=lambda cell: cell.ratio)
    print(f"core: {len(cells) - len(lost)}/{len(cells)} cells faster; worst ratio {worst}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
