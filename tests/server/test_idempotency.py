"""Idempotency-Key: the same key with the same body gets the same answer and acts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.server.conftest import Client, assert_problem

_numbers = count()


def new_key() -> str:
    return f"key-{next(_numbers)}"


def test_a_replayed_route_is_the_same_decision(client: Client) -> None:
    key = new_key()
    first, *again = [client.route(key, query="a", conversation="c") for _ in range(5)]
    assert first.status_code == 200
    assert all(response.json() == first.json() for response in again)


def test_a_route_without_a_key_is_a_decision_of_its_own(client: Client) -> None:
    assert client.decided() != client.decided()


def test_concurrent_replays_are_one_decision(client: Client) -> None:
    key = new_key()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.route(key, query="a").json(), range(24)))
    assert len({answer["decision_id"] for answer in answers}) == 1


def test_a_replay_may_order_its_keys_and_write_its_numbers_differently(client: Client) -> None:
    key = {"Idempotency-Key": new_key()}
    first = client.send_raw("/v1/route", '{"query": "a", "cost_weight": 20}', **key)
    again = client.send_raw("/v1/route", '{"cost_weight": 2e1, "query": "\\u0061"}', **key)
    assert first.json() == again.json()


@pytest.mark.parametrize(
    "other",
    [
        {"query": "b"},
        {"query": "a", "cost_weight": 1.0},
        {"query": "a", "require": ["tools"]},
        {"query": "a", "arms": ["small"]},
        {"query": "a", "conversation": "c"},
        {"query": "a", "user_tier": "free"},
        {"messages": [{"role": "user", "content": "a"}]},
        {"features": [0.0] * 15},
    ],
)
def test_a_route_with_another_body_is_a_conflict(client: Client, other: dict[str, object]) -> None:
    key = new_key()
    client.route(key, query="a").raise_for_status()
    content = assert_problem(client.route(key, **other), 422)
    assert key in content["detail"]


def test_replayed_feedback_acts_once_and_is_answered_as_then(client: Client) -> None:
    decision, key = client.decided(), new_key()
    first = client.feedback(decision, key, quality=0.4)
    client.feedback(decision, quality=0.6)
    again = client.feedback(decision, key, quality=0.4)
    assert first.json() == again.json()
    assert first.json()["outcomes"] == {"quality": "recorded"}
    assert client.get(f"/v1/decisions/{decision}").json()["metrics"] == {"quality": 0.6}


def test_feedback_with_other_metrics_is_a_conflict(client: Client) -> None:
    decision, key = client.decided(), new_key()
    client.feedback(decision, key, quality=0.4)
    for metrics in ({"quality": 0.5}, {"quality": None}, {"error": 0.4}, {"quality": 0.4, "error": 0.0}):
        assert_problem(client.feedback(decision, key, **metrics), 422)
    assert client.get(f"/v1/decisions/{decision}").json()["metrics"] == {"quality": 0.4}


def test_feedback_on_another_decision_is_a_conflict(client: Client) -> None:
    key = new_key()
    client.feedback(client.decided(), key, quality=0.4)
    assert_problem(client.feedback(client.decided(), key, quality=0.4), 422)


def test_a_key_of_a_route_is_no_key_for_feedback(client: Client) -> None:
    key = new_key()
    decision = client.route(key, query="a").json()["decision_id"]
    assert_problem(client.feedback(decision, key, quality=0.4), 422)


def test_a_request_that_failed_does_not_use_up_its_key(client: Client) -> None:
    key = new_key()
    assert_problem(client.feedback("unknown", key, quality=0.4), 404)
    assert_problem(client.route(key, query="a", require=["telepathy"]), 422)
    assert_problem(client.feedback("unknown", key, quality=0.5), 404)
    assert client.route(key, query="a").status_code == 200


@pytest.mark.parametrize(
    "key", ["x", "x" * 255, "a b", "'; DROP TABLE idempotency; --", "é", "ÿþ", "%00", '"{}\\']
)
def test_any_text_of_up_to_255_characters_is_a_key(client: Client, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1"), b"Content-Type": b"application/json"}
    answers = [client.post("/v1/route", content=b'{"query": "a"}', headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 10_000])
def test_an_empty_or_overlong_key_is_refused(client: Client, key: str) -> None:
    assert_problem(client.route(key, query="a"), 422, field="idempotency_key")
    assert_problem(client.feedback(client.decided(), key, quality=0.5), 422, field="idempotency_key")
