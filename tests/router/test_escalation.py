"""Router.escalate: accept an answer, or retry the query on the expensive arm, once."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandit_router.errors import ConfigError, InvalidInput, UnknownDecision
from bandit_router.router import Router
from bandit_router.types import Decision, Escalation, Reason
from tests.router.conftest import LARGE, SMALL, OpenRouter

CASCADE = {"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0}
ON = {"enabled": True}
ALWAYS = {"enabled": True, "threshold": 1.0, "epsilon": 0.0}
"""Every answer short of certainty is retried."""

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a monad?"},
    {"role": "assistant", "content": "A monoid in a category of endofunctors."},
    {"role": "user", "content": "And in plain words? ✓"},
]

thrifty = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def router(open_on_either: OpenRouter) -> Router:
    return open_on_either(policy=CASCADE, cascade=ALWAYS)


@pytest.fixture
def two_workers(open_on_either: OpenRouter) -> tuple[Router, Router]:
    """Two routers on one database that retry below a half, and now and then otherwise."""
    one, other = (open_on_either(policy=CASCADE, cascade={"enabled": True, "threshold": 0.5}) for _ in "ab")
    return one, other


def retry_of(escalation: Escalation) -> Decision:
    assert escalation.decision is not None
    return escalation.decision


def test_an_unsure_answer_is_retried_on_the_expensive_arm(router: Router) -> None:
    first = router.route("What is a monad?", cost_weight=3.0, conversation="c", user_tier="free")
    assert first.arm == "small"
    found = router.escalate(first, confidence=0.4)
    assert not found.accepted
    retry = router.decision(retry_of(found).id)
    assert (retry.arm, retry.reason, retry.parent) == ("large", Reason.ESCALATION, first.id)
    assert (retry.propensity, sum(retry.pmf)) == (1.0, 1.0)
    assert retry.expected_cost_usd == first.expected_costs_usd[first.eligible.index("large")]
    assert retry.list_cost_usd == router.arm("large").expected_cost_usd(int(first.signals["input_tokens"]))
    assert router.metrics(first.id) == router.metrics(retry.id) == {"confidence": 0.4}
    assert found.why == "confidence 0.4 < threshold 1"


def test_a_sure_answer_is_accepted(router: Router) -> None:
    found = router.escalate(router.route("a"), confidence=1.0)
    assert found.accepted
    assert found.decision is None
    assert found.why == "confidence 1 ≥ threshold 1"


def test_what_a_caller_sends_again_is_what_was_sent_byte_for_byte(router: Router) -> None:
    """There is nowhere to put an answer, and the router changes nothing that it is given."""
    before = json.dumps(MESSAGES, ensure_ascii=False).encode()
    first = router.route(MESSAGES)
    retry = retry_of(router.escalate(first.id, confidence=0.2))
    assert json.dumps(MESSAGES, ensure_ascii=False).encode() == before
    anew, _ = router._prepare(MESSAGES, {})
    assert first.x.tobytes() == retry.x.tobytes() == anew.x.tobytes()
    with pytest.raises(TypeError):
        router.escalate(first.id, confidence=0.2, answer="an endofunctor")  # type: ignore[call-arg]


def test_the_query_is_logged_with_the_retry_as_it_was(open_router: OpenRouter) -> None:
    router = open_router(policy=CASCADE, cascade=ALWAYS, router={"log_queries": True})
    first = router.route(MESSAGES)
    assert first.query == "And in plain words? ✓"
    assert retry_of(router.escalate(first, confidence=0.2)).query == first.query


@thrifty
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=4))
def test_at_most_one_retry_however_often_and_by_whom_it_is_asked(
    two_workers: tuple[Router, Router], confidences: list[float]
) -> None:
    one, other = two_workers
    first = one.route("a")
    found = [
        router.escalate(first.id, confidence=c)
        for router, c in zip((one, other) * 2, confidences, strict=False)
    ]
    assert {f.decision and f.decision.id for f in found} == {found[0].decision and found[0].decision.id}
    assert {(f.confidence, f.propensity, f.why) for f in found} == {
        (confidences[0], found[0].propensity, found[0].why)
    }


def test_a_retry_cannot_be_retried(router: Router) -> None:
    retry = retry_of(router.escalate(router.route("a"), confidence=0.1))
    with pytest.raises(InvalidInput, match="decision_id: is a retry already; accept it"):
        router.escalate(retry, confidence=0.1)


def test_an_answer_of_the_expensive_arm_is_accepted_and_nothing_is_logged(router: Router) -> None:
    first = router.route("a", arms=["large"])
    found = router.escalate(first, confidence=0.0)
    assert found.accepted
    assert found.why == "large is the expensive arm itself"
    assert router.metrics(first.id) == {}


@pytest.mark.parametrize("confidence", [-0.1, 1.1, math.nan, "0.5", None, True])
def test_a_confidence_is_a_number_from_0_to_1(router: Router, confidence: Any) -> None:
    first = router.route("a")
    with pytest.raises(InvalidInput, match=r"confidence: .*; give a number in \[0, 1\]"):
        router.escalate(first, confidence=confidence)


def test_an_unknown_decision_is_an_error(router: Router) -> None:
    with pytest.raises(UnknownDecision):
        router.escalate("unknown", confidence=0.5)


def test_it_has_to_be_switched_on(open_router: OpenRouter) -> None:
    router = open_router(policy=CASCADE)
    with pytest.raises(InvalidInput, match=r"cascade: is off; set enabled = true under \[cascade\]"):
        router.escalate(router.route("a"), confidence=0.5)
    assert router.route("a").signals == {}


def test_a_confidence_is_not_feedback(router: Router) -> None:
    with pytest.raises(InvalidInput, match=r"metrics.confidence: is not feedback; say it when you escalate"):
        router.feedback(router.route("a").id, confidence=0.5)


def test_it_is_no_reward(open_router: OpenRouter) -> None:
    with pytest.raises(ConfigError, match="confidence cannot be in a reward"):
        open_router(reward={"weights": {"confidence": 1.0}})


# -- what stands in the way -----------------------------------------------------------------------


def test_an_arm_switched_off_meanwhile_is_named(router: Router) -> None:
    first = router.route("a")
    router.enable_arm("large", False)
    found = router.escalate(first, confidence=0.1)
    assert found.accepted
    assert found.why == "large: disabled"
    assert router.metrics(first.id) == {"confidence": 0.1}


def test_what_the_query_needs_is_asked_of_the_expensive_arm_too(router: Router) -> None:
    found = router.escalate(router.route("a", require=["tools"]), confidence=0.1)
    assert (found.accepted, found.why) == (True, "large: lacks tools")
    dear = router.escalate(router.route("a", max_cost_usd=0.001), confidence=0.1)
    assert dear.accepted
    assert "more than max_cost_usd" in dear.why


@pytest.mark.parametrize(
    ("cascade", "arms", "says"),
    [
        ({"expensive": "huge"}, (SMALL, LARGE), "cascade.expensive: 'huge' is not an arm; use one of large"),
        ({}, (SMALL, LARGE), "cascade.expensive: is missing; name the arm that retries"),
        ({"expensive": "large"}, (SMALL, {**LARGE, "enabled": False}), "'large' is disabled"),
    ],
)
def test_a_cascade_that_could_never_retry_does_not_open(
    open_router: OpenRouter, cascade: dict[str, Any], arms: tuple[dict[str, Any], ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        open_router(arms=arms, cascade={**ON, **cascade})


def test_there_is_no_retry_past_a_deadline(router: Router) -> None:
    late, early = router.route("a"), router.route("b")
    found = router.escalate(late, confidence=0.1, deadline_s=0.0)
    assert (found.accepted, found.why) == (True, "large: the deadline has passed")
    assert not router.escalate(early, confidence=0.1, deadline_s=3600.0).accepted
    with pytest.raises(InvalidInput, match="deadline_s: is out of range"):
        router.escalate(early, confidence=0.1, deadline_s=-1.0)


def test_the_deadline_it_was_routed_with_holds_for_the_retry(router: Router) -> None:
    slow = router.route("a", arms=["large"])
    router.feedback(slow.id, latency_s=5.0)
    router.learn()
    found = router.escalate(router.route("b", deadline_s=2.0, deadline_level=0.5), confidence=0.1)
    assert found.accepted
    assert found.why.startswith("large: 0.0% of ")
    assert not router.escalate(router.route("c", deadline_s=60.0), confidence=0.1).accepted


# -- sums, and what is learned --------------------------------------------------------------------

costs = st.floats(0.0, 1.0)


@thrifty
@given(costs, costs, st.none() | costs)
def test_a_cascade_costs_what_its_calls_cost(
    router: Router, first_usd: float, retry_usd: float, latency_s: float | None
) -> None:
    first = router.route("a")
    router.feedback(first.id, cost_usd=first_usd, latency_s=1.0)
    alone = router.chain(first.id)
    assert (alone.cost_usd, alone.latency_s, len(alone.calls)) == (first_usd, 1.0, 1)
    retry = retry_of(router.escalate(first, confidence=0.3))
    assert router.chain(first.id).cost_usd is None
    router.feedback(retry.id, cost_usd=retry_usd, latency_s=latency_s)
    for one in (first.id, retry.id):
        found = router.chain(one)
        assert [call.id for call in found.calls] == [first.id, retry.id]
        assert found.cost_usd == pytest.approx(first_usd + retry_usd)
        assert found.expected_cost_usd == pytest.approx(first.expected_cost_usd + retry.expected_cost_usd)
        assert found.latency_s == (None if latency_s is None else pytest.approx(1.0 + latency_s))


def test_a_budget_pays_for_both_calls(open_on_either: OpenRouter) -> None:
    router = open_on_either(policy=CASCADE, cascade=ALWAYS, budget={"usd_per_request": 0.5})
    first = router.route("a")
    retry = retry_of(router.escalate(first, confidence=0.3))
    report = router.verify()
    assert report.ok, report.problems
    assert report.spent_usd_booked == pytest.approx(first.expected_cost_usd + retry.expected_cost_usd)


def test_it_learns_whose_answers_to_retry(open_on_either: OpenRouter) -> None:
    """The small model is right as often as it says, the large one nearly always, at a cost worth 0.12."""
    router = open_on_either(policy=CASCADE, cascade=ON, router={"cost_weight": 40.0})
    for i in range(400):
        first, confidence = router.route(f"query {i}"), (i % 20) / 20 + 0.025
        found = router.escalate(first, confidence=confidence)
        router.feedback(first.id, quality=float(i // 20 % 20 < 20 * confidence))
        if found.decision is not None:
            router.feedback(found.decision.id, quality=0.95)
        if i % 10 == 0:
            router.learn()
    router.learn()
    unsure = [router.escalate(router.route(f"new {i}"), confidence=0.1) for i in range(10)]
    sure = [router.escalate(router.route(f"other {i}"), confidence=0.98) for i in range(10)]
    assert sum(found.accepted for found in unsure) <= 2
    assert sum(found.accepted for found in sure) >= 8
    assert unsure[0].p_good < 0.55 < 0.8 < sure[0].p_good  # drawn to what the arms have in common
    report = router.verify()
    assert report.ok, report.problems
    counted = report.counted["confidences"]
    assert 400 < counted == report.in_log["confidences"]
    router.rebuild()
    again = router.verify()
    assert again.ok, again.problems
    assert again.counted["confidences"] == counted


def test_what_was_learned_of_confidences_stays_while_cascades_are_off(open_router: OpenRouter) -> None:
    before = open_router(policy=CASCADE, cascade={**ALWAYS, "threshold": 0.5})
    first = before.route("a")
    assert before.escalate(first, confidence=0.75).accepted
    before.feedback(first.id, quality=0.5)
    before.learn()
    before.close()
    off = open_router(policy=CASCADE)
    off.rebuild()
    assert off.verify().counted["confidences"] == 1
    off.close()
    on = open_router(policy=CASCADE, cascade=ON)
    report = on.verify()
    assert report.ok, report.problems
    assert report.counted["confidences"] == 1


def test_a_cascade_goes_on_while_the_newest_snapshot_is_of_a_worker_without_one(
    open_on_either: OpenRouter,
) -> None:
    cascading = open_on_either(policy=CASCADE, cascade=ALWAYS)
    first = cascading.route("a")
    open_on_either(policy=CASCADE).rebuild()
    cascading.refresh()
    assert cascading.snapshot > first.snapshot
    escalation = cascading.escalate(first, confidence=0.75)
    assert not escalation.accepted
    assert escalation.p_good == pytest.approx(cascading.settings.posterior.prior_mean, abs=1e-6)
