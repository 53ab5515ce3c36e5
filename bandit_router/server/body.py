"""Strict JSON bodies: what other parsers let pass is refused here, before anything reads it."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

from bandit_router.errors import InvalidInput
from bandit_router.server.problems import BadRequest
from bandit_router.validation import check_text

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32

_JSON = "application/json"

# Possessive, and matching where the closing quote is missing: else hostile text takes quadratic time.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[{}\[\]]")

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body]) -> Body:
    """The request's body as ``model``.

    Raises BadRequest for what is not one JSON object of at most 256 KiB without duplicate keys or deep
    nesting, InvalidInput for a number that is not finite, a NUL or a lone surrogate anywhere in it, and
    ValidationError for what ``model`` refuses.
    """
    media_type = request.headers.get("content-type", "")
    if media_type != _JSON and media_type.partition(";")[0].strip().lower() != _JSON:
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send Content-Type: {_JSON}")
    return model.model_validate(parse(await _read(request)))


async def _read(request: Request) -> bytearray:
    announced = request.headers.get("content-length", "0")
    received, more = bytearray(), True
    while more:
        if len(received) > MAX_BYTES or (announced.isdecimal() and int(announced) > MAX_BYTES):
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body exceeds {MAX_BYTES} bytes")
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest(HTTPStatus.BAD_REQUEST, "the connection closed before the end")
        received += message.get("body", b"")
        more = message.get("more_body", False) or len(received) > MAX_BYTES
    return received


def parse(raw: bytes | bytearray) -> dict[str, Any]:
    """One JSON object. Raises BadRequest or InvalidInput, which say what is wrong with it."""
    try:
        text = raw.decode("utf-8")
        if text.count("{") + text.count("[") > MAX_DEPTH:
            _check_depth(text)
        value = _decode(text)
    except InvalidInput:
        raise
    except UnicodeDecodeError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is not UTF-8") from None
    except ValueError as error:  # JSONDecodeError, and integers of more than 4,300 digits
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return value


def _decode(text: str) -> Any:
    """The JSON value of ``text``; looks into every value only when something may be wrong with one."""
    try:
        value = _STRICT.decode(text)
    except _NotFinite:
        value = _LENIENT.decode(text)  # so that the field can be named
    else:
        if "\\u" not in text:  # then there is neither a NUL nor a lone surrogate
            return value
    _check(value, "")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!r:.100} appears twice in one object")
    return members


class _NotFinite(Exception):
    """A number beyond float64 was read."""


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NotFinite
    return value


def _integer(text: str) -> int:
    if len(text) > sys.float_info.max_10_exp:
        raise _NotFinite
    return int(text)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_float=_number, parse_int=_integer, parse_constant=_number
)
_LENIENT = json.JSONDecoder(object_pairs_hook=_distinct)


def _check(value: Any, field: str) -> None:
    """Refuse what Python reads and others choke on: numbers beyond float64, NUL, lone surrogates."""
    if isinstance(value, str):
        if value:
            check_text(field, value)
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, field or "body")
            _check(member, f"{field}.{name}" if field else name)
    elif isinstance(value, list):
        for i, member in enumerate(value):
            _check(member, f"{field}[{i}]")
    elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:  # NaN compares false
        raise InvalidInput(field, "is not a finite number", "send one that fits a float64")


def _check_depth(text: str) -> None:
    """Count brackets outside strings, which needs no recursion, unlike parsing."""
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "{[" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
