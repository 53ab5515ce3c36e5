"""What a replay came to, and what of a log was not looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators.sums import Figure, make_figure
from bandit_router.evaluation.gate import Refusal
from bandit_router.evaluation.logs.screen import LeftOut
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.grid import Grid, Row, draw
from bandit_router.evaluation.report.refused import FORCED, Refused
from bandit_router.evaluation.report.words import REFUSED, UNKNOWN, as_shown, clean, interval

_ALIKE = 1e-9  # of a value: a spread that is only rounding


def replay_table(replays: Mapping[str, Sequence[ReplayResult]], *, force: bool = False) -> Group:
    """Every policy's rows and figures over its replays, and why some are refused.

    ``force`` shows refused figures too, marked.
    """
    refused = replay_refusals(replays)
    heading = Text(FORCED if force else "Refused:", style="bold red")
    lines = [
        Text.assemble("• ", (one.figures, "bold"), f": {one.reason}. Cure: {one.cure}.") for one in refused
    ]
    below: list[RenderableType] = [heading, *lines, ""] if refused else []
    return Group(draw(replay_grid(replays, force=force)), *below)


def replay_grid(replays: Mapping[str, Sequence[ReplayResult]], *, force: bool = False) -> Grid:
    """A row for each policy: the rows of the log, those retained on average, and its figures."""
    rows = []
    for name, runs in replays.items():
        retained = np.mean([run.retained for run in runs])
        cells = (_cell(runs, outcome, force) for outcome in OUTCOMES)
        rows.append(Row(cells=(clean(name), f"{runs[0].rows:,}", f"{retained:,.0f}", *cells)))
    return Grid(
        title="Replay: each policy learning from nothing",
        headings=("policy", "rows", "retained", "reward [95%]", "quality [95%]", "USD/1k [95%]"),
        rows=tuple(rows),
    )


def replay_refusals(replays: Mapping[str, Sequence[ReplayResult]]) -> list[Refused]:
    """What is refused: a reason that several policies or outcomes share is given once."""
    outcomes: dict[tuple[str, str, str], list[str]] = {}
    for name, runs in replays.items():
        for outcome in OUTCOMES:
            for one in refusals_of(runs, outcome):
                outcomes.setdefault((clean(one.reason), clean(one.cure), name), []).append(outcome)
    policies: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (reason, cure, name), concerned in outcomes.items():
        policies.setdefault((reason, cure, tuple(concerned)), []).append(name)
    return [
        Refused(tuple(names), concerned, reason, cure, len(names) == len(replays) > 1)
        for (reason, cure, concerned), names in policies.items()
    ]


def over_replays(runs: Sequence[ReplayResult], outcome: str) -> Figure | None:
    """The mean of a policy's replays, with the standard error of a single one; None where one has none.

    Replays of one log differ by their coins only. What they have in common, the log, does not average out,
    so the standard error is not divided by their number: it is the mean of theirs, and a little too wide.
    """
    found = [one for run in runs if (one := run.figures[outcome]) is not None]
    if len(found) < len(runs) or not found:
        return None
    value = float(np.mean([one.value for one in found]))
    error = float(np.mean([one.standard_error for one in found]))
    return make_figure(value, error, round(np.mean([one.rows for one in found])))


def refusals_of(runs: Sequence[ReplayResult], outcome: str) -> list[Refusal]:
    """Why not to believe the figure over the replays: one that is refused is enough.

    Told by the refused replay that has the fewest rows with feedback.
    """
    refused = [run for run in runs if run.refused(outcome)]
    return min(refused, key=lambda run: run.feedback[outcome]).refused(outcome) if refused else []


def left_out_lines(left_out: Mapping[str, LeftOut]) -> list[str]:
    """What was not looked at, and the first ids of it."""
    return [
        f"not evaluated: {some.count} rows, {why} (first: {', '.join(some.ids)})"
        for why, some in left_out.items()
    ]


def _cell(runs: Sequence[ReplayResult], outcome: str, force: bool) -> str:
    refused = bool(refusals_of(runs, outcome))
    found = over_replays(runs, outcome)
    if refused and not force:
        return REFUSED
    if found is None:
        return UNKNOWN
    value, low, high, usual = as_shown(found, outcome)
    mark, reach = "!" if refused else "", (high - low) / 2.0
    if reach <= _ALIKE * abs(value):  # a sample without any spread does not know its interval
        return f"{value:.{usual}f}{mark} (all alike)"
    return interval(value, low, high, max(usual, 1 - math.floor(math.log10(reach))), mark)
