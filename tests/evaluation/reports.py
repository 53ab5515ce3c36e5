"""Small results to report on, from real logs and streams."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from io import StringIO

import numpy as np
from rich.console import Console, RenderableType

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Contender, Plan, Simulation, simulate
from bandit_router.policies import parse_policy
from bandit_router.posterior.arm_priors import make_level_prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.settings.learning import PosteriorSection
from tests.evaluation.blocks import a_block, split
from tests.evaluation.simulation.streams import a_stream
from tests.evaluation.worlds import ARMS

HURT = "document.documentElement.toggleAttribute('data-hurt')"
NASTY = (
    f"<script>{HURT}</script>",
    "<marquee>small</marquee>",
    "[red]m%{x}[/red] & </script><b>bold",
    "meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo-with-a-very-long-suffix",
)
"""Names of models that would do something if they were not escaped, and one that is long."""

NASTY_POLICY = f'<img src=x onerror="{HURT}">'


@cache
def an_evaluation(
    rows: int = 2000, arms: tuple[str, ...] = ARMS, *, missing: tuple[str, ...] = (), specs: int = 2
) -> Evaluation:
    """Of a log with utility at 20/USD. ``missing`` outcomes have no feedback."""
    block = replace(a_block(n=rows, cost_weight=20.0), arms=arms)
    for m, outcome in enumerate(("reward", "quality", "cost_usd")):
        if outcome in missing:
            block.outcomes[:, m] = np.nan
    prior = make_level_prior(PosteriorSection(weight_std=0.3), block.x.shape[1])
    posterior = SufficientStatistics.empty(dict.fromkeys(arms, prior), schema_id="test", noise_variance=0.09)
    names = {
        "thompson": "thompson",
        "linucb:alpha=0.5": NASTY_POLICY if arms == NASTY else "linucb:alpha=0.5",
    }
    policies = {names[spec]: parse_policy(spec) for spec in list(names)[:specs]}
    with workers(jobs=1):
        return evaluate(list(split(block, 200)), arms, policies, rows=rows, prior=posterior)


@cache
def a_simulation(
    arms: tuple[str, ...] = ("small", "medium", "large"),
    *,
    seeds: int = 3,
    cost_weight: float = 20.0,
    queries: int | None = 250,
    specs: tuple[str, ...] = ("thompson", "linucb:alpha=0.3"),
) -> Simulation:
    """On 300 queries."""
    names = {"linucb:alpha=0.3": NASTY_POLICY} if arms == NASTY else {}
    plan = Plan(stream=a_stream(300, arms=arms), cost_weight=cost_weight, seeds=seeds, queries=queries)
    with workers(jobs=1):
        return simulate(plan, {names.get(spec, spec): RouterMaker(spec) for spec in specs})


def answer_of(evaluation: Evaluation, name: str) -> Answer:
    """The answer of that name."""
    return {answer.question.name: answer for answer in evaluation.answers}[name]


def with_utility(simulation: Simulation, name: str, utility: list[float]) -> Simulation:
    """The same with these utilities of one contender, seed by seed."""

    def changed(one: Contender) -> Contender:
        pairs = zip(one.tracks, utility, strict=True)
        return one._replace(tracks=tuple(replace(track, utility=u) for track, u in pairs))

    contenders = tuple(changed(one) if one.name == name else one for one in simulation.contenders)
    return replace(simulation, contenders=contenders)


def printed(*parts: RenderableType, width: int = 100) -> str:
    """What a terminal of that width shows."""
    console = Console(file=StringIO(), width=width, color_system=None)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def row_of(text: str, name: str) -> str:
    """The first line that starts with the name."""
    return next(line for line in text.splitlines() if line.strip().startswith(name))


def unfolded(text: str) -> str:
    """The text without white space, so that folding does not show."""
    return "".join(text.split())
