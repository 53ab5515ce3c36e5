"""The budget of a key: what its calls may cost in a day (UTC), reserved before a call and settled after it.

    left = budget − spent − reserved

Amounts are whole billionths of a dollar. Sums of them depend on no order, and come back to exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_DAY_S = 86_400
_PER_USD = 10**9
_MOST_USD = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class CallBudget:
    """The budget that a call is made on: its key's, and the most that a call of each arm may cost, USD."""

    key_id: str
    usd_per_day: float
    worst_usd: Mapping[str, float]


class KeyDay(NamedTuple):
    """A key, and a day as its number since 1970-01-01, UTC."""

    key_id: str
    day: int


class KeySpending(NamedTuple):
    """What the calls of a key cost in a day, and what those under way may cost yet, in billionths of USD.

    ``forgotten`` is the part of what is spent by calls that are not in the log any more.
    """

    reserved: int = 0
    spent: int = 0
    forgotten: int = 0

    @property
    def reserved_usd(self) -> float:
        """What is reserved, USD."""
        return to_usd(self.reserved)

    @property
    def spent_usd(self) -> float:
        """What is spent, USD."""
        return to_usd(self.spent)


def find_day(at: float) -> int:
    """The number of the day, UTC, of a Unix time."""
    return int(at // _DAY_S)


def find_end_of_day(day: int) -> float:
    """The Unix time at which that day ends, and budgets begin anew."""
    return float((day + 1) * _DAY_S)


def to_billionths(usd: float) -> int:
    """An amount in billionths of USD, rounded up: what is booked is never less than what it costs."""
    return math.ceil(min(usd, _MOST_USD) * _PER_USD)


def to_usd(billionths: int) -> float:
    """The amount in USD."""
    return billionths / _PER_USD
