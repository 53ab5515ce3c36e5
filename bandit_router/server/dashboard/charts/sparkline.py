"""A line without axes, small enough to stand beside a number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandit_router.server.dashboard.charts.lines import LinePoint, find_runs
from bandit_router.server.dashboard.charts.markup import Markup, make_element, make_number

_WIDTH, _HEIGHT = 100.0, 24.0


def draw_sparkline(values: Sequence[float | None]) -> Markup:
    """The line through the values, from the least to the largest; gaps where there is none.

    It is for the eye only: the numbers stand beside it and in a table.
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def place(i: int, value: float) -> str:
        height = 0.5 if high == low else (value - low) / (high - low)
        x = _WIDTH * (i + 0.5) / len(values)
        return f"{make_number(x)},{make_number(_HEIGHT * (0.95 - 0.9 * height))}"

    lines = []
    for run in find_runs([None if value is None else LinePoint(value) for value in values]):
        places = [place(i, point.value) for i, point in run]
        lines.append(make_element("polyline", points=" ".join(places * 2 if len(places) == 1 else places)))
    return make_element(
        "svg",
        *lines,
        class_="spark",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
