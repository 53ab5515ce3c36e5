"""What is left out of an evaluation, counted and named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NAMED = 5
"""How many decisions of a kind are named by id."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many rows are left out for one reason, and the ids of the first few."""

    count: int
    ids: tuple[str, ...]

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.count + other.count, (self.ids + other.ids)[:NAMED])


def add_up(parts: Iterable[Mapping[str, LeftOut]]) -> dict[str, LeftOut]:
    """The same of several parts of a log, in their order."""
    found: dict[str, LeftOut] = {}
    for part in parts:
        for reason, rows in part.items():
            found[reason] = found[reason] + rows if reason in found else rows
    return found
