"""What a panel is made of: text, charts with their legends, tables, and what to do while it is empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bandit_router.server.dashboard import formats
from bandit_router.server.dashboard.charts.markup import Markup

COLOURS = tuple(f"c{i}" for i in range(8))
"""The colour classes of arms; a ninth arm has that of the first."""


class Value(NamedTuple):
    """A number in a table: exact for programs, and as people read it; ``detail`` stands under it."""

    number: float | None
    text: str
    detail: str = ""


Cell = str | Value | Markup
"""A cell of a table; markup is a small picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table; the first cell of each row names it."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class LegendEntry(NamedTuple):
    """A name with its colour class."""

    name: str
    colour: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A picture, what its colours mean, and the same numbers as a table."""

    picture: Markup
    table: Table
    legend: Sequence[LegendEntry] = ()


class Hint(NamedTuple):
    """Why a panel is empty, and the command or settings that fill it."""

    text: str
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel. ``wide`` ones take the whole width; an empty one has nothing but a hint."""

    id: str
    title: str
    note: str = ""
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    hint: Hint | None = None
    wide: bool = False


def show(number: float | None, number_format: Callable[[float | None], str], detail: str = "") -> Value:
    """A number in a form of :mod:`bandit_router.server.dashboard.formats`."""
    return Value(number, number_format(number), detail)


def count(number: float) -> Value:
    """A number of things."""
    return show(number, formats.format_count)


def find_colours(arms: Sequence[str]) -> dict[str, str]:
    """The colour class of each arm, by name: the same on every chart."""
    return {arm: COLOURS[i % len(COLOURS)] for i, arm in enumerate(sorted(set(arms)))}
