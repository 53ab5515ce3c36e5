"""Numbers and times as people read them: few digits, their unit, and a dash where there is nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeGuard

NOTHING = "–"


def format_count(value: float | None) -> str:
    """An integer with thin groups of three: 12 345."""
    return f"{value:,.0f}".replace(",", "\u202f") if _is_number(value) else NOTHING


def format_share(value: float | None) -> str:
    """A share of one in percent: 12.3%."""
    return f"{100.0 * value:.1f}%" if _is_number(value) else NOTHING


def format_number(value: float | None) -> str:
    """Any number, with three digits: 0.834."""
    return _negate(value, f"{abs(value):.3g}") if _is_number(value) else NOTHING


def format_score(value: float | None) -> str:
    """A score in [0, 1], with three places: 0.800."""
    return _negate(value, f"{abs(value):.3f}") if _is_number(value) else NOTHING


def format_usd(value: float | None) -> str:
    """An amount of money, with the digits that it needs: $1,234, $1.50, $0.00123."""
    if not _is_number(value):
        return NOTHING
    size = abs(value)
    if size >= 1000.0:
        return _negate(value, f"${size:,.0f}")
    if size >= 1.0 or size == 0.0:
        return _negate(value, f"${size:.2f}")
    return _negate(value, f"${_drop_exponent(size)}")


def format_seconds(value: float | None) -> str:
    """A time in its natural unit: 340 ms, 1.20 s, 5.0 min, 3.1 h, 2.0 d."""
    if not _is_number(value):
        return NOTHING
    for unit, seconds in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if value >= 2.0 * seconds:
            return f"{value / seconds:.1f} {unit}"
    return f"{value:.2f} s" if value >= 1.0 else f"{1000.0 * value:.0f} ms"


def format_time(at: float | None) -> str:
    """A Unix time as UTC, to the second."""
    return _format_utc(at, "%Y-%m-%d %H:%M:%S")


def format_day(at: float | None) -> str:
    """The day of a Unix time, UTC: 12 Nov."""
    return _format_utc(at, "%-d %b")


def format_hour(at: float | None) -> str:
    """The hour of a Unix time, UTC: 12 Nov 14:00."""
    return _format_utc(at, "%-d %b %H:%M")


def _format_utc(at: float | None, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form) if _is_number(at) else NOTHING


def _drop_exponent(size: float) -> str:
    """A number below one with three digits that count, without an exponent down to a billionth."""
    if size < 1e-9:
        return f"{size:.0e}"
    places = 2 - math.floor(math.log10(size))
    return f"{size:.{places}f}".rstrip("0")


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _negate(value: float, text: str) -> str:
    return f"−{text}" if value < 0.0 else text


FILTERS: Mapping[str, Callable[[float | None], str]] = {
    "count": format_count,
    "share": format_share,
    "number": format_number,
    "score": format_score,
    "usd": format_usd,
    "seconds": format_seconds,
    "time": format_time,
    "day": format_day,
    "hour": format_hour,
}
"""The filters of templates, by name."""
