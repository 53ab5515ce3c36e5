"""Bodies in JSON: read strictly, and changed without touching any other byte."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

import jiter

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects.base import Span

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 128

# Possessive, so that hostile bodies take linear time.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY = re.compile(rb"[\s{,]*+(" + _STRING + rb")\s*+:\s*+", re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[^\s,}\]]++", re.DOTALL)
_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+', re.DOTALL)


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``. Raises InvalidInput, also for a key that appears twice in one object."""
    if len(raw) > MAX_BYTES:
        _refuse(f"has {len(raw)} bytes", f"send at most {MAX_BYTES}")
    try:
        body = jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        _refuse(f"is not JSON: {error!s:.200}", "send one JSON object")
    if not isinstance(body, dict):
        _refuse("is not a JSON object", "send one JSON object")
    return body


def find_values(raw: bytes, start: int = 0) -> dict[str, Span]:
    """Where the values of an object stand, by key, its own bytes included in no other.

    ``raw`` holds valid JSON, and from ``start`` an object. Raises InvalidInput when it is nested too deep.
    """
    spans: dict[str, Span] = {}
    position = start
    while (key := _KEY.match(raw, position)) is not None:
        position = _find_end(raw, key.end())
        spans[jiter.from_json(key[1])] = (key.end(), position)
    return spans


def replace_spans(raw: bytes, replacements: Iterable[tuple[Span, bytes]]) -> bytes:
    """``raw`` with other bytes at some spans, which do not overlap."""
    pieces, position = [], 0
    for (start, end), replacement in sorted(replacements):
        pieces += [raw[position:start], replacement]
        position = end
    return b"".join([*pieces, raw[position:]])


def _find_end(raw: bytes, start: int) -> int:
    """Where the value that begins at ``start`` ends."""
    if raw[start] not in b"{[":
        return _end_of(_SCALAR, raw, start)
    depth, position = 0, start
    while True:
        position = _end_of(_TO_BRACKET, raw, position)
        depth += 1 if raw[position] in b"{[" else -1
        position += 1
        if depth == 0:
            return position
        if depth >= MAX_DEPTH:  # the object around it is one level more
            _refuse(f"is nested more than {MAX_DEPTH} deep", "send flatter JSON")


def _end_of(pattern: re.Pattern[bytes], raw: bytes, start: int) -> int:
    match = pattern.match(raw, start)
    assert match is not None  # the JSON is valid
    return match.end()


def _refuse(problem: str, fix: str) -> NoReturn:
    raise InvalidInput("body", problem, fix)
