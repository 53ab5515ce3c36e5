"""Bars over time, stacked to the whole: how much of each slot is of each name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bandit_router.server.dashboard.charts.markup import Markup, make_element
from bandit_router.server.dashboard.charts.plot import draw_plot, percent, place_y
from bandit_router.server.dashboard.charts.scale import AxisScale
from bandit_router.server.dashboard.formats import format_count, format_share

_SHARES = AxisScale(0.0, 1.0, (0.0, 0.5, 1.0))
_FILLED = 0.84  # of the width of a slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """What one name has of each slot along x, no less than 0, in its colour class."""

    name: str
    colour: str
    amounts: Sequence[float]


def draw_stacked_bars(title: str, description: str, labels: Sequence[str], stacks: Sequence[Stack]) -> Markup:
    """A bar of full height for each slot that has anything, divided by share; the first stack is lowest."""
    marks = [bar for i in range(len(labels)) for bar in _draw_slot(i, len(labels), stacks)]
    notes = [_describe_slot(i, label, stacks) for i, label in enumerate(labels)]
    return draw_plot(title, description, labels, _SHARES, marks, notes, number_format=format_share)


def _draw_slot(i: int, slots: int, stacks: Sequence[Stack]) -> Iterator[Markup]:
    total = sum(stack.amounts[i] for stack in stacks)
    if total <= 0.0:
        return
    below = 0.0
    for stack in stacks:
        above = below + stack.amounts[i] / total
        if above > below:
            y = place_y(_SHARES, above)
            yield make_element(
                "rect",
                x=percent((i + (1.0 - _FILLED) / 2.0) / slots),
                width=percent(_FILLED / slots),
                y=y,
                height=place_y(_SHARES, below) - y,
                class_=f"area {stack.colour}",
            )
        below = above


def _describe_slot(i: int, label: str, stacks: Sequence[Stack]) -> str:
    total = sum(stack.amounts[i] for stack in stacks)
    said = [f"{label}: {format_count(total)}"]
    said += [
        f"{stack.name}: {format_share(stack.amounts[i] / total)} ({format_count(stack.amounts[i])})"
        for stack in stacks
        if total > 0.0 and stack.amounts[i] > 0.0
    ]
    return "\n".join(said)
