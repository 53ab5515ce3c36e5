"""Options, progress bar and output that all simulation scripts share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bandit_router.errors import RouterError
from bandit_router.evaluation.parallel import run_tasks, workers
from bandit_router.evaluation.simulation.agents import MakeAgent
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, Simulation, simulate
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.settings.learning import PosteriorSection
from bandit_router.settings.policy import TrialSection
from simulations.streams import STREAMS, cost_weight

K = TypeVar("K")
T = TypeVar("T")

_TEXTBOOK = PosteriorSection(model="independent", prior_mean=0.5, noise_std=0.3, on_drift="alarm")
_NO_TRIAL = TrialSection(rewards=0)

OURS: Mapping[str, MakeAgent] = {
    "tempered": RouterMaker("tempered"),
    "textbook thompson": RouterMaker("thompson", _TEXTBOOK, trial=_NO_TRIAL),
    "textbook linucb, α = 0.3": RouterMaker("linucb:alpha=0.3", _TEXTBOOK, trial=_NO_TRIAL),
}
"""The default of bandit-router, and the textbook's policies on independent arms, all cold."""


TRADES = (0.1, 0.3)
"""The weights of cost that bandit-router is judged at."""

_WORTH = "quality that the mean cost of the dearest model is worth"


def parser(
    description: str | None, streams: Sequence[str] = tuple(STREAMS), *, trades: Sequence[float] | None = ()
) -> argparse.ArgumentParser:
    """The parser of the options that every script has, with the default streams and trades of the script.

    With no trades there is one ``--trade``; with None cost has no fixed weight, and no such option exists.
    """
    options = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the files")
    options.add_argument("--streams", nargs="+", choices=tuple(STREAMS), default=list(streams))
    options.add_argument("--seeds", "--orders", type=int, default=20, help="random orders of each stream")
    options.add_argument("--queries", type=int, default=5000, help="length of each stream, at most")
    if trades:
        options.add_argument("--trades", nargs="+", type=float, default=list(trades), help=_WORTH)
    elif trades is not None:
        options.add_argument("--trade", type=float, default=0.1, help=_WORTH)
    options.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one for each core")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    return options


def plan_of(stream: Stream, options: argparse.Namespace, trade: float | None = None) -> Plan:
    """The plan that the options describe, at the given trade or else at theirs."""
    return Plan(
        stream=stream,
        cost_weight=cost_weight(stream, options.trade if trade is None else trade),
        seeds=options.seeds,
        queries=options.queries,
    )


def played(plan: Plan, agents: Mapping[str, MakeAgent], jobs: int, title: str) -> Simulation:
    """Simulate with a progress bar, on standard error so that the tables can be kept."""
    with progress(title, plan.seeds * (1 + len(agents))) as step, workers(jobs):
        return simulate(plan, agents, progress=step)


def on_every_seed(
    tasks: Mapping[K, Callable[[int], T]], seeds: int, jobs: int, title: str
) -> dict[K, list[T]]:
    """The results of each task for seeds 0, 1, …, in order, with a progress bar."""
    calls = [partial(task, seed) for task in tasks.values() for seed in range(seeds)]
    results = []
    with progress(title, len(calls)) as step, workers(jobs):
        for result in run_tasks(calls):
            results.append(result)
            step(1)
    return {key: results[i * seeds : (i + 1) * seeds] for i, key in enumerate(tasks)}


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; call what it yields with the number of further steps done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


def say_missed(console: Console, missed: Sequence[str]) -> None:
    """Print every bar that was missed, and their number."""
    for bar in missed:
        console.print(f"missed: {bar}")
    console.print(f"bars: {f'{len(missed)} missed' if missed else 'all met'}")


def save(file: Path | None, facts: Mapping[str, Any]) -> None:
    """Write the facts as JSON, if there is a file to write to."""
    if file is not None:
        file.write_text(json.dumps(facts, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def run(main: Callable[[], None]) -> None:
    """Run a script; an error in its options or files becomes one line and exit code 1."""
    try:
        main()
    except (RouterError, OSError) as error:
        sys.exit(f"error: {error}")
