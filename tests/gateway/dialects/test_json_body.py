"""Spans of values, checked against a parser that shares no code with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects.json_body import MAX_DEPTH, find_values, parse_object, replace_spans
from tests.contracts.dialect import nest

_TEXTS = st.text(st.sampled_from('ab"\\{}[],: \n\u00e9'), max_size=6)
_VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(
    value=st.dictionaries(_TEXTS, _VALUES, max_size=4),
    indent=st.none() | st.integers(0, 2),
    depth=st.integers(0, 30),
)
def test_spans_hold_the_values(value: dict[str, Any], indent: int | None, depth: int) -> None:
    deep: Any = list(value.values())
    for _ in range(depth):
        deep = [deep, "]"]
    body = {**value, "deep": deep}
    raw = json.dumps(body, indent=indent, ensure_ascii=False).encode()
    spans = find_values(raw)
    assert {key: json.loads(raw[start:end]) for key, (start, end) in spans.items()} == body


@given(depth=st.integers(1, MAX_DEPTH - 1), texts=st.lists(_TEXTS, max_size=3))
def test_an_inner_object_has_spans_of_its_own(depth: int, texts: list[str]) -> None:
    raw = f'{{"a": {nest(depth)}, "b": {{"c": {json.dumps(texts)}}}}}'.encode()
    inner = find_values(raw, find_values(raw)["b"][0])
    [(key, (start, end))] = inner.items()
    assert (key, json.loads(raw[start:end])) == ("c", texts)


@pytest.mark.parametrize("around", ["%s", '[1, {"x": "]"}, %s, 2]'])
def test_depth(around: str) -> None:
    def write(depth: int) -> bytes:
        return f'{{"a": {around % nest(depth)}}}'.encode()

    most = MAX_DEPTH - (1 if around == "%s" else 2)
    assert list(find_values(write(most))) == ["a"]
    with pytest.raises(InvalidInput, match="nested more than 128 deep"):
        find_values(write(most + 1))


def test_deeper_than_the_parser_goes() -> None:
    with pytest.raises(InvalidInput, match="recursion limit"):
        parse_object(f'{{"a": {nest(100_000)}}}'.encode())


def test_replaced_spans() -> None:
    assert replace_spans(b"abcdef", [((4, 4), b"-"), ((1, 3), b"XYZ")]) == b"aXYZd-ef"
    assert replace_spans(b"abc", []) == b"abc"
