"""Fields of a page's address: the address is the state of the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from bandit_router.errors import InvalidInput
from bandit_router.validation import KEY_CHARS, check_text

Chosen = TypeVar("Chosen", bound=StrEnum)

_DAY_S = 86_400.0
_DATE_CHARS = len("2026-11-30")


def read_text(query: Mapping[str, str], field: str) -> str | None:
    """The text of a field; None if it is left empty. Raises InvalidInput."""
    text = query.get(field, "").strip()
    if not text:
        return None
    check_text(field, text, KEY_CHARS)
    return text


def read_choice(query: Mapping[str, str], field: str, choices: type[Chosen]) -> Chosen | None:
    """One of the choices; None if the field is left empty. Raises InvalidInput."""
    text = read_text(query, field)
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError:
        raise InvalidInput(field, f"{text!r} is unknown", f"use one of {', '.join(choices)}") from None


def read_time(query: Mapping[str, str], field: str, *, end_of_day: bool = False) -> float | None:
    """A date, or a date with a time, of UTC, as Unix time; None if the field is left empty.

    With ``end_of_day`` a date without a time is its end. Raises InvalidInput.
    """
    text = read_text(query, field)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(field, f"{text!r} is no date", "use a form such as 2026-11-30T14:00") from None
    begin = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return begin + _DAY_S if end_of_day and len(text) == _DATE_CHARS else begin
