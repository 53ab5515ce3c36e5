"""Charts over the slots of a window: a line for each series of estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bandit_router.insight.figures.base import Figure
from bandit_router.insight.intervals import Estimate
from bandit_router.server.dashboard.charts.lines import Line, LinePoint, draw_lines
from bandit_router.server.dashboard.charts.plot import Format
from bandit_router.server.dashboard.figures import Figures, Where
from bandit_router.server.dashboard.formats import format_count
from bandit_router.server.dashboard.panels.panel import Cell, Chart, LegendEntry, Table, Value, show

_BOUNDED = ("share", "reward")
"""Units whose values lie in [0, 1], as charts of them do; an interval may reach beyond."""


class Series(NamedTuple):
    """One line: its name, its colour class, and an estimate for each slot."""

    name: str
    colour: str
    estimates: Sequence[Estimate]


def list_series(figures: Figures, figure: Figure, colours: Mapping[str, str]) -> list[Series]:
    """A line for each arm that has values; ``colours`` are those of arms, by name."""
    series = [Series(arm, colours[arm], figures.course(figure, Where(arm=arm))) for arm in figures.arms]
    return [each for each in series if any(estimate.n for estimate in each.estimates)]


def chart_series(
    title: str,
    description: str,
    figures: Figures,
    series: Sequence[Series],
    *,
    unit: str,
    number_format: Format,
) -> Chart:
    """The lines, from 0 on, and a table with a column for each."""
    labels = figures.window.labels
    highest = 1.0 if unit in _BOUNDED else None
    lines = [
        Line(name=each.name, colour=each.colour, points=[_make_point(e, highest) for e in each.estimates])
        for each in series
    ]
    rows: list[Sequence[Cell]] = [
        (label, *(show_estimate(each.estimates[i], number_format) for each in series))
        for i, label in enumerate(labels)
        if any(each.estimates[i].n for each in series)
    ]
    head = (figures.window.step.capitalize(), *(each.name for each in series))
    return Chart(
        picture=draw_lines(title, description, labels, lines, number_format=number_format, least=0.0),
        table=Table(name=title, head=head, rows=rows),
        legend=[LegendEntry(each.name, each.colour) for each in series] if len(series) > 1 else (),
    )


def show_estimate(estimate: Estimate, number_format: Format) -> Value:
    """A number with its interval, if it has one."""
    detail = "" if estimate.low is None else describe_interval(estimate, number_format)
    return show(estimate.value, number_format, detail)


def describe_interval(estimate: Estimate, number_format: Format) -> str:
    """The interval of an estimate and its n, in words."""
    n = f"n = {format_count(estimate.n)}" if estimate.n else ""
    if estimate.low is None or estimate.high is None:
        return n
    return f"{number_format(estimate.low)} to {number_format(estimate.high)}, {n}"


def _make_point(estimate: Estimate, highest: float | None) -> LinePoint | None:
    """The point of a chart that begins at 0 and, for bounded units, ends at ``highest``."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None if value is None else LinePoint(value)
    return LinePoint(value, max(0.0, low), high if highest is None else min(highest, high))
