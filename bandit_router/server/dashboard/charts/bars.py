"""Bars within tables, beside their numbers: a share of one, and a value in [0, 1] with its interval."""

from __future__ import annotations

from bandit_router.server.dashboard.charts.markup import Markup, make_element
from bandit_router.server.dashboard.charts.plot import percent

_HEIGHT = 10.0


def draw_bar(share: float, colour: str = "accent") -> Markup:
    """A bar filled to a share in [0, 1]; beyond it is empty or full."""
    filled = make_element("rect", width=percent(_clip(share)), height="100%", class_=f"area {colour}")
    return _draw_track(filled)


def draw_interval(value: float, low: float, high: float, colour: str = "accent") -> Markup:
    """A mark at a value in [0, 1] within its interval; what lies beyond is cut."""
    begin, end = _clip(low), _clip(high)
    band = make_element(
        "rect", x=percent(begin), width=percent(max(0.0, end - begin)), height="100%", class_=f"soft {colour}"
    )
    at = percent(_clip(value))
    mark = make_element("line", x1=at, x2=at, y1="0", y2="100%", class_=f"mark {colour}")
    return _draw_track(band, mark)


def _draw_track(*marks: Markup) -> Markup:
    track = make_element("rect", width="100%", height="100%", class_="track")
    return make_element("svg", track, *marks, class_="bar", width="100%", height=_HEIGHT, aria_hidden="true")


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
