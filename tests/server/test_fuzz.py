"""Whatever is sent, the answer is a 2xx or a 4xx problem, never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.server.body import parse_json_object
from bandit_router.server.problems import BadRequest
from bandit_router.server.schemas import FeedbackBody, RouteBody
from bandit_router.types import METRICS
from tests.server.conftest import Client, assert_problem

PATHS = ("/v1/route", "/v1/feedback")
NAMES = [*RouteBody.model_fields, *FeedbackBody.model_fields, *METRICS]
NAMES += ["role", "content", "type", "text", "small", "large", "tools", "user", "assistant", "premium"]

names = st.sampled_from(NAMES) | st.text(max_size=8)
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**308), 2**63, 1e-320, -0.0])
characters = st.characters()  # surrogates and NUL too
scalars = st.none() | st.booleans() | numbers | names | st.text(characters, max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=16) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)
bodies = st.dictionaries(names, values, max_size=6) | values
messages = st.lists(
    st.fixed_dictionaries({}, optional={"role": st.just("user") | values, "content": st.text() | values}),
    max_size=4,
)
route_bodies = st.fixed_dictionaries(
    {},
    optional={
        "query": st.text(characters, max_size=50) | values,
        "messages": messages | values,
        "features": st.lists(numbers, min_size=14, max_size=16) | values,
        "user_tier": st.text(characters, max_size=300) | values,
        "cost_weight": numbers | values,
        "require": st.lists(names, max_size=3) | values,
        "arms": st.lists(names, max_size=3) | values,
        "conversation": st.text(characters, max_size=300) | values,
        "deadline_s": numbers | values,
        "deadline_level": numbers | values,
    },
)
metrics = st.dictionaries(names, numbers | st.none(), max_size=4)


def assert_never_our_fault(client: Client, path: str, body: bytes) -> None:
    response = client.send_raw(path, body)
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, (response.status_code, response.text, body)
        assert_problem(response, response.status_code)


@settings(max_examples=120)
@given(bodies, st.sampled_from(PATHS), st.booleans())
def test_any_json(client: Client, body: Any, path: str, ascii_only: bool) -> None:
    text = json.dumps(body, ensure_ascii=ascii_only)
    assert_never_our_fault(client, path, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200)
@given(route_bodies)
def test_any_route(client: Client, body: dict[str, Any]) -> None:
    assert_never_our_fault(client, "/v1/route", json.dumps(body).encode())


@pytest.fixture(scope="module")
def decision_id(client: Client) -> str:
    return client.decided()


@settings(max_examples=120)
@given(metrics | values, st.booleans())
def test_any_metrics(client: Client, decision_id: str, said: Any, known: bool) -> None:
    body = {"decision_id": decision_id if known else "unknown", "metrics": said}
    assert_never_our_fault(client, "/v1/feedback", json.dumps(body).encode())


@settings(max_examples=120)
@given(st.binary(max_size=200), st.sampled_from(PATHS))
def test_any_bytes(client: Client, body: bytes, path: str) -> None:
    assert_never_our_fault(client, path, body)


VALID = json.dumps({"messages": [{"role": "user", "content": 'Hé \\ " ?'}], "cost_weight": 1.5e1}).encode()


@settings(max_examples=200)
@given(st.data())
def test_any_damage_to_a_valid_body(client: Client, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(VALID)))
    end = data.draw(st.integers(start, min(len(VALID), start + 4)))
    damage = data.draw(st.binary(max_size=6) | st.text('{}[]",:\\u0d89e-+', max_size=6).map(str.encode))
    assert_never_our_fault(client, "/v1/route", VALID[:start] + damage + VALID[end:])


@settings(max_examples=100)
@given(st.text(characters, min_size=1, max_size=40))
def test_any_decision_id(client: Client, text: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))
    response = client.get(f"/v1/decisions/{quoted}")
    assert response.status_code in {404, 422}
    assert_problem(response, response.status_code)


storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
storable_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | storable,
    lambda inner: st.lists(inner) | st.dictionaries(storable, inner),
    max_leaves=30,
)


@given(st.dictionaries(storable, storable_values), st.booleans())
def test_a_strict_object_is_read_as_it_is(value: dict[str, Any], ascii_only: bool) -> None:
    try:
        assert parse_json_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value
    except BadRequest as refused:
        if "nested" not in refused.detail:
            raise


@given(st.dictionaries(names, values, max_size=4))
def test_what_is_read_can_be_stored_and_sent_on(value: dict[str, Any]) -> None:
    try:
        read = parse_json_object(json.dumps(value).encode())
    except (BadRequest, InvalidInput):
        return
    text = json.dumps(read, allow_nan=False, ensure_ascii=False)
    text.encode()  # raises for lone surrogates
    assert "\\u0000" not in text.replace("\\\\", "")
