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

_USUAL_DEPTH = 12

# Possessive, so that hostile bodies take linear time.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+'


def _fill(depth: int) -> bytes:
    """The pattern of what an object or array holds before anything that is nested deeper."""
    return _FLAT + rb"(?:[{\[]" + _fill(depth - 1) + rb"[}\]]" + _FLAT + rb")*+" if depth else _FLAT


_SHALLOW = _fill(_USUAL_DEPTH)
_GAP = re.compile(rb"[\s,]*+")
_KEY = re.compile(rb"[\s{,]*+(" + _STRING + rb")\s*+:\s*+", re.DOTALL)
_VALUE = re.compile(_STRING + rb"|[{\[]" + _SHALLOW + rb"[}\]]|[^\s,{}\[\]]++", re.DOTALL)
_TO_DEEP_BRACKET = re.compile(_SHALLOW, re.DOTALL)
_TO_BRACKET = re.compile(_FLAT, re.DOTALL)


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


def find_items(raw: bytes, start: int) -> list[Span]:
    """Where the items of an array stand that begins at ``start``. Raises the same."""
    spans: list[Span] = []
    position = _skip_to_value(raw, start + 1)
    while raw[position : position + 1] != b"]":
        end = _find_end(raw, position)
        spans.append((position, end))
        position = _skip_to_value(raw, end)
    return spans


def replace_spans(raw: bytes, replacements: Iterable[tuple[Span, bytes]]) -> bytes:
    """``raw`` with other bytes at some spans, which do not overlap."""
    pieces, position = [], 0
    for (start, end), replacement in sorted(replacements):
        pieces += [raw[position:start], replacement]
        position = end
    return b"".join([*pieces, raw[position:]])


def _skip_to_value(raw: bytes, start: int) -> int:
    gap = _GAP.match(raw, start)
    return start if gap is None else gap.end()


def _find_end(raw: bytes, start: int) -> int:
    """Where the value that begins at ``start`` ends. Raises InvalidInput when it is nested too deep."""
    if value := _VALUE.match(raw, start):
        return value.end()
    depth, position = 2, start + 1  # with the object around it
    while depth > 1:
        if depth > MAX_DEPTH:
            _refuse(f"is nested more than {MAX_DEPTH} deep", "send flatter JSON")
        pattern = _TO_DEEP_BRACKET if depth + _USUAL_DEPTH <= MAX_DEPTH else _TO_BRACKET
        if skipped := pattern.match(raw, position):
            position = skipped.end()
        depth += 1 if raw[position] in b"{[" else -1
        position += 1
    return position


def _refuse(problem: str, fix: str) -> NoReturn:
    raise InvalidInput("body", problem, fix)
