"""The worth of picking which queries to label: a warm start from picked labels beside one from random ones.

    python -m simulations.pick --json pick.json

Each seed shuffles a stream; the first half is the pool of queries that may be labelled, 4,000 at most, and
the router plays the queries after it. Three ways choose what to label: at random; ``spread``, the queries
that tell most of all others, with nothing known of the arms; and ``decisions``, a third at random, then
those that change most decisions by what the third says.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.report.statistics import paired_difference
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterAgent, RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.posterior.arm_priors import make_level_prior
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import FloatArray, IntArray
from simulations import show
from simulations.streams import FIVE, load_stream

_POOL = 4_000
_SECTION = PosteriorSection()

Choose = Callable[[Setting, Stream, int], IntArray]
"""The rows of the pool to label."""


class Worth(NamedTuple):
    """Utility per query above the best fixed model's: of the first snapshot, and of a router that learns."""

    at_start: float
    learning: float


def choose_random(setting: Setting, pool: Stream, count: int) -> IntArray:
    return setting.rng.permutation(len(pool))[:count]


def choose_spread(setting: Setting, pool: Stream, count: int) -> IntArray:
    return _pick(setting, pool, count)


def choose_for_decisions(setting: Setting, pool: Stream, count: int) -> IntArray:
    first = choose_random(setting, pool, count // 3)
    agent = make_router(replace(setting, labelled=pool.take(first)))
    utility, std = predict(agent, pool)
    picked = _pick(setting, pool, count - len(first), weigh_decisions(utility, std), first)
    return np.concatenate([first, picked])


WAYS: Mapping[str, Choose] = {
    "random": choose_random,
    "spread": choose_spread,
    "decisions": choose_for_decisions,
}
make_router = RouterMaker("tempered", _SECTION)


def _pick(
    setting: Setting,
    pool: Stream,
    count: int,
    weight: FloatArray | None = None,
    labelled: IntArray | None = None,
) -> IntArray:
    precision = make_level_prior(_SECTION, setting.dim).precision
    return pick_queries(
        pool.x,
        count,
        prior_precision=precision,
        noise_variance=_SECTION.noise_std**2,
        weight=weight,
        labelled=labelled,
    )


def pick_queries(
    x: FloatArray,
    count: int,
    *,
    prior_precision: FloatArray,
    noise_variance: float,
    weight: FloatArray | None = None,
    labelled: IntArray | None = None,
) -> IntArray:
    """The rows of ``count`` queries of x (n, d) to label, best first, beside those ``labelled`` already.

    A label of query x narrows the variance of each arm's reward at another query x' by

        g(x, x') = (x'ᵀ C x)² / (σ² + xᵀ C x),    C = (Λ + Σ x xᵀ/σ²)⁻¹ over the queries labelled so far

    and the next query is the one of the largest Σ_x' w(x') g(x, x'): transductive experimental design (Yu,
    Bi & Tresp, ICML 2006). ``prior_precision`` (d,) is the diagonal of Λ, ``noise_variance`` σ², ``weight``
    (n,) is w, which is 1 by default.
    """
    taken = np.zeros(len(x), dtype=np.bool_)
    precision = np.diag(prior_precision)
    if labelled is not None:
        taken[labelled] = True
        precision = precision + x[labelled].T @ x[labelled] / noise_variance
    covariance = np.linalg.inv(precision)
    spread = x.T @ (x if weight is None else x * weight[:, None])
    picked = []
    for _ in range(min(count, int((~taken).sum()))):
        projected = x @ covariance
        variance = np.einsum("nd,nd->n", projected, x)
        worth = np.einsum("nd,nd->n", projected @ spread, projected) / (noise_variance + variance)
        row = int(np.where(taken, -np.inf, worth).argmax())
        picked.append(row)
        taken[row] = True
        gain = projected[row]
        covariance -= np.outer(gain, gain) / (noise_variance + variance[row])
    return np.array(picked, dtype=np.int64)


def weigh_decisions(utility: FloatArray, std: FloatArray) -> FloatArray:
    """What a unit of variance costs at each query (n,), given each arm's utility and its deviation (n, k).

    The slope of the expected opportunity loss of the best arm against arm a, with the mean difference δ and
    its deviation s: w = max_a φ(δ_a/s_a) / s_a, up to a factor.
    """
    rows = np.arange(len(utility))
    best = utility.argmax(axis=1)
    difference = utility[rows, best, None] - utility
    deviation = np.sqrt(std[rows, best, None] ** 2 + std**2)
    slope = np.exp(-0.5 * (difference / deviation) ** 2) / deviation
    slope[rows, best] = 0.0
    weight: FloatArray = slope.max(axis=1)
    return weight


def predict(agent: RouterAgent, stream: Stream) -> tuple[FloatArray, FloatArray]:
    """Expected utility and its deviation by the agent's newest snapshot, both (n, k)."""
    mean, std = agent.model.state.rewards.predict_many(stream.x)
    return mean - agent.cost_weight * stream.expected_cost_usd, std


def measure(plan: Plan, counts: Sequence[int], seed: int) -> dict[tuple[str, int], Worth]:
    """What each way is worth at each number of labels, on one order; ("cold", 0) is without any."""
    stream, pool, _ = plan.draw(seed)
    assert pool is not None
    utility = stream.quality - plan.cost_weight * stream.cost_usd
    best = float(utility.mean(axis=0).max())
    worth = {}
    for way, count in (("cold", 0), *((way, count) for count in counts for way in WAYS)):
        setting = Setting.of(stream, plan.cost_weight, np.random.default_rng([seed, 2]))
        if count:
            rows = WAYS[way](setting, pool, count)
            setting = replace(setting, labelled=pool.take(rows), rng=np.random.default_rng([seed, 3]))
        agent = make_router(setting)
        first = predict(agent, stream)[0].argmax(axis=1)
        run = play_stream(stream, agent, Channel(), np.random.default_rng([seed, 4]))
        rows = np.arange(len(stream))
        earned = (float(utility[rows, arms].mean()) - best for arms in (first, run.action))
        worth[way, count] = Worth(*earned)
    return worth


def main() -> None:
    parser = show.parser(__doc__, FIVE)
    parser.add_argument("--labels", nargs="+", type=int, default=[100, 300, 1000], help="numbers of labels")
    options = parser.parse_args()
    console = Console()
    plans = {name: make_plan(load_stream(name, options.data), options) for name in options.streams}
    tasks = {name: partial(measure, plan, options.labels) for name, plan in plans.items()}
    measured = show.on_every_seed(tasks, options.seeds, options.jobs, "picking")
    facts = {}
    for name, worths in measured.items():
        console.print(draw_grid(make_grid(name, plans[name], worths)))
        facts[name] = [{f"{way} {count}": w._asdict() for (way, count), w in one.items()} for one in worths]
    show.save(options.json, facts)


def make_plan(stream: Stream, options: argparse.Namespace) -> Plan:
    """Half of the stream is the pool."""
    return replace(show.plan_of(stream, options), labelled=min(_POOL, len(stream) // 2))


def make_grid(name: str, plan: Plan, worths: Sequence[Mapping[tuple[str, int], Worth]]) -> Grid:
    """The table of one stream: a row for each way and number of labels."""
    values = {key: np.array([one[key] for one in worths]) for key in worths[0]}
    cold = values["cold", 0]
    rows = []
    for (way, count), earned in values.items():
        if not count:
            continue
        beside = values["random", count]
        cells = [_format(earned[:, k], cold[:, k]) for k in range(2)]
        cells += ["" if way == "random" else _format(earned[:, k], beside[:, k]) for k in range(2)]
        rows.append(Row(cells=(str(count), way, *cells), last=way == "decisions"))
    return Grid(
        title=f"{name}: a pool of {plan.labelled:,}, then {len(worths)} × {plan.length:,} queries",
        headings=(
            "labels",
            "picked",
            "start − cold",
            "learning − cold",
            "start − random",
            "learning − random",
        ),
        rows=tuple(rows),
        notes=("utility per query, mean and 95% interval over orders; * is beyond its interval",),
        left=2,
    )


def _format(values: FloatArray, baseline: FloatArray) -> str:
    difference = paired_difference(values, baseline)
    reach = "" if difference.reach is None else f" ± {difference.reach:.4f}"
    return f"{difference.mean:+.4f}{reach}{'*' if difference.is_significant else ''}"


if __name__ == "__main__":
    show.run(main)
