"""The window of time that a page looks at, in slots of an hour, a day or a week, UTC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bandit_router.errors import InvalidInput
from bandit_router.insight.question import STEPS
from bandit_router.server.dashboard.formats import format_day, format_hour
from bandit_router.server.dashboard.query_fields import read_choice, read_time
from bandit_router.store.rollups.tally import DAY_H, HOUR_S

_MOST_SLOTS = 400
_MOST_HOURLY_H = 2 * DAY_H
_MOST_DAILY_H = 100 * DAY_H


class WindowSpan(StrEnum):
    """The windows that a page offers; each ends now."""

    DAY = "24h"
    WEEK = "7d"
    FORTNIGHT = "14d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "365d"

    @property
    def hours(self) -> int:
        """How long it is."""
        return int(self[:-1]) * (1 if self.endswith("h") else DAY_H)


class Step(StrEnum):
    """The length of a slot."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def hours(self) -> int:
        """How long it is."""
        return STEPS[self]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The hours ``first`` ≤ hour < ``end``, as hours since 1970 UTC, in slots of one step."""

    first: int
    end: int
    step: Step

    @property
    def step_h(self) -> int:
        """The hours of a slot."""
        return self.step.hours

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return (self.end - self.first) // self.step_h

    @property
    def labels(self) -> list[str]:
        """The beginnings of all slots, for people."""
        form = format_hour if self.step is Step.HOUR else format_day
        return [form(hour * HOUR_S) for hour in range(self.first, self.end, self.step_h)]


def read_window(query: Mapping[str, str], now: float) -> Window:
    """The window of a page's address, two weeks by default: whole slots, up to the present one.

    Raises InvalidInput.
    """
    span = read_choice(query, "range", WindowSpan) or WindowSpan.FORTNIGHT
    until = read_time(query, "until", end_of_day=True)
    since = read_time(query, "since")
    end = math.floor(now / HOUR_S) + 1 if until is None else math.ceil(until / HOUR_S)
    first = end - span.hours if since is None else math.floor(since / HOUR_S)
    if first >= end:
        raise InvalidInput("since", "is not before until", "choose an earlier time")
    step = read_choice(query, "step", Step) or _choose_step(end - first)
    end += -end % step.hours
    if since is None:
        first = end - (span.hours + -span.hours % step.hours)
    first = max(0, first)
    window = Window(first=first - first % step.hours, end=end, step=step)
    if window.slots > _MOST_SLOTS:
        fix = f"choose a longer step; a page has {_MOST_SLOTS} slots at most"
        raise InvalidInput("step", f"makes {window.slots} {step}s of this window", fix)
    return window


def _choose_step(hours: int) -> Step:
    """As fine as the window allows."""
    if hours <= _MOST_HOURLY_H:
        return Step.HOUR
    return Step.DAY if hours <= _MOST_DAILY_H else Step.WEEK
