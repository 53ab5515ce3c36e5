"""Scales: from values to places in a picture, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_ALIKE = 1e-9


class AxisScale(NamedTuple):
    """The values from ``low`` to ``high``, with ``ticks`` at round numbers from one to the other."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value lies, from 0 at ``low`` to 1 at ``high``; values beyond lie at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


def fit_scale(values: Iterable[float], *, least: float | None = None, steps: int = 4) -> AxisScale:
    """A scale of at most ``steps`` steps that holds all finite values, and ``least`` if given.

    Values that are all alike, or none, get a step or two around them.
    """
    finite = [value for value in values if math.isfinite(value)]
    if least is not None:
        finite.append(least)
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if high - low <= _ALIKE * max(abs(low), abs(high)):
        room = abs(high) / 2.0 or 1.0
        low, high = low if low == least else low - room, high + room
    step = _choose_step((high - low) / steps)
    while _last_step(high, step) - _first_step(low, step) > steps:
        step = _choose_step(1.01 * step)
    ticks = tuple(step * i for i in range(_first_step(low, step), _last_step(high, step) + 1))
    return AxisScale(ticks[0], ticks[-1], ticks)


def _first_step(low: float, step: float) -> int:
    return math.floor(low / step + _ALIKE)


def _last_step(high: float, step: float) -> int:
    return math.ceil(high / step - _ALIKE)


def _choose_step(least: float) -> float:
    """The smallest round number that is no less."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in _STEPS if power * step >= least * (1.0 - _ALIKE))
