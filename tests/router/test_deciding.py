"""What a decision is made from, and what narrows it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from bandit_router.errors import InvalidInput, NoEligibleArm
from bandit_router.router import Router
from bandit_router.types import Query, Reason
from tests.databases import MakeUrl
from tests.router.conftest import LARGE, SMALL, OpenRouter, settings_of, teach


def test_a_decision_is_logged_as_it_is_returned(router: Router) -> None:
    made = router.route("Why?", cost_weight=2.0, conversation="c", user_tier="free", arms=["small"])
    assert made.signals == {"tier": "free"}
    assert made.excluded == {"large": "not among the arms the caller allows"}
    logged = router.decision(made.id)
    assert logged.x.tolist() == made.x.tolist()
    assert replace(logged, x=made.x) == made


def test_a_decision_holds_everything_it_was_made_from(router: Router) -> None:
    made = router.route("Why?", cost_weight=2.0, conversation="c", idempotency_key="k")
    assert UUID(made.id).version == 7
    assert made.eligible == ("large", "small")
    assert made.pmf[made.eligible.index(made.arm)] == made.propensity
    assert made.reason is Reason.POLICY
    assert made.policy == router.policy.spec
    assert made.schema_id == router.pipeline.schema_id
    assert made.snapshot == router.snapshot
    assert (made.cost_weight, made.conversation, made.idempotency_key) == (2.0, "c", "k")


def test_a_decision_logs_the_utility_of_the_greedy_arm(router: Router) -> None:
    teach(router)
    made = [router.route("Why?", cost_weight=20.0) for _ in range(8)]
    made += [router.route("Why?", cost_weight=20.0, override="large")]
    for decision in made:
        scores = router.scores(decision)
        assert scores is not None
        assert decision.greedy_utility == pytest.approx(scores.utility.max(), abs=1e-12)
        assert router.decision(decision.id).greedy_utility == decision.greedy_utility


def test_the_expected_cost_is_prices_times_tokens(router: Router) -> None:
    made = router.route("x" * 400)  # 100 tokens in, 300 expected out
    costs = dict(zip(made.eligible, made.expected_costs_usd, strict=True))
    assert costs["small"] == pytest.approx((100 * 0.15 + 300 * 0.6) / 1e6)
    assert costs["large"] == pytest.approx((100 * 2.5 + 300 * 10.0) / 1e6)


def test_the_cost_weight_of_the_settings_is_used_unless_the_request_has_one(open_router: OpenRouter) -> None:
    router = open_router(router={"cost_weight": 7.0})
    assert router.route("a").cost_weight == 7.0
    assert router.route("a", cost_weight=0.0).cost_weight == 0.0


def test_the_same_seed_makes_the_same_choices(make_sqlite_url: MakeUrl) -> None:
    def choices() -> list[str]:
        settings = settings_of(make_sqlite_url())
        with Router.open(settings, rng=np.random.default_rng(5)) as router:
            return [router.route(f"query {i}").arm for i in range(30)]

    first = choices()
    assert first == choices()
    assert set(first) == {"small", "large"}


def test_choices_follow_the_logged_propensities(open_router: OpenRouter) -> None:
    # 400 draws at p = 0.5: a mean outside ±0.1 has probability 6e-5, and the seed is fixed.
    router = open_router(policy={"name": "uniform"})
    chosen = [router.route(f"query {i}").arm == "small" for i in range(400)]
    assert abs(np.mean(chosen) - 0.5) < 0.1


def test_chat_messages_are_read_as_one_query(router: Router) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "Prove it."}]},
    ]
    made = router.route(messages, user_tier="premium")
    query = Query(text="Prove it.", turn=2, user_tier="premium", prompt_chars=9 + 6 + 3 + 9)
    assert made.x.tolist() == router.pipeline.context(query).tolist()


def test_own_vectors_are_taken_as_they_are_with_a_bias(open_router: OpenRouter) -> None:
    router = open_router(features={"embedding": "vector", "vector_dim": 3})
    vectors: tuple[Any, ...] = ([0.1, -2.0, 3], (0.1, -2.0, 3), np.array([0.1, -2.0, 3.0]))
    for vector in vectors:
        assert router.route(features=vector).x.tolist() == [1.0, 0.1, -2.0, 3.0]


def test_a_router_of_vectors_reads_no_text(open_router: OpenRouter) -> None:
    router = open_router(features={"embedding": "vector", "vector_dim": 3})
    with pytest.raises(InvalidInput, match="features"):
        router.route("hello")


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_numpy_numbers_are_numbers_with_a_key_too(open_router: OpenRouter, kind: Any) -> None:
    router = open_router(features={"embedding": "vector", "vector_dim": 3})
    vector: Any = np.ones(3, kind)
    first = router.route(features=vector, cost_weight=kind(2), idempotency_key="k")
    again = router.route(features=vector, cost_weight=kind(2), idempotency_key="k")
    assert first.id == again.id
    listed = router.route(features=list(vector), idempotency_key="l")
    assert listed.x.tolist() == [1.0] * 4


@pytest.mark.parametrize(("wanted", "stored"), [(False, None), (True, "A secret?")])
def test_query_texts_are_stored_only_when_asked_for(
    open_router: OpenRouter, wanted: bool, stored: str | None
) -> None:
    router = open_router(router={"log_queries": wanted})
    assert router.decision(router.route("A secret?").id).query == stored


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"user_tier": "\0"}, "user_tier"),
        ({"user_tier": "\ud800"}, "user_tier"),
        ({"user_tier": "x" * 256}, "user_tier"),
        ({"user_tier": 5}, "user_tier"),
        ({"conversation": "\ud800"}, "conversation"),
        ({"conversation": ""}, "conversation"),
        ({"idempotency_key": "x" * 256}, "idempotency_key"),
        ({"require": "tools"}, "require"),
        ({"require": {"tools"}}, "require"),
        ({"require": ["tools", "a\0"]}, "require[1]"),
        ({"require": [None]}, "require[0]"),
        ({"require": ["x"] * 257}, "require"),
        ({"arms": "small"}, "arms"),
        ({"arms": 5}, "arms"),
        ({"arms": ["small", "\udfff"]}, "arms[1]"),
        ({"arms": ["small", 5]}, "arms[1]"),
        ({"arms": ["x" * 129]}, "arms[0]"),
        ({"cost_weight": "1"}, "cost_weight"),
        ({"cost_weight": True}, "cost_weight"),
        ({"cost_weight": math.nan}, "cost_weight"),
        ({"cost_weight": math.inf}, "cost_weight"),
        ({"cost_weight": 10**400}, "cost_weight"),
        ({"cost_weight": -1}, "cost_weight"),
        ({"features": [1.0]}, "query"),
        ({"cost_wieght": 1.0}, "cost_wieght"),
    ],
)
def test_a_wrong_option_of_route_is_named(router: Router, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.route("hello", **options)
    assert caught.value.field == field


@pytest.mark.parametrize("query", ["", "\0", "\ud800", 5, b"bytes", [], ["a"], [{"role": "user"}], {}, None])
def test_a_wrong_query_is_refused(router: Router, query: Any) -> None:
    with pytest.raises(InvalidInput):
        router.route(query)


@pytest.mark.parametrize("extra", [object(), {1: 2, "a": 3}, math.sin])
def test_messages_that_json_cannot_hold_are_refused_when_they_must_be_identified(
    router: Router, extra: object
) -> None:
    messages = [{"role": "user", "content": "a", "extra": extra}]
    with pytest.raises(InvalidInput):
        router.route(messages, idempotency_key="k")


def test_required_capabilities_narrow_the_choice(router: Router) -> None:
    assert {router.route("a", require=["tools"]).eligible for _ in range(5)} == {("small",)}


def test_only_allowed_arms_are_chosen(router: Router) -> None:
    made = router.route("a", arms=["large"])
    assert (made.eligible, made.arm, made.propensity) == (("large",), "large", 1.0)


def test_when_nothing_is_left_every_exclusion_is_named(open_router: OpenRouter) -> None:
    router = open_router(arms=(SMALL, LARGE, {**SMALL, "name": "off"}, {**SMALL, "name": "other"}))
    router.enable_arm("off", False)
    with pytest.raises(NoEligibleArm) as caught:
        router.route("x" * 4000, arms=["small", "large", "off"], require=["tools", "vision"])
    assert caught.value.excluded == {
        "large": "lacks tools, vision",
        "off": "disabled",
        "other": "not among the arms the caller allows",
        "small": "lacks vision",
    }


def test_a_query_too_long_for_a_context_window_goes_elsewhere(router: Router) -> None:
    assert router.route("x" * 4000).eligible == ("small",)


def test_a_router_without_arms_says_so(open_router: OpenRouter) -> None:
    with pytest.raises(NoEligibleArm, match="no arm is configured"):
        open_router(arms=()).route("a")


def test_a_request_without_an_eligible_arm_leaves_nothing_behind(router: Router) -> None:
    with pytest.raises(NoEligibleArm):
        router.route("a", require=["telepathy"], idempotency_key="k")
    assert router.verify().decisions == 0
    assert router.route("a", idempotency_key="k").arm


def test_a_floor_of_quality_leaves_out_what_is_known_to_be_below_it(open_router: OpenRouter) -> None:
    router = open_router()
    assert router.route("query", min_quality=0.8).eligible == ("large", "small")  # nothing is known yet
    for i in range(40):
        for arm, quality in (("large", 0.9), ("small", 0.4)):
            router.feedback(router.route(f"query {i}", arms=[arm]).id, quality=quality)
    router.learn()
    assert router.route("query", min_quality=0.2).eligible == ("large", "small")
    made = router.route("query", min_quality=0.7)
    assert made.eligible == ("large",)
    assert made.excluded["small"].endswith("is below min_quality 0.7")
    assert made.expected_costs_usd == (made.expected_cost_usd,)
    assert router.verify().ok
    router.close()
    strict = open_router(router={"min_quality": 0.7})
    assert strict.route("query").eligible == ("large",)
    assert strict.route("query", min_quality=0.0).eligible == ("large", "small")
    for wrong in (-0.1, 1.1, math.nan, "high"):
        with pytest.raises(InvalidInput, match="min_quality: is"):
            strict.route("query", min_quality=wrong)  # type: ignore[arg-type]
