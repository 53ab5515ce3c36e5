"""Strict JSON request bodies: duplicate keys, deep nesting, NaN and broken Unicode are refused here."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

from bandit_router.errors import InvalidInput
from bandit_router.server.problems import BadRequest
from bandit_router.validation import check_text

MAX_BYTES = 256 * 1024
"""The limit of every body but that of a route request, which is a setting."""
MAX_DEPTH = 32
MAX_MARKS = 500_000
"""Most brackets and commas outside strings: a body of millions of tiny values takes seconds to read."""

_MOST_MEMBERS = 256
_BODIES_HELD = 8

_JSON = "application/json"

# Possessive, and matching without the closing quote: otherwise hostile text takes quadratic time.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[{}\[\]]")

Body = TypeVar("Body", bound=BaseModel)


class BodyMemory:
    """The bytes of the bodies that a worker holds, at most those of eight bodies of the largest size."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._free = _BODIES_HELD * max_bytes

    @contextmanager
    def hold(self) -> Iterator[HeldBody]:
        """One body, whose memory is free again after the block."""
        held = HeldBody(self)
        try:
            yield held
        finally:
            self._free += held.bytes

    def take(self, size: int) -> None:
        """Take so many bytes. Raises BadRequest when there are none left."""
        if size > self._free:
            detail = "too many large bodies at once; retry after a moment"
            raise BadRequest(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        self._free -= size


class HeldBody:
    """The part of a :class:`BodyMemory` that one body has taken so far."""

    def __init__(self, memory: BodyMemory) -> None:
        self.max_bytes = memory.max_bytes
        self.bytes = 0
        self._memory = memory

    def grow(self, size: int) -> None:
        """Take so many bytes more. Raises BadRequest when there are none left."""
        self._memory.take(size)
        self.bytes += size


async def read_body(request: Request, model: type[Body], held: HeldBody | None = None) -> Body:
    """The request's body as ``model``; ``held`` gives it memory and a limit other than 256 KiB.

    Raises BadRequest unless the body is one JSON object within its limit, without duplicate keys or deep
    nesting, and there is memory for it; InvalidInput for a number that is not finite, a NUL or a lone
    surrogate anywhere in it; and ValidationError when ``model`` refuses it.
    """
    require_json(request)
    raw = await read_bytes(request, held)
    if len(raw) > MAX_BYTES:  # other requests go on meanwhile
        content = await asyncio.to_thread(parse_json_object, raw)
    else:
        content = parse_json_object(raw)
    if len(content) > _MOST_MEMBERS:
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"the body has {len(content)} fields")
    return model.model_validate(content)


def require_json(request: Request) -> None:
    """Raise BadRequest for another media type. Pages of other sites cannot send this one unasked."""
    media_type = request.headers.get("content-type", "")
    if media_type != _JSON and media_type.partition(";")[0].strip().lower() != _JSON:
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send Content-Type: {_JSON}")


async def read_bytes(request: Request, held: HeldBody | None) -> bytearray:
    """The body, read up to its limit. Raises BadRequest."""
    max_bytes = MAX_BYTES if held is None else held.max_bytes
    announced = request.headers.get("content-length", "0")
    received, more = bytearray(), True
    while more:
        if len(received) > max_bytes or (announced.isdecimal() and int(announced) > max_bytes):
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body exceeds {max_bytes} bytes")
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest(HTTPStatus.BAD_REQUEST, "the connection closed before the end")
        chunk = message.get("body", b"")
        if held is not None:
            held.grow(len(chunk))
        received += chunk
        more = message.get("more_body", False) or len(received) > max_bytes
    return received


def parse_json_object(raw: bytes | bytearray) -> dict[str, Any]:
    """The JSON object in ``raw``. Raises BadRequest or InvalidInput, which name the fault."""
    try:
        text = raw.decode("utf-8")
        opened = text.count("{") + text.count("[")
        if opened > MAX_DEPTH or opened + text.count(",") > MAX_MARKS:
            _check_structure(text)
        value = _decode_json(text)
    except InvalidInput:
        raise
    except UnicodeDecodeError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is not UTF-8") from None
    except ValueError as error:  # JSONDecodeError, and integers of more than 4,300 digits
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return value


def _decode_json(text: str) -> Any:
    """The JSON value of ``text``; every value is checked only when one may be at fault."""
    try:
        value = _STRICT.decode(text)
    except _NotFinite:
        value = _LENIENT.decode(text)  # decodes it again, so that the check can name the field
    else:
        if "\\u" not in text:  # without escapes there is no NUL and no lone surrogate
            return value
    _check_values(value, "")
    return value


def _check_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of one JSON object. Raises ValueError for a duplicate key."""
    members = dict(pairs)
    if len(members) < len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"key {repeated!r:.100} appears twice in one object")
    return members


class _NotFinite(Exception):
    """A number beyond float64 was read."""


def _parse_float(text: str) -> float:
    """A float of the body. Raises _NotFinite beyond float64."""
    value = float(text)
    if not math.isfinite(value):
        raise _NotFinite
    return value


def _parse_int(text: str) -> int:
    """An integer of the body. Raises _NotFinite beyond float64."""
    if len(text) > sys.float_info.max_10_exp:
        raise _NotFinite
    return int(text)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_check_distinct_keys,
    parse_float=_parse_float,
    parse_int=_parse_int,
    parse_constant=_parse_float,
)
_LENIENT = json.JSONDecoder(object_pairs_hook=_check_distinct_keys)


def _check_values(value: Any, field: str) -> None:
    """Raise InvalidInput for a number beyond float64, a NUL or a lone surrogate in ``value`` or below it."""
    if isinstance(value, str):
        if value:
            check_text(field, value)
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_values(name, field or "body")
            _check_values(member, f"{field}.{name}" if field else name)
    elif isinstance(value, list):
        for i, member in enumerate(value):
            _check_values(member, f"{field}[{i}]")
    elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:  # NaN compares false
        raise InvalidInput(field, "is not a finite number", "send one that fits a float64")


def _check_structure(text: str) -> None:
    """Refuse too many values and too deep nesting, outside strings, before the parser makes or recurses them.

    Raises BadRequest or ValueError.
    """
    bare = _STRING.sub("", text)
    if bare.count("{") + bare.count("[") + bare.count(",") > MAX_MARKS:
        detail = f"the body has more than {MAX_MARKS} lists, objects and commas; send fewer or longer values"
        raise BadRequest(HTTPStatus.BAD_REQUEST, detail)
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "{[" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
