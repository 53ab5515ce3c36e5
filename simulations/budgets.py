"""How closely a budget is kept, and the quality of the answers that it buys.

    python -m simulations.budgets --json budgets.json

Every budget, in USD per request, is played on the stream as it is, and with a price cut: half way the
dearest model costs a tenth, and so does its list price. Beside the router: paretobandit's own router and
pacer, cold too, on the same queries. The measure is the running average of the cost, from request 1,000 on,
as a share of the budget. A budget is a ceiling: it is not used up if no dearer model is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.agents import MakeAgent
from bandit_router.evaluation.simulation.events import Event
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, play_seed
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import Budget, FloatArray
from simulations import show
from simulations.peers.paretobandit import PacedMaker
from simulations.streams import load_stream

BUDGETS_USD = (2.3e-4, 6.6e-4, 1.9e-3, 5.3e-3)
SETTLED = 1000
"""Requests before the running average counts."""

NEARLY = 0.01
ROUTER = "router"
_A_TENTH = "0.1"
_KEPT, _CUT = "as it is", "price cut"


class Spent(NamedTuple):
    """One run: its mean quality, and its running average of cost over the budget from SETTLED on: at the end,
    at most, at least, and the share of requests after which it exceeded 1 by more than NEARLY."""

    quality: float
    end: float
    most: float
    least: float
    over: float


Runs = Mapping[str, Sequence[Spent]]
"""Runs by contestant, one for each seed."""


def contestants(usd: float) -> dict[str, MakeAgent]:
    """The router and paretobandit's, at the width that is best for a cold start and at a wider one."""
    return {
        ROUTER: RouterMaker("tempered", goal=Budget(usd=usd)),
        "paretobandit": PacedMaker(budget_usd=usd),
        "paretobandit, α = 0.3": PacedMaker(budget_usd=usd, alpha=0.3),
    }


def price_cut(stream: Stream, queries: int) -> Event:
    """Half way, the dearest model costs a tenth."""
    return Event("price", stream.arms[int(stream.cost_usd.mean(axis=0).argmax())], queries // 2, _A_TENTH)


def play_budget(plan: Plan, make: MakeAgent, usd: float, seed: int) -> Spent:
    """Play one contestant on the order of one seed, and measure its spending."""
    _, run = play_seed(plan, make, seed)
    average = running_average(run.cost_usd, usd)
    return Spent(
        quality=float(run.quality.mean()),
        end=float(average[-1]),
        most=float(average.max()),
        least=float(average.min()),
        over=float((average > 1.0 + NEARLY).mean()),
    )


def running_average(cost_usd: FloatArray, usd: float) -> FloatArray:
    """The mean cost so far over the budget, after each request from number SETTLED on, or in the second half
    of a stream (n,) shorter than twice that."""
    n = len(cost_usd)
    average: FloatArray = np.cumsum(cost_usd) / (usd * np.arange(1, n + 1))
    return average[min(SETTLED - 1, n // 2) :]


def budgets_grid(title: str, cases: Mapping[str, Runs]) -> Grid:
    """The table of one budget: every contestant, as it is and with the price cut."""
    rows = [
        Row(cells=(name if case == _KEPT else f"{name}, cut", *_spent_cells(spent)), strong=name == ROUTER)
        for case, runs in cases.items()
        for name, spent in runs.items()
    ]
    return Grid(
        title=title,
        headings=("", "quality", "spent", "least", "most", "worst", "over"),
        rows=tuple(rows),
        notes=(
            "spent: of the budget, at the end",
            f"least, most: of its running average, request {SETTLED:,} on; worst: the most of any seed",
            "over: the share of those requests after which it was over by 1%",
        ),
    )


def _spent_cells(spent: Sequence[Spent]) -> tuple[str, ...]:
    quality, end, most, least, over = np.array(spent).T
    return (
        f"{quality.mean():.4f}",
        f"{end.mean():.3f}",
        f"{least.mean():.3f}",
        f"{most.mean():.3f}",
        f"{most.max():.3f}",
        f"{over.mean():.2%}",
    )


def missed_bars(cases: Mapping[str, Runs]) -> Iterator[str]:
    """The bars that were missed: never over by 1%, and answers as good as those of every peer."""
    for case, runs in cases.items():
        over = [run.most > 1.0 + NEARLY for run in runs[ROUTER]]
        if any(over):
            yield f"{case}: over by 1% at some time on {sum(over)} of {len(over)} seeds"
        quality = {name: float(np.mean([run.quality for run in spent])) for name, spent in runs.items()}
        better = max(quality, key=lambda name: quality[name])
        if quality[better] > quality[ROUTER]:
            yield f"{case}: quality {quality[ROUTER]:.4f}, {quality[better]:.4f} for {better}"


def play_budgets(plan: Plan, budgets_usd: Sequence[float], jobs: int) -> dict[float, dict[str, Runs]]:
    """Play every contestant at every budget, as it is and with the price cut, on every seed."""
    plans = {_KEPT: plan, _CUT: replace(plan, events=(price_cut(plan.stream, plan.length),))}
    tasks = {
        (usd, case, name): partial(play_budget, its_plan, make, usd)
        for usd in budgets_usd
        for case, its_plan in plans.items()
        for name, make in contestants(usd).items()
    }
    spent = show.on_every_seed(tasks, plan.seeds, jobs, plan.stream.name)
    return {
        usd: {case: {name: spent[usd, case, name] for name in contestants(usd)} for case in plans}
        for usd in budgets_usd
    }


def main() -> None:
    parser = show.parser(__doc__, streams=("paretobandit",), trades=None)
    parser.add_argument("--budgets", nargs="+", type=float, default=list(BUDGETS_USD), help="USD per request")
    options = parser.parse_args()
    console, facts, missed = Console(), {}, []
    for name in options.streams:
        stream = load_stream(name, options.data)
        plan = Plan(stream=stream, cost_weight=0.0, seeds=options.seeds, queries=options.queries)
        runs = play_budgets(plan, options.budgets, options.jobs)
        for usd, cases in runs.items():
            title = f"{name}, {usd:g} USD a request"
            console.print(draw_grid(budgets_grid(f"{title}: {plan.seeds} × {plan.length:,} queries", cases)))
            missed += [f"{title}, {bar}" for bar in missed_bars(cases)]
        facts[name] = {f"{usd:g}": _runs_json(cases) for usd, cases in runs.items()}
    show.say_missed(console, missed)
    show.save(options.json, {"missed": missed, "runs": facts})


def _runs_json(cases: Mapping[str, Runs]) -> dict[str, Any]:
    return {
        case: {name: [run._asdict() for run in spent] for name, spent in runs.items()}
        for case, runs in cases.items()
    }


if __name__ == "__main__":
    show.run(main)
