"""Validation of callers' values: texts, numbers, names, ids, and the hash that identifies a request."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import uuid_utils

from bandit_router.errors import InvalidInput

KEY_CHARS = 255
NAME_CHARS = 128
USER_CHARS = 256
TASK_CHARS = 200
MOST_RECENT = 20_000
"""Newest rewards that calibration reads at once, and as many costs."""

_ID_CHARS = 36
_CANONICAL_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUIDS = (uuid.UUID, uuid_utils.UUID)
_BOOLEANS = (bool, np.bool_)
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


def read_task(field: str, value: object) -> str:
    """The name of a task without the white space around it. Raises InvalidInput."""
    name = check_string(field, value).strip()
    check_text(field, name, TASK_CHARS)
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidInput(field, "contains a control character", "remove it")
    return name


def is_number_type(kind: type) -> bool:
    """Whether values of this type are real numbers: of Python, numpy, Decimal or Fraction."""
    return kind is not bool and issubclass(kind, Real | Decimal)


def convert_to_float(value: object, *, booleans: bool = False) -> float | None:
    """``value`` as a float if it is a real number of any library; None for anything else.

    ``booleans`` count as 1 and 0 where they are allowed. A number beyond float64 is infinite.
    """
    if isinstance(value, _BOOLEANS):
        return float(value) if booleans else None
    if not is_number_type(type(value)):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # an int or a Fraction
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    except ValueError:  # a signalling NaN
        return math.nan


def read_number(
    field: str, value: object, *, least: float = 0.0, most: float = _LARGEST_NUMBER, booleans: bool = False
) -> float:
    """The number as a float from ``least`` to ``most``, see :func:`convert_to_float`. Raises InvalidInput."""
    fix = f"give a number in [{least:g}, {most:g}]"
    number = convert_to_float(value, booleans=booleans)
    if number is None:
        raise InvalidInput(field, f"is {type(value).__name__}, not a number", fix)
    if not least <= number <= most:  # also false for NaN
        raise InvalidInput(field, "is out of range", fix)
    return number


def check_number(field: str, value: object, default: float, most: float = _LARGEST_NUMBER) -> float:
    """The value, a number from 0 to ``most``, or the default if it is None. Raises InvalidInput."""
    return default if value is None else read_number(field, value, most=most)


def check_boolean(field: str, value: object) -> None:
    """Raise InvalidInput unless ``value`` is None or a truth value."""
    if value is not None and not isinstance(value, _BOOLEANS):
        raise InvalidInput(field, f"is {value!r:.40}", "give true or false")


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


def read_id(decision_id: object, field: str = "decision_id") -> str:
    """A decision id in the form it is logged in, from any form of a UUID. Raises InvalidInput.

    A UUID object, capitals, missing hyphens, braces and ``urn:uuid:`` are the same id. Another text of at
    most 36 characters is returned as it is: no decision has it.
    """
    text = check_string(field, str(decision_id) if isinstance(decision_id, _UUIDS) else decision_id)
    if _CANONICAL_ID.fullmatch(text):
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError:
        check_text(field, text, _ID_CHARS)
        return text


def check_last(last: int) -> None:
    """Raise InvalidInput unless this number of newest rewards may be requested."""
    if isinstance(last, bool) or not isinstance(last, int) or not 1 <= last <= MOST_RECENT:
        raise InvalidInput("last", f"is {last!r:.80}", f"give a whole number in [1, {MOST_RECENT}]")


def check_trust(trust: object) -> float | None:
    """The number of queries that evidence may count for; None for no limit. Raises InvalidInput."""
    if trust is None:
        return None
    number = convert_to_float(trust)
    if number is None or not 0.0 <= number <= _LARGEST_NUMBER:
        fix = f"give queries, a number in [0, {_LARGEST_NUMBER:g}]"
        raise InvalidInput("trust", f"is {trust!r:.80}", fix)
    return number


def hash_request(idempotency_key: str | None, *content: Any) -> str:
    """The hash of a request with an idempotency key, empty without a key. Raises InvalidInput."""
    if idempotency_key is None:
        return ""
    try:
        text = json.dumps(content, sort_keys=True, default=to_json_type)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput("query", "holds what JSON cannot", "send text, numbers and lists") from None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def to_json_type(value: Any) -> Any:
    """Convert numbers, arrays, mappings and sequences of other libraries to types that json.dumps accepts."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    number = convert_to_float(value)
    return list(value) if number is None else number
