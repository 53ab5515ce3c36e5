"""Keep an answer or retry it: the rule, what stands in its way, and what a retry is."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from bandit_router.cascade.call_chain import sum_calls
from bandit_router.cascade.escalation import escalate, score_keep_and_retry
from bandit_router.cascade.escalation_rule import EscalationRule, make_escalation_rule
from bandit_router.cascade.retry import AnsweredDecision, explain_no_retry, remaining_deadline
from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import Policy, parse_policy
from bandit_router.policies.cheap_first import CheapFirst
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.confidence import append_confidence, empty_calibrators
from bandit_router.posterior.state import (
    CONFIDENT_REWARD,
    COST,
    LATENCY,
    REWARD,
    Component,
    ModelState,
    empty_latencies,
)
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import PublishedModel
from bandit_router.settings import Settings, make_settings
from bandit_router.types import Arm, Decision, Escalation, Reason
from tests.contracts.policy import make_scores
from tests.store.examples import ARMS, DIM, SCHEMA, decision, learner_of

RULE = EscalationRule(expensive="dear", epsilon=0.1)


def empty_state() -> ModelState:
    """What a worker with a cascade has learned of the arms: nothing yet."""
    rewards = SufficientStatistics.empty(
        {arm.name: learner_of(None).prior.of_arm(arm) for arm in ARMS},  # type: ignore[arg-type]
        schema_id=SCHEMA,
        noise_variance=0.25,
    )
    components: dict[str, Component] = {
        REWARD: rewards,
        COST: rewards,
        LATENCY: empty_latencies(rewards),
        CONFIDENT_REWARD: empty_calibrators(rewards),
    }
    return ModelState(components)


def view(state: ModelState | None = None, arms: tuple[Arm, ...] = ARMS) -> PublishedModel:
    """The published model of a state, by default of one that has seen nothing."""
    return PublishedModel(version=7, arms_revision=0, state=(state or empty_state()).solve(), arms=arms)


def calibrators_of(model: PublishedModel) -> Posterior:
    """The solved calibrators of a published model that has them."""
    assert model.state.calibrators is not None
    return model.state.calibrators


def asked(
    rule: EscalationRule = RULE, *, seed: int = 0, of: PublishedModel | None = None, **changes: Any
) -> Escalation:
    """What is done about an answer; ``changes`` are of how it was answered."""
    answered: dict[str, Any] = {"decision": decision(), "confidence": 0.4}
    return escalate(
        of or view(),
        AnsweredDecision(**(answered | changes)),
        rule,
        id="retry",
        now=1_700_000_005.0,
        rng=np.random.default_rng(seed),
    )


def retried(**changes: Any) -> Decision:
    """A retry, for certain."""
    found = asked(EscalationRule(expensive="dear", threshold=1.0, epsilon=0.0), **changes)
    assert found.decision is not None
    return found.decision


# -- the rule -------------------------------------------------------------------------------------


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_threshold_retries_below_it_and_a_coin_decides_about_some(
    threshold: float, confidence: float, epsilon: float
) -> None:
    keep, retry = EscalationRule(expensive="dear", threshold=threshold, epsilon=epsilon).pmf(
        make_scores([0.9, 0.1], [0.1, 0.1]), confidence
    )
    more, less = (keep, retry) if confidence >= threshold else (retry, keep)
    assert (more, less) == pytest.approx((1 - epsilon / 2, epsilon / 2))


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_by_utility_a_retry_is_as_probable_as_it_is_the_better_of_the_two(
    keep: float, retry: float, one: float, other: float
) -> None:
    found = EscalationRule(expensive="dear", epsilon=0.1).pmf(make_scores([keep, retry], [one, other]), 0.5)
    better = norm.cdf((retry - keep) / np.hypot(one, other))
    assert found[1] == pytest.approx(0.9 * better + 0.05, abs=1e-6)


def test_the_first_call_is_paid_for_and_the_retry_is_not() -> None:
    scores = score_keep_and_retry(calibrators_of(view()), ("cheap", "dear"), np.ones(DIM), 0.5, 0.01, 20.0)
    assert scores.cost_usd.tolist() == [0.0, 0.01]
    np.testing.assert_allclose(scores.utility, scores.mean - [0.0, 0.2])


def test_what_is_drawn_comes_as_often_as_it_says() -> None:
    found = [asked(seed=seed) for seed in range(2_000)]
    (p_retry,) = {one.propensity for one in found if not one.accepted}
    (p_keep,) = {one.propensity for one in found if one.accepted}
    assert p_retry + p_keep == pytest.approx(1.0)
    share = Counter(one.accepted for one in found)[False] / len(found)
    assert share == pytest.approx(p_retry, abs=4.5 * np.sqrt(p_retry * p_keep / len(found)))


def test_a_retry_that_paid_off_before_becomes_the_rule_where_confidence_is_low() -> None:
    state, rng = empty_state(), np.random.default_rng(1)
    assert state.calibrators is not None
    for _ in range(600):
        x = np.array([1.0, *rng.standard_normal(DIM - 1)])
        c = float(rng.random())
        state.calibrators.observe("cheap", append_confidence(x, c), float(rng.random() < c))
        state.calibrators.observe("dear", append_confidence(x, c), float(rng.random() < 0.9))
    taught, now = view(state), EscalationRule(expensive="dear", epsilon=0.0)
    low, high = (
        now.pmf(
            score_keep_and_retry(calibrators_of(taught), ("cheap", "dear"), np.eye(DIM)[0], c, 0.005, 20.0), c
        )
        for c in (0.2, 0.98)
    )
    assert low[1] > 0.99
    assert high[1] < 0.2
    sure = asked(now, of=taught, confidence=0.2)
    assert not sure.accepted
    assert sure.p_good == pytest.approx(0.2, abs=0.15)
    assert sure.p_retry_good == pytest.approx(0.9, abs=0.1)
    assert sure.why.startswith("expected quality 0.")


# -- the retry ------------------------------------------------------------------------------------


def test_a_retry_is_the_same_query_on_the_expensive_arm() -> None:
    first = decision(
        query="What?",
        conversation="c",
        signals={"tier": "free", "input_tokens": 1000.0},
        excluded={"other": "disabled"},
        idempotency_key="k",
        cost_weight=3.0,
        key_id="k1",
        greedy_utility=0.75,
    )
    retry = retried(decision=first)
    same = {f.name for f in fields(Decision)} - {
        *("id", "decided_at", "pmf", "arm", "propensity", "reason", "snapshot", "parent", "idempotency_key"),
        *("expected_quality", "expected_cost_usd", "list_cost_usd", "greedy_utility"),
    }
    for name in same - {"x"}:
        assert getattr(retry, name) == getattr(first, name), name
    assert retry.x.tobytes() == first.x.tobytes()
    assert (retry.arm, retry.reason, retry.parent) == ("dear", Reason.ESCALATION, first.id)
    assert (retry.pmf, retry.propensity) == ((0.0, 1.0), 1.0)
    assert retry.expected_cost_usd == first.expected_costs_usd[1]
    assert retry.list_cost_usd == ARMS[1].expected_cost_usd(1000)
    assert (retry.idempotency_key, retry.greedy_utility) == (None, None)


def test_without_the_number_of_tokens_no_list_cost_is_made_up() -> None:
    assert retried().list_cost_usd is None


DISABLED = (ARMS[0], replace(ARMS[1], enabled=False))
MASKED: dict[str, tuple[dict[str, Any], tuple[Arm, ...], str]] = {
    "capability": (
        {
            "decision": decision(
                eligible=("cheap",),
                pmf=(1.0,),
                expected_costs_usd=(0.001,),
                excluded={"dear": "lacks vision"},
            )
        },
        ARMS,
        "dear: lacks vision",
    ),
    "disabled since": ({}, DISABLED, "dear: disabled"),
    "deadline": ({"deadline": Deadline(0.0, 0.9)}, ARMS, "dear: the deadline has passed"),
    "budget": ({"affordable_usd": 0.005}, ARMS, "dear: may cost more than the budget has left"),
    "override": ({"decision": decision(reason=Reason.OVERRIDE)}, ARMS, "the caller named the model"),
    "workflow": ({"decision": decision(reason=Reason.WORKFLOW)}, ARMS, "the workflow is pinned"),
}


@pytest.mark.parametrize(("changes", "arms", "says"), MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("rule", [RULE, EscalationRule(expensive="dear", threshold=1.0, epsilon=1.0)])
def test_what_masks_the_expensive_arm_is_named_and_the_answer_kept(
    rule: EscalationRule, changes: dict[str, Any], arms: tuple[Arm, ...], says: str
) -> None:
    for seed in range(20):
        found = asked(rule, seed=seed, of=view(arms=arms), **changes)
        assert found.accepted
        assert found.propensity == 1.0
        assert found.p_retry_good is None
        assert found.why.startswith(says)


def test_nothing_masks_it_when_nothing_does() -> None:
    assert explain_no_retry(view(), AnsweredDecision(decision=decision(), confidence=0.1), "dear") is None


@given(st.none() | st.floats(0, 10), st.none() | st.floats(0, 10), st.floats(0, 10))
def test_there_is_no_retry_past_a_deadline(
    asked_s: float | None, routed_s: float | None, elapsed_s: float
) -> None:
    first = decision(signals={} if routed_s is None else {"deadline_s": routed_s})
    left = remaining_deadline(first, asked_s, 0.9, first.decided_at + elapsed_s)
    seconds = routed_s if asked_s is None else asked_s
    found = explain_no_retry(view(), AnsweredDecision(decision=first, confidence=0.1, deadline=left), "dear")
    if seconds is None:
        assert (left, found) == (None, None)
    elif abs(elapsed_s - seconds) > 1e-6:
        assert (found is None) == (elapsed_s < seconds)


@pytest.mark.parametrize(("left_s", "may"), [(1.0, False), (3.0, True)])
def test_there_is_no_retry_that_would_miss_the_deadline(left_s: float, may: bool) -> None:
    """Four calls of five on the expensive arm take 2 s, the fifth 0.5 s; 80% in time are asked for."""
    state = empty_state()
    for latency_s in (0.5, 2.0, 2.0, 2.0, 2.0):
        state.latencies.observe("dear", np.ones(DIM), latency_s)
    answered = AnsweredDecision(decision=decision(), confidence=0.1, deadline=Deadline(left_s, 0.8))
    found = explain_no_retry(view(state), answered, "dear")
    says = "dear: 20.0% of its calls took at most the 1 s that are left, deadline_level is 0.8"
    assert found == (None if may else says)


# -- sums -----------------------------------------------------------------------------------------

known = st.none() | st.floats(0, 100)


@given(st.lists(st.tuples(st.floats(0, 1), known, known), min_size=1, max_size=2))
def test_a_chain_is_the_sum_of_its_calls(calls: list[tuple[float, float | None, float | None]]) -> None:
    metrics = [
        {name: value for name, value in (("cost_usd", cost), ("latency_s", s)) if value is not None}
        for _, cost, s in calls
    ]
    found = sum_calls([decision(expected_cost_usd=expected) for expected, _, _ in calls], metrics)
    assert found.expected_cost_usd == pytest.approx(sum(expected for expected, _, _ in calls))
    for summed, column in ((found.cost_usd, 1), (found.latency_s, 2)):
        values = [call[column] for call in calls]
        assert summed == (None if None in values else pytest.approx(sum(values)))  # type: ignore[arg-type]


# -- settings -------------------------------------------------------------------------------------


def settings(**cascade: Any) -> Settings:
    arms = [
        {
            "name": arm.name,
            "input_usd_per_mtok": 1.0,
            "output_usd_per_mtok": 1.0,
            "enabled": arm.name != "off",
        }
        for arm in (*ARMS, replace(ARMS[0], name="off"))
    ]
    return make_settings({"arms": arms, "cascade": {"enabled": True, **cascade}})


CASCADE = CheapFirst(cheap="cheap", expensive="dear")
OFF = replace(ARMS[0], name="off", enabled=False)
WRONG: dict[str, tuple[dict[str, Any], Policy, str]] = {
    "no arm": ({}, parse_policy("tempered"), "cascade.expensive: is missing; name the arm that retries"),
    "unknown": ({"expensive": "huge"}, parse_policy("tempered"), "'huge' is not an arm; use one of cheap"),
    "disabled": ({"expensive": "off"}, parse_policy("tempered"), "'off' is disabled; enable it"),
    "two of them": ({"expensive": "cheap"}, CASCADE, "is 'cheap', the policy's is 'dear'; name it once"),
}


@pytest.mark.parametrize(("section", "policy", "says"), WRONG.values(), ids=WRONG)
def test_a_cascade_that_cannot_be_is_refused_with_the_reason(
    section: dict[str, Any], policy: Policy, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make_escalation_rule(settings(**section), policy, [*ARMS, OFF])


def test_the_arm_is_the_policys_or_the_sections() -> None:
    assert make_escalation_rule(settings(), CASCADE, ARMS) == EscalationRule(expensive="dear")
    section = settings(expensive="dear", threshold=0.7, epsilon=0.0)
    expected = EscalationRule(expensive="dear", threshold=0.7, epsilon=0.0)
    assert make_escalation_rule(section, parse_policy("tempered"), ARMS) == expected


def test_cascades_are_off_unless_they_are_switched_on() -> None:
    assert make_escalation_rule(make_settings({}), CASCADE, ARMS) is None


# -- the policy of the first step -----------------------------------------------------------------


def test_cheap_first_and_expensive_where_cheap_is_not_eligible() -> None:
    policy = CheapFirst(cheap="a1", expensive="a0", epsilon=0.1)
    scores = make_scores([0.1, 0.2, 0.9], [0.1] * 3)
    assert policy.pmf(scores) == pytest.approx([0.1 / 3, 1 - 0.2 / 3, 0.1 / 3])
    masked = make_scores([0.1], [0.1])
    assert policy.pmf(masked) == [1.0]
    elsewhere = CheapFirst(cheap="b", expensive="c")
    assert elsewhere.pmf(scores) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("arms", [("a", "a"), ("", "b"), ("a,b", "c"), ("a", "b=c")])
def test_arms_that_cannot_be_told_apart_or_written_are_refused(arms: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput, match="policy cascade: "):
        CheapFirst(*arms)
