"""Lines over time, each with the band of its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bandit_router.server.dashboard.charts.markup import Markup, make_element, make_number
from bandit_router.server.dashboard.charts.plot import SPAN, Format, draw_plot, stretch
from bandit_router.server.dashboard.charts.scale import AxisScale, fit_scale


class LinePoint(NamedTuple):
    """A value with its interval; without one, both ends are None."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of one colour class. ``points`` has one for each slot along x, None where there is no value."""

    name: str
    colour: str
    points: Sequence[LinePoint | None]


def draw_lines(
    title: str,
    description: str,
    labels: Sequence[str],
    lines: Sequence[Line],
    *,
    number_format: Format,
    least: float | None = None,
) -> Markup:
    """The lines; the scale holds all values, the ends of their intervals, and ``least`` if given.

    Values that are not finite are left out.
    """
    scale = fit_scale((v for line in lines for v in _list_values(line)), least=least)
    marks = [
        stretch(
            *(area for line in lines for area in _draw_band(line, scale)),
            *(path for line in lines for path in _draw_line(line, scale)),
        )
    ]
    notes = [_describe_slot(i, label, lines, number_format) for i, label in enumerate(labels)]
    return draw_plot(title, description, labels, scale, marks, notes, number_format=number_format)


def find_runs(points: Sequence[LinePoint | None]) -> Iterator[list[tuple[int, LinePoint]]]:
    """The runs of slots that have a finite value, without a gap in any of them."""
    run: list[tuple[int, LinePoint]] = []
    for i, point in enumerate(points):
        if point is not None and math.isfinite(point.value):
            run.append((i, point))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _list_values(line: Line) -> Iterator[float]:
    for point in line.points:
        if point is not None:
            yield from (value for value in point if value is not None)


def _draw_line(line: Line, scale: AxisScale) -> Iterator[Markup]:
    for run in find_runs(line.points):
        places = [_place(line, i, point.value, scale) for i, point in run]
        if len(places) == 1:  # a line of no length is a dot, for its round ends
            dot = " ".join(2 * places)
            yield make_element("polyline", points=dot, class_=f"line dot {line.colour}")
        else:
            yield make_element("polyline", points=" ".join(places), class_=f"line {line.colour}")


def _draw_band(line: Line, scale: AxisScale) -> Iterator[Markup]:
    for run in find_runs([point if _has_interval(point) else None for point in line.points]):
        above = [_place(line, i, point.high or 0.0, scale) for i, point in run]
        below = [_place(line, i, point.low or 0.0, scale) for i, point in reversed(run)]
        if len(run) > 1:
            yield make_element("polygon", points=" ".join(above + below), class_=f"band {line.colour}")
        else:
            yield make_element("polyline", points=" ".join(above + below), class_=f"whisker {line.colour}")


def _has_interval(point: LinePoint | None) -> bool:
    if point is None or point.low is None or point.high is None:
        return False
    return math.isfinite(point.low) and math.isfinite(point.high)


def _place(line: Line, i: int, value: float, scale: AxisScale) -> str:
    x, y = SPAN * (i + 0.5) / len(line.points), SPAN * (1.0 - scale.place(value))
    return f"{make_number(x)},{make_number(y)}"


def _describe_slot(i: int, label: str, lines: Sequence[Line], number_format: Format) -> str:
    """The numbers of one slot, a line each."""
    said = [label]
    for line in lines:
        point = line.points[i]
        if point is not None:
            text = f"{line.name}: {number_format(point.value)}"
            if _has_interval(point):
                text += f" ({number_format(point.low)} to {number_format(point.high)})"
            said.append(text)
    return "\n".join(said)
