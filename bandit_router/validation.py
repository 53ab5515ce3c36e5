"""Validation of callers' values, texts, numbers and names, and the hash that identifies a request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from bandit_router.errors import InvalidInput

KEY_CHARS = 255
NAME_CHARS = 128
MOST_RECENT = 20_000
"""Newest rewards that calibration reads at once, and as many costs."""

_ID_CHARS = 36
_MOST_NAMES = 256
_LARGEST_NUMBER = 1e9


def check_string(field: str, value: object) -> str:
    """``value`` if it is a string. Raises InvalidInput."""
    if value is None:
        raise InvalidInput(field, "is missing", "send a string")
    if not isinstance(value, str):
        raise InvalidInput(field, f"is {type(value).__name__}, not text", "send a string")
    return value


def check_text(field: str, text: str | None, max_chars: int | None = None) -> None:
    """Raise InvalidInput unless ``text`` is None or can be tokenized, logged and stored everywhere.

    That is: not empty, at most ``max_chars`` characters, no NUL (PostgreSQL refuses it) and no lone
    surrogate (UTF-8 cannot hold it).
    """
    if text is None:
        return
    if not check_string(field, text):
        raise InvalidInput(field, "is empty", "send some text")
    if max_chars is not None and len(text) > max_chars:
        raise InvalidInput(field, f"has {len(text)} characters", f"send at most {max_chars}")
    if "\0" in text:
        raise InvalidInput(field, "contains a NUL character", "remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput(field, "contains a lone surrogate", "send valid Unicode text") from None


def check_number(field: str, value: float | None, default: float, most: float = _LARGEST_NUMBER) -> float:
    """The value, a number from 0 to ``most``, or the default if it is None. Raises InvalidInput."""
    if value is None:
        return default
    fix = f"give a number in [0, {most:g}]"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidInput(field, f"is {type(value).__name__}, not a number", fix)
    if not 0.0 <= value <= most:
        raise InvalidInput(field, "is out of range", fix)
    return float(value)


def check_count(field: str, value: int | None) -> None:
    """Raise InvalidInput unless ``value`` is None or a whole number from 0 to 1e9."""
    if value is None:
        return
    fix = f"give a whole number in [0, {_LARGEST_NUMBER:g}]"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidInput(field, f"is {type(value).__name__}, not a whole number", fix)
    if not 0 <= value <= _LARGEST_NUMBER:
        raise InvalidInput(field, "is out of range", fix)


def check_names(field: str, names: object) -> None:
    """Raise InvalidInput unless ``names`` is None or a list of at most 256 names."""
    if names is None:
        return
    if isinstance(names, str | bytes) or not isinstance(names, Sequence):
        raise InvalidInput(field, f"is {type(names).__name__}, not a list", "send a list of names")
    if len(names) > _MOST_NAMES:
        raise InvalidInput(field, f"has {len(names)} names", f"send at most {_MOST_NAMES}")
    for i, name in enumerate(names):
        check_text(f"{field}[{i}]", "" if name is None else name, NAME_CHARS)


def check_id(decision_id: str | None, field: str = "decision_id") -> None:
    """Raise InvalidInput unless the id is None or short enough for a decision id."""
    check_text(field, decision_id, _ID_CHARS)


def check_last(last: int) -> None:
    """Raise InvalidInput unless this number of newest rewards may be requested."""
    if isinstance(last, bool) or not isinstance(last, int) or not 1 <= last <= MOST_RECENT:
        raise InvalidInput("last", f"is {last!r:.80}", f"give a whole number in [1, {MOST_RECENT}]")


def check_trust(trust: float | None) -> None:
    """Raise InvalidInput unless evidence may count for this many queries, or the trust is None."""
    if trust is not None and not 0.0 <= trust <= _LARGEST_NUMBER:
        raise InvalidInput("trust", f"is {trust}", f"give queries, a number in [0, {_LARGEST_NUMBER:g}]")


def hash_request(idempotency_key: str | None, *content: Any) -> str:
    """The hash of a request with an idempotency key, empty without a key. Raises InvalidInput."""
    if idempotency_key is None:
        return ""
    try:
        text = json.dumps(content, sort_keys=True, default=_to_json_type)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput("query", "holds what JSON cannot", "send text, numbers and lists") from None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _to_json_type(value: Any) -> Any:
    """Convert numpy numbers and arrays, mappings and sequences to types that json.dumps accepts."""
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else list(value)
