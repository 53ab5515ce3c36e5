"""Questions: what figures are asked for, in the words of a URL or a command, checked.

Times are UTC. The URL is all the state that a page has, so that every part of a question is a short text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bandit_router.errors import InvalidInput
from bandit_router.insight.table import Dimension
from bandit_router.store.rollups.reader import WEEK_H, RollupFilter
from bandit_router.store.rollups.tally import DAY_H, HOUR_S, Cube, find_hour
from bandit_router.validation import KEY_CHARS, check_names, check_text

BY = ("time", "arm", "reason", "tier", "key", "task")
"""What figures can be told apart by; of the last three, one."""

STEPS = {"hour": 1, "day": DAY_H, "week": WEEK_H}
"""Hours of each step of time."""

_DIMENSIONS = {dimension.value: dimension for dimension in (Dimension.TIME, Dimension.ARM, Dimension.REASON)}
_MEMBERS = {cube.value: cube for cube in (Cube.TIER, Cube.KEY, Cube.TASK)}
_SPANS = {"h": 1, "d": DAY_H, "w": WEEK_H}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([hdw])", re.ASCII)
_DEFAULT_SINCE = "7d"
_APART = "give one of them: their sums are kept apart"
_MOST_HOURLY = 3 * DAY_H
_MOST_DAILY = 180 * DAY_H
_LATEST_S = 1e11


@dataclass(frozen=True, kw_only=True, slots=True)
class RollupQuestion:
    """Which roll-ups to read, and what to tell apart in them; ``now`` is Unix time, seconds."""

    rollups: RollupFilter
    by: frozenset[Dimension]
    now: float


def parse_question(
    now: float,
    *,
    since: str | None = None,
    until: str | None = None,
    step: str | None = None,
    by: str | None = None,
    arms: Sequence[str] = (),
    reasons: Sequence[str] = (),
    tier: str | None = None,
    key: str | None = None,
    task: str | None = None,
) -> RollupQuestion:
    """The question that these texts are, at the Unix time ``now``; an empty text is as good as none.

    Args:
        now: Unix time, seconds.
        since: ``2026-11-01``, ``2026-11-01T12:00`` or a span before ``until``: ``36h``, ``7d`` or ``4w``.
        until: A time in one of the first two forms; now by default.
        step: ``hour``, ``day`` or ``week``; by default as fine as the span allows.
        by: Names of :data:`BY`, separated by commas; ``arm`` by default.
        arms, reasons: The only ones to count; all by default.
        tier, key, task: The only one to count; at most one of the three.

    Raises InvalidInput.
    """
    arms, reasons = [arm for arm in arms if arm], [reason for reason in reasons if reason]
    check_names("arm", arms)
    check_names("reason", reasons)
    only = {Cube.TIER: tier or None, Cube.KEY: key or None, Cube.TASK: task or None}
    for cube, member in only.items():
        check_text(cube.value, member, KEY_CHARS)
    dimensions, split_by = _parse_by(by or "arm")
    others = [cube.value for cube, member in only.items() if member and split_by not in (None, cube)]
    if others:
        raise InvalidInput("by", f"is {split_by}, and comes with {others[0]}", _APART)
    end = _ceil(_parse_time("until", until) if until else now)
    start = _parse_since(since or _DEFAULT_SINCE, end)
    hours = _choose_step(step, end - start, daily=split_by is not None or any(only.values()))
    align = min(hours, DAY_H)
    rollups = RollupFilter(
        since=start - start % align,
        until=end + -end % align,
        step=hours,
        arms=tuple(arms),
        reasons=tuple(reasons),
        tier=only[Cube.TIER],
        key_id=only[Cube.KEY],
        task=only[Cube.TASK],
        split_by=split_by,
    )
    return RollupQuestion(rollups=rollups, by=dimensions, now=now)


def _parse_by(text: str) -> tuple[frozenset[Dimension], Cube | None]:
    """What to tell apart, and the cube whose members are."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in BY:
            raise InvalidInput("by", f"{name!r} is unknown", f"use {', '.join(BY)}")
    members = [_MEMBERS[name] for name in names if name in _MEMBERS]
    if len(members) > 1:
        raise InvalidInput("by", "names two of tier, key and task", _APART)
    dimensions = frozenset(_DIMENSIONS.get(name, Dimension.MEMBER) for name in names)
    return dimensions, members[0] if members else None


def _parse_since(text: str, end: int) -> int:
    span = _SPAN.fullmatch(text)
    start = end - int(span[1]) * _SPANS[span[2]] if span else find_hour(_parse_time("since", text))
    if start >= end:
        raise InvalidInput("since", f"{text} is not before until", "give an earlier time")
    return max(0, start)


def _parse_time(field: str, text: str) -> float:
    """Unix time, seconds, of an ISO 8601 date or time, which is UTC unless it says otherwise."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(field, f"{text!r} is no time", "write 2026-11-01 or 2026-11-01T12:00") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _choose_step(step: str | None, span: int, *, daily: bool) -> int:
    if not step:
        if span <= _MOST_HOURLY and not daily:
            return STEPS["hour"]
        return STEPS["day"] if span <= _MOST_DAILY else STEPS["week"]
    if step not in STEPS:
        raise InvalidInput("step", f"{step!r} is unknown", f"use {', '.join(STEPS)}")
    if STEPS[step] < DAY_H and daily:
        raise InvalidInput("step", "is hour, and tiers, keys and tasks are summed by day", "use day or week")
    return STEPS[step]


def _ceil(at: float) -> int:
    """The first hour that does not contain anything before a Unix time."""
    return math.ceil(min(_LATEST_S, max(1.0, at)) / HOUR_S)
