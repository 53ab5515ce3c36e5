"""Calibration: what was predicted against what came, with intervals; on the diagonal both agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bandit_router.server.dashboard.charts.markup import Markup, make_element, make_image
from bandit_router.server.dashboard.formats import format_count, format_score

_SIZE = 280.0
_LEFT, _BOTTOM, _EDGE = 34.0, 34.0, 10.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Bin(NamedTuple):
    """Cases that were predicted about alike: mean prediction and mean outcome in [0, 1], with interval."""

    predicted: float
    observed: float
    low: float
    high: float
    n: int


def draw_calibration(title: str, description: str, bins: Sequence[Bin], colour: str = "accent") -> Markup:
    """A dot for each bin, at its prediction and its outcome."""
    return make_image(
        title,
        description,
        *_draw_frame(),
        *(mark for each in bins for mark in _draw_bin(each, colour)),
        class_="square",
        viewBox=f"0 0 {_SIZE:g} {_SIZE:g}",
    )


def _draw_frame() -> Iterator[Markup]:
    for tick in _TICKS:
        x, y, label = _place_x(tick), _place_y(tick), f"{tick:g}"
        yield make_element("line", x1=_LEFT, x2=_SIZE - _EDGE, y1=y, y2=y, class_="grid")
        yield make_element("text", label, x=_LEFT - 6.0, y=y + 4.0, class_="tick end")
        yield make_element("text", label, x=x, y=_SIZE - _BOTTOM + 14.0, class_="tick middle")
    yield make_element("text", "predicted", x=_place_x(0.5), y=_SIZE - 4.0, class_="tick middle")
    yield make_element(
        "line", x1=_place_x(0.0), y1=_place_y(0.0), x2=_place_x(1.0), y2=_place_y(1.0), class_="diagonal"
    )


def _draw_bin(each: Bin, colour: str) -> Iterator[Markup]:
    x = _place_x(each.predicted)
    y1, y2 = _place_y(each.low), _place_y(each.high)
    yield make_element("line", x1=x, x2=x, y1=y1, y2=y2, class_=f"mark {colour}")
    note = (
        f"predicted {format_score(each.predicted)}, came {format_score(each.observed)} "
        f"({format_score(each.low)} to {format_score(each.high)}), n = {format_count(each.n)}"
    )
    dot = make_element("title", note)
    yield make_element("circle", dot, cx=x, cy=_place_y(each.observed), r=4.0, class_=f"area {colour}")


def _place_x(value: float) -> float:
    return _LEFT + (_SIZE - _LEFT - _EDGE) * min(1.0, max(0.0, value))


def _place_y(value: float) -> float:
    return _EDGE + (_SIZE - _BOTTOM - _EDGE) * (1.0 - min(1.0, max(0.0, value)))
