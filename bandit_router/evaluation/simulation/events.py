"""Events in a stream: prices change, models degrade, arms join and leave.

An event is text, ``KIND:ARM@QUERY`` or ``KIND:ARM@QUERY=VALUE``:

    price:gpt-4o@2500=0.1      from query 2500 on, calls of gpt-4o cost a tenth
    quality:gpt-4o@2500=small  from query 2500 on, its answers are as good as those of ``small``
    join:gpt-4o@1000           the arm exists from query 1000 on
    leave:gpt-4o@1000          the arm exists before query 1000 only
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import FloatArray


@dataclass(frozen=True, slots=True)
class Event:
    """A change to one arm at one query, counted from 0."""

    kind: str
    arm: str
    at: int
    value: str = ""

    def __str__(self) -> str:
        change = f"={self.value}" if self.kind in _WITH_VALUE else ""
        return f"event {self.kind}:{self.arm}@{self.at}{change}"


def parse_event(text: str) -> Event:
    """Parse an event. Raises ConfigError for text that is not one."""
    kind, colon, rest = text.partition(":")
    place, equals, value = rest.rpartition("=") if kind in _WITH_VALUE else (rest, "", "")
    arm, sign, query = place.rpartition("@")
    if not colon or kind not in _EVENTS:
        raise ConfigError(f"event {text!r}: begin with one of {', '.join(f'{name}:' for name in _EVENTS)}")
    if kind in _WITH_VALUE and not equals:
        raise ConfigError(f"event {text!r}: say what it becomes, as in {kind}:{rest or 'ARM@QUERY'}=VALUE")
    if not sign or not query.isdecimal():
        raise ConfigError(f"event {text!r}: say when, as in {kind}:{arm or 'ARM'}@2500")
    return Event(kind, arm, int(query), value)


def apply_events(stream: Stream, events: Sequence[Event]) -> Stream:
    """The stream with these events applied, in the order given.

    Raises InvalidInput for an unknown arm, a query after the last, or if no arm is left; ConfigError for
    an invalid factor.
    """
    for event in events:
        if event.at >= len(stream):
            fix = f"the stream has {len(stream)} queries, counted from 0; give less than {len(stream)}"
            raise InvalidInput(str(event), "would never happen", fix)
        stream = _EVENTS[event.kind](stream, event)
    return stream


def _change_price(stream: Stream, event: Event) -> Stream:
    factor = _read_factor(event)
    k, changed = _find_column(stream, event, event.arm), {}
    for name in ("cost_usd", "expected_cost_usd"):
        changed[name] = getattr(stream, name).copy()
        changed[name][event.at :, k] *= factor
    return replace(stream, **changed)


def _change_quality(stream: Stream, event: Event) -> Stream:
    quality: FloatArray = stream.quality.copy()
    to, like = (_find_column(stream, event, arm) for arm in (event.arm, event.value))
    quality[event.at :, to] = quality[event.at :, like]
    return replace(stream, quality=quality)


def _join_arm(stream: Stream, event: Event) -> Stream:
    eligible = stream.eligible.copy()
    eligible[: event.at, _find_column(stream, event, event.arm)] = False
    return replace(stream, eligible=eligible)


def _remove_arm(stream: Stream, event: Event) -> Stream:
    eligible = stream.eligible.copy()
    eligible[event.at :, _find_column(stream, event, event.arm)] = False
    return replace(stream, eligible=eligible)


def _find_column(stream: Stream, event: Event, arm: str) -> int:
    try:
        return stream.index(arm)
    except InvalidInput as error:
        raise InvalidInput(str(event), error.problem, error.fix) from None


def _read_factor(event: Event) -> float:
    try:
        factor = float(event.value)
    except ValueError:
        factor = math.nan
    if not 0 <= factor < math.inf:
        raise ConfigError(f"{event}: {event.value!r} is not a factor; give a number of at least 0")
    return factor


_EVENTS: Mapping[str, Callable[[Stream, Event], Stream]] = {
    "price": _change_price,
    "quality": _change_quality,
    "join": _join_arm,
    "leave": _remove_arm,
}
_WITH_VALUE = ("price", "quality")
