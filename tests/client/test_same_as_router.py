"""A client takes what the library takes, and gives what it gives: values, types and errors."""

from __future__ import annotations

import inspect
import math
import uuid
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from bandit_router import (
    AsyncClient,
    Client,
    ExplainedDecision,
    JudgedAnswer,
    Outcome,
    RoutedChain,
    RoutedDecision,
    Router,
    errors,
)
from bandit_router.features import read_prompt
from tests.client.conftest import OpenClient
from tests.services import serving, write_settings

MESSAGES = [{"role": "user", "content": "What is a monad?"}]
JSON_REQUEST = {
    "model": "claude",
    "max_tokens": 10,
    "temperature": 0.2,
    "messages": MESSAGES,
    "tools": [{"name": "add", "input_schema": {"type": "object"}}],
}

Call = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("Why is the sky blue?", {}),
        (MESSAGES, {}),
        (tuple(MESSAGES), {}),
        (JSON_REQUEST, {}),
        (MappingProxyType({"input": "hello", "conversation": "one of the provider's"}), {}),
        (None, {"features": np.linspace(0.0, 1.0, 15)}),
        ("a", {"cost_weight": np.float32(2.0), "input_tokens": np.int64(900), "require": ("tools",)}),
        ("a", {"max_cost_usd": Decimal("0.5"), "min_quality": Fraction(1, 4), "deadline_s": 60}),
        ("a", {"arms": ["large"], "user_tier": "free", "forbid": []}),
        ("a", {"override": "large", "idempotency_key": None, "conversation": None}),
    ],
)
def test_a_decision_says_what_is_in_the_log(
    client: Any, router: Router, query: Any, options: dict[str, Any]
) -> None:
    decision = client.route(query, **options)
    assert isinstance(decision, RoutedDecision)
    logged = router.decision(decision.id)
    for field in fields(RoutedDecision):
        if field.name not in ("provider", "model"):
            told, known = getattr(decision, field.name), getattr(logged, field.name)
            assert (told, type(told)) == (known, type(known)), field.name
    arm = router.arm(decision.arm)
    assert (decision.provider, decision.model) == (arm.provider, arm.model)
    alike = router.route(query, **options)
    assert (logged.signals, logged.expected_costs_usd) == (alike.signals, alike.expected_costs_usd)
    assert np.array_equal(logged.x, alike.x)


def test_an_id_in_any_form_takes_the_place_of_another(client: Any, router: Router) -> None:
    first = client.route("a")
    replaced = client.route("a", override="large", instead_of=uuid.UUID(first.id))
    assert router.decision(replaced.id).parent == first.id
    assert client.feedback(uuid.UUID(first.id), quality=1) == {"quality": Outcome.RECORDED}
    assert client.feedback(first.id.upper(), quality=1.0) == {"quality": Outcome.DUPLICATE}


@pytest.mark.parametrize(
    "number", [1, True, 0.25, Decimal("0.3"), Fraction(1, 3), np.float32(0.5), np.bool_(1)]
)
def test_feedback_takes_numbers_of_any_library(client: Any, router: Router, number: Any) -> None:
    decision = client.route("a")
    outcomes = client.feedback(decision.id, quality=number, cost_usd=Decimal("0.01"))
    assert outcomes == {"quality": Outcome.RECORDED, "cost_usd": Outcome.RECORDED}
    assert all(type(outcome) is Outcome for outcome in outcomes.values())
    assert router.metrics(decision.id) == {"quality": float(number), "cost_usd": 0.01}
    assert client.feedback(decision.id, quality=0.75) == {
        "quality": Outcome.DUPLICATE if number == 0.75 else Outcome.REVISED
    }
    assert client.feedback(decision.id, quality=None) == {"quality": Outcome.RETRACTED}


def test_feedback_of_a_conversation(client: Any, router: Router) -> None:
    conversation = str(uuid.uuid4())
    decision = client.route("a", conversation=conversation)
    assert client.feedback(conversation=conversation, satisfaction=1) == {"satisfaction": Outcome.RECORDED}
    assert router.metrics(decision.id) == {"satisfaction": 1.0}


def test_an_answer_is_judged_as_by_the_library(client: Any, router: Router) -> None:
    for confidence in (np.float64(0.0), 1.0):
        decision = client.route("a", arms=["small", "large"])
        judged = client.escalate(decision, confidence=confidence)
        assert isinstance(judged, JudgedAnswer)
        assert client.escalate(uuid.UUID(decision.id), confidence=0.5) == judged
        known = router.escalate(decision.id, confidence=0.5)
        for field in fields(JudgedAnswer):
            if field.name != "decision":
                assert getattr(judged, field.name) == getattr(known, field.name)
        assert judged.accepted is known.accepted
        if judged.decision is not None:
            assert known.decision is not None
            assert (judged.decision.id, judged.decision.parent) == (known.decision.id, decision.id)


def test_a_decision_is_explained_as_by_the_library(client: Any, router: Router) -> None:
    conversation = str(uuid.uuid4())
    first = client.route("a", conversation=conversation)
    second = client.route("a", override="large", instead_of=first.id, conversation=conversation)
    client.feedback(second.id, quality=0.5)
    for decision in (first, second):
        explained, known = client.explain(uuid.UUID(decision.id)), router.explain(decision.id)
        assert isinstance(explained, ExplainedDecision)
        assert explained.decision.id == decision.id
        for field in fields(ExplainedDecision):
            if field.name != "decision":
                told = getattr(explained, field.name)
                assert told == getattr(known, field.name), field.name
                assert type(told) is type(getattr(known, field.name)), field.name
    assert explained.parents[0].decision_id == first.id
    assert explained.metrics == {"quality": 0.5}
    assert explained.standing is not None


def test_a_chain_has_the_sums_of_the_library(client: Any, router: Router) -> None:
    decision = client.route("a", arms=["small", "large"])
    retry = client.escalate(decision, confidence=0.0).decision
    for each, cost_usd in ((decision, 0.25), (retry, 0.5)):
        client.feedback(each.id, cost_usd=cost_usd, latency_s=1.0)
    chain, known = client.chain(decision.id), router.chain(decision.id)
    assert isinstance(chain, RoutedChain)
    assert chain.decision_ids == tuple(call.id for call in known.calls) == (decision.id, retry.id)
    sums = chain.expected_cost_usd, chain.cost_usd, chain.latency_s
    assert sums == known[1:] == (known.expected_cost_usd, 0.75, 2.0)


def test_arms_are_those_of_the_library(client: Any, router: Router) -> None:
    assert client.arms() == router.arms
    assert type(client.arms()[0].capabilities) is frozenset


def test_the_budget_and_the_safety_are_those_of_the_library(
    open_client: OpenClient, tmp_path: Any, client: Any, router: Router
) -> None:
    assert_same_error(lambda face: face.budget(), client, router)
    assert_same_error(lambda face: face.safety(), client, router)
    steered: dict[str, Any] = {"budget": {"usd_per_request": 0.01}, "safety": {"baseline": "large"}}
    with serving(write_settings(tmp_path, **steered)) as paced:
        status, bound = open_client(paced.url).budget(), open_client(paced.url).safety()
        with Router.open(paced.config) as opened:
            known = opened.budget()
            assert bound == opened.safety()
    assert type(status) is type(known)
    assert (status.goal, status.target, status.requests) == (known.goal, known.target, known.requests)


def used(router: Router) -> str:
    key = str(uuid.uuid4())
    router.route("a", idempotency_key=key)
    return key


@pytest.mark.parametrize(
    "call",
    [
        lambda face: face.route(),
        lambda face: face.route(""),
        lambda face: face.route("a\0b"),
        lambda face: face.route("a", features=[1.0]),
        lambda face: face.route(features=[1.0]),
        lambda face: face.route([]),
        lambda face: face.route([{"role": "user", "content": 5}]),
        lambda face: face.route({"messages": [{"content": "no role"}]}),
        lambda face: face.route("a", nonsense=1),
        lambda face: face.route("a", cost_weight=-1.0),
        lambda face: face.route("a", arms=["nobody"]),
        lambda face: face.route("a", workflow="none"),
        lambda face: face.route("a", instead_of=str(uuid.UUID(int=5))),
        lambda face: face.route("a", idempotency_key="k" * 300),
        lambda face: face.route("a", forbid=["small", "large"]),
        lambda face: face.route("a", override="large", forbid=["large"]),
        lambda face: face.feedback(str(uuid.UUID(int=5)), quality=1),
        lambda face: face.feedback("chatcmpl-unknown", quality=1),
        lambda face: face.feedback(5, quality=1),
        lambda face: face.feedback(quality=1),
        lambda face: face.feedback("a", conversation="b", quality=1),
        lambda face: face.feedback(conversation="unknown", quality=1),
        lambda face: face.feedback(str(uuid.UUID(int=5)), quality=2),
        lambda face: face.feedback(str(uuid.UUID(int=5)), quality="good"),
        lambda face: face.feedback(str(uuid.UUID(int=5)), nonsense=1),
        lambda face: face.escalate(str(uuid.UUID(int=5)), confidence=0.5),
        lambda face: face.escalate("../../arms", confidence=0.5),
        lambda face: face.escalate("..", confidence=0.5),
        lambda face: face.explain(str(uuid.UUID(int=5))),
        lambda face: face.explain("../../v1/arms"),
        lambda face: face.chain(str(uuid.UUID(int=5))),
        lambda face: face.chain(".."),
    ],
)
def test_errors_are_those_of_the_library(client: Any, router: Router, call: Call) -> None:
    assert_same_error(call, client, router)


def test_a_key_used_before_is_a_conflict(client: Any, router: Router) -> None:
    key = used(router)
    assert_same_error(lambda face: face.route("b", idempotency_key=key), client, router)
    assert client.route("a", idempotency_key=key).id == router.route("a", idempotency_key=key).id


def assert_same_error(call: Call, client: Any, router: Router) -> None:
    with pytest.raises(errors.RouterError) as known:
        call(router)
    with pytest.raises(errors.RouterError) as told:
        call(client)
    assert (told.type, str(told.value)) == (known.type, str(known.value))
    assert vars(told.value) == vars(known.value)
    assert told.value.args == known.value.args


@pytest.mark.parametrize("value", [math.nan, math.inf, Decimal("NaN"), np.array([math.nan]), object()])
def test_what_json_cannot_hold_is_refused_before_it_is_sent(open_client: OpenClient, value: Any) -> None:
    client = open_client("http://192.0.2.1")  # where nobody answers
    calls: dict[str, Call] = {
        "metrics.quality": lambda face: face.feedback("a", quality=value),
        "cost_weight": lambda face: face.route("a", cost_weight=value),
        "features": lambda face: face.route(features=[value]),
        "messages": lambda face: face.route([{"role": "user", "content": "a", "x": value}]),
        "confidence": lambda face: face.escalate(str(uuid.uuid4()), confidence=value),
    }
    for field, call in calls.items():
        with pytest.raises(errors.InvalidInput) as refused:
            call(client)
        assert refused.value.field == field


@pytest.mark.parametrize("key", ["é", "a\r\nb", " a", "a ", ""])
def test_a_key_that_no_header_can_carry_is_refused(open_client: OpenClient, key: str) -> None:
    client = open_client("http://192.0.2.1")
    with pytest.raises(errors.InvalidInput) as refused:
        client.route("a", idempotency_key=key)
    assert refused.value.field == "idempotency_key"
    with pytest.raises(errors.InvalidInput) as refused:
        client.feedback("a", idempotency_key=key, quality=1)
    assert refused.value.field == "idempotency_key"


def test_a_prompt_that_was_read_cannot_be_sent(open_client: OpenClient) -> None:
    with pytest.raises(errors.InvalidInput, match="was read before"):
        open_client("http://192.0.2.1").route(read_prompt("a"))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "name", ["route", "feedback", "escalate", "explain", "chain", "budget", "safety", "close"]
)
def test_the_signatures_are_those_of_the_router(kind: Any, name: str) -> None:
    ours = inspect.signature(getattr(kind, name)).parameters
    theirs = dict(inspect.signature(getattr(Router, name)).parameters)
    theirs.pop("granted", None)  # what a service finds out itself
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


def test_the_service_takes_a_request_of_a_provider_as_a_whole(client: Any) -> None:
    source = {"messages": MESSAGES, "output_config": {"format": {"type": "json_schema", "schema": {}}}}
    with pytest.raises(errors.NoEligibleArm) as none:
        client.route(source, arms=["small"])
    assert none.value.excluded["small"] == "lacks json, which the prompt needs"
