"""The table of replays, and the lines on rows of a log that were left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators.sums import Figure
from bandit_router.evaluation.estimators.sums import make_figure as make_figure
from bandit_router.evaluation.logs.screen import LeftOut
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.formatting import (
    REFUSED,
    UNKNOWN,
    format_interval,
    printable,
    scale_for_table,
)
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.report.refusals import FORCED, refusals_over_replays, replay_refusals

_ALIKE = 1e-9  # relative spread that is only rounding


def replay_table(replays: Mapping[str, Sequence[ReplayResult]], *, force: bool = False) -> Group:
    """The table of replays for a terminal, and the reasons of refused figures.

    ``force`` shows refused figures too, marked.
    """
    refused = replay_refusals(replays)
    heading = Text(FORCED if force else "Refused:", style="bold red")
    lines = [
        Text.assemble("• ", (figures.figures, "bold"), f": {figures.reason}. Cure: {figures.cure}.")
        for figures in refused
    ]
    below: list[RenderableType] = [heading, *lines, ""] if refused else []
    return Group(draw_grid(replay_grid(replays, force=force)), *below)


def replay_grid(replays: Mapping[str, Sequence[ReplayResult]], *, force: bool = False) -> Grid:
    """A row for each policy: the rows of the log, those retained on average, and its figures."""
    rows = []
    for name, runs in replays.items():
        retained = np.mean([run.retained for run in runs])
        cells = (_replay_cell(runs, outcome, force) for outcome in OUTCOMES)
        rows.append(Row(cells=(printable(name), f"{runs[0].rows:,}", f"{retained:,.0f}", *cells)))
    return Grid(
        title="Replay: each policy learning from nothing",
        headings=("policy", "rows", "retained", "reward [95%]", "quality [95%]", "USD/1k [95%]"),
        rows=tuple(rows),
    )


def mean_over_replays(runs: Sequence[ReplayResult], outcome: str) -> Figure | None:
    """Mean of a policy's replays with the standard error of a single one; None if a replay has no figure.

    Replays of one log differ only by their random draws. The error that comes from the log itself does not
    average out, so the standard error is the mean over replays, and a little too wide.
    """
    figures = [figure for run in runs if (figure := run.figures[outcome]) is not None]
    if len(figures) < len(runs) or not figures:
        return None
    value = float(np.mean([figure.value for figure in figures]))
    error = float(np.mean([figure.standard_error for figure in figures]))
    return make_figure(value, error, round(np.mean([figure.rows for figure in figures])))


def describe_left_out(left_out: Mapping[str, LeftOut]) -> list[str]:
    """A sentence for each reason for which rows were not evaluated, with the first of their ids."""
    return [
        f"not evaluated: {rows.count} rows, {why} (first: {', '.join(rows.ids)})"
        for why, rows in left_out.items()
    ]


def _replay_cell(runs: Sequence[ReplayResult], outcome: str, force: bool) -> str:
    refused = bool(refusals_over_replays(runs, outcome))
    make_figure = mean_over_replays(runs, outcome)
    if refused and not force:
        return REFUSED
    if make_figure is None:
        return UNKNOWN
    value, low, high, decimals = scale_for_table(make_figure, outcome)
    mark, reach = "!" if refused else "", (high - low) / 2.0
    if reach <= _ALIKE * abs(value):  # without any spread the sample cannot estimate an interval
        return f"{value:.{decimals}f}{mark} (all alike)"
    return format_interval(value, low, high, max(decimals, 1 - math.floor(math.log10(reach))), mark)
