"""What charts over time share: a plane that stretches with the page, labels that do not, places to point at.

x is in percent of the width; y in pixels, as the height is fixed. Lines and areas lie in a nested picture of
1000 by 1000 that is stretched over the plane.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from bandit_router.server.dashboard.charts.markup import Markup, make_element, make_image
from bandit_router.server.dashboard.charts.scale import AxisScale

_IDLE_ZEROS = re.compile(r"\.0+(?=\D|$)|(\.\d*?[1-9])0+(?=\D|$)")

HEIGHT = 190.0
TOP = 16.0
PLANE = 150.0
SPAN = 1000.0

Format = Callable[[float | None], str]


def percent(share: float) -> str:
    """A place along the width."""
    return f"{100.0 * share:.3f}".rstrip("0").rstrip(".") + "%"


def place_y(scale: AxisScale, value: float) -> float:
    """The place of a value in the plane, pixels from the top of the picture."""
    return TOP + PLANE * (1.0 - scale.place(value))


def draw_plot(
    title: str,
    description: str,
    labels: Sequence[str],
    scale: AxisScale,
    marks: Iterable[Markup],
    notes: Sequence[str],
    *,
    number_format: Format,
) -> Markup:
    """The picture: grid, ``marks``, labels of both axes, and a note at each of the slots along x."""
    return make_image(
        title,
        description,
        *_draw_grid(scale, number_format),
        *marks,
        *_draw_labels(labels),
        *_draw_notes(notes),
        class_="plot",
        width="100%",
        height=HEIGHT,
    )


def stretch(*children: Markup) -> Markup:
    """A plane of 1000 by 1000 over the whole plot."""
    return make_element(
        "svg",
        *children,
        x=0.0,
        y=TOP,
        width="100%",
        height=PLANE,
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
    )


def _draw_grid(scale: AxisScale, number_format: Format) -> Iterable[Markup]:
    for tick in scale.ticks:
        y = place_y(scale, tick)
        yield make_element("line", x1="0", x2="100%", y1=y, y2=y, class_="grid")
        yield make_element("text", _shorten(number_format(tick)), x=-8.0, y=y + 4.0, class_="tick end")


def _shorten(text: str) -> str:
    """A label without zeros that say nothing: 20%, 0.5, 3 s."""
    return _IDLE_ZEROS.sub(r"\1", text)


def _draw_labels(labels: Sequence[str]) -> Iterable[Markup]:
    """The first, the middle and the last label."""
    if not labels:
        return
    middle, y = len(labels) // 2, HEIGHT - 6.0
    yield make_element("text", labels[0], x="0", y=y, class_="tick")
    if len(labels) > 4:
        at = percent((middle + 0.5) / len(labels))
        yield make_element("text", labels[middle], x=at, y=y, class_="tick middle")
    if len(labels) > 1:
        yield make_element("text", labels[-1], x="100%", y=y, class_="tick end")


def _draw_notes(notes: Sequence[str]) -> Iterable[Markup]:
    """A strip for each slot that says its numbers when it is pointed at."""
    for i, note in enumerate(notes):
        x, width = percent(i / len(notes)), percent(1.0 / len(notes))
        title = make_element("title", note)
        yield make_element("rect", title, x=x, y=TOP, width=width, height=PLANE, class_="hit")
