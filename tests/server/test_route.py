"""POST /v1/route: what comes back, and what narrows it."""

from __future__ import annotations

import math
from uuid import UUID

import pytest

from tests.server.conftest import Client, assert_problem


def test_a_route_names_the_model_and_how_it_came_about(client: Client) -> None:
    answer = client.route(query="What is the capital of France?").json()
    assert UUID(answer["decision_id"]).version == 7
    assert answer["arm"] in {"small", "large"}
    assert (answer["provider"], answer["model"]) == ("openai", answer["arm"])
    assert 0.0 < answer["propensity"] <= 1.0
    assert answer["reason"] == "policy"
    assert answer["policy"].startswith("trial:share=0.25,rewards=10,beside=100|tempered:")


def test_messages_are_a_query(client: Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "user", "content": "Prove it.", "name": "Ada"},
    ]
    assert client.route(messages=messages).status_code == 200


def test_definitions_come_with_messages_or_input_only(client: Client) -> None:
    assert client.route(query="a", tools=[]).status_code == 200
    assert client.route(input="a", tools=[{"name": "f"}]).status_code == 200
    content = assert_problem(client.route(query="a", tools=[{"name": "f"}]), 422)
    assert "send tools with messages or input, not with query" in content["detail"]


def test_own_features_are_a_query(client: Client) -> None:
    assert client.route(features=[0.5] * 15).status_code == 200


def test_whole_numbers_are_numbers(client: Client) -> None:
    assert client.route(features=[1] * 15, cost_weight=20).status_code == 200


def test_null_is_the_same_as_leaving_a_field_out(client: Client) -> None:
    nothing = dict.fromkeys(("messages", "features", "user_tier", "cost_weight", "arms", "conversation"))
    assert client.route(query="a", **nothing).status_code == 200


def test_a_required_capability_narrows_the_choice(client: Client) -> None:
    answers = [client.route(query=f"query {i}", require=["tools"]).json() for i in range(20)]
    assert {(answer["arm"], answer["propensity"]) for answer in answers} == {("small", 1.0)}


def test_allowed_arms_narrow_the_choice(client: Client) -> None:
    answers = [client.route(query=f"query {i}", arms=["large"]).json() for i in range(20)]
    assert {(answer["arm"], answer["propensity"]) for answer in answers} == {("large", 1.0)}


def test_when_no_arm_is_left_each_exclusion_is_explained(client: Client) -> None:
    content = assert_problem(client.route(query="a", require=["tools"], arms=["large"]), 422)
    assert content["excluded"] == {
        "large": "lacks tools",
        "small": "not among the arms the caller allows",
    }


def test_an_arm_that_does_not_exist_is_refused(client: Client) -> None:
    content = assert_problem(client.route(query="a", arms=["gpt-9"]), 422, field="arms")
    assert "gpt-9" in content["detail"]
    assert "large, small" in content["detail"]


def test_a_large_cost_weight_makes_the_cheap_arm_the_best(client: Client) -> None:
    answer = client.route(query="hello", cost_weight=1e6)
    decision = client.get(f"/v1/decisions/{answer.json()['decision_id']}").json()
    probability = {score["arm"]: score["probability"] for score in decision["eligible"]}
    assert probability["small"] == pytest.approx(0.9975)  # 1 − ε/2 with the default ε = 0.005


def test_exploration_follows_the_logged_propensity(client: Client) -> None:
    # P(an arm is never chosen in 60) = 0.5⁶⁰ with the even propensities of a router that knows nothing.
    answers = [client.route(features=[0.0] * 15, cost_weight=0.0).json() for _ in range(60)]
    assert {answer["arm"] for answer in answers} == {"small", "large"}
    assert all(math.isclose(answer["propensity"], 0.5, abs_tol=0.45) for answer in answers)


def test_a_request_of_a_provider_may_have_any_fields(client: Client) -> None:
    messages = [{"role": "user", "content": "hello"}]
    asks_for_json = {"type": "json_schema", "schema": {}}
    body = {"model": "claude", "messages": messages, "output_config": {"format": asks_for_json}}
    assert client.route(request={"messages": messages, "temperature": 0.2}).status_code == 200
    content = assert_problem(client.route(request=body, arms=["small"]), 422)
    assert content["excluded"]["small"] == "lacks json, which the prompt needs"
    content = assert_problem(client.route(request={"messages": messages}, system="a"), 422)
    assert "send system with messages or input, not with request" in content["detail"]
    assert_problem(client.route(request={"messages": []}), 422, field="messages")
    assert_problem(client.route(request=messages), 422, field="request")
