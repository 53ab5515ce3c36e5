"""Conversations keep their arm: whoever routes, in whatever order it is decided and committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from bandit_router.errors import UnknownConversation
from bandit_router.router import RouteOptions, Router
from bandit_router.store import conversations as rows
from bandit_router.store import write_requests
from bandit_router.store.conversations import apply_claims
from bandit_router.store.engine import INSERT
from bandit_router.store.tables import conversations as table
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Outcome, Reason
from tests.conversations import assert_certain, assert_kept, cost_of
from tests.router.conftest import LARGE, SMALL, OpenRouter
from tests.store.spending_log import assert_booked_once

MEDIUM = SMALL | {"name": "medium", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
ARMS = SMALL, MEDIUM, LARGE
QUALITY = {"small": 0.2, "medium": 0.7, "large": 0.9}
WEIGHTS = {"large": 0.0, "medium": 200.0, "small": 1e5}
"""Cost weights, by the arm that is best with them once QUALITY is learned."""

UNIFORM = {"name": "uniform"}


def of_three_arms(open_router: OpenRouter, **sections: Any) -> Router:
    """A router that begins conversations anywhere."""
    return open_router(arms=ARMS, policy=UNIFORM, posterior={"noise_std": 0.1}, **sections)


def learned(open_router: OpenRouter, **sections: Any) -> Router:
    """The same, and it knows the quality of every arm."""
    router = of_three_arms(open_router, **sections)
    for arm, quality in QUALITY.items():
        for i in range(12):
            router.feedback(router.route(f"query {i}", arms=[arm]).id, quality=quality)
    router.learn()
    return router


def begun(router: Router, arm: str, conversation: str = "c", **options: Any) -> Decision:
    """The first decision of a conversation that keeps ``arm``."""
    first = router.route("Hello?", conversation=conversation, arms=[arm], **options)
    assert (first.arm, first.reason) == (arm, Reason.POLICY)
    return first


# -- what a conversation keeps --------------------------------------------------------------------


def test_a_conversation_keeps_the_arm_it_began_with(open_on_either: OpenRouter) -> None:
    one, other = (open_on_either(policy=UNIFORM, seed=seed) for seed in range(2))
    steps = [
        router.route(f"turn {turn}", conversation=f"c{i}")
        for turn in range(6)
        for i in range(12)
        for router in (one, other)
    ]
    assert_kept(steps)
    assert {step.arm for step in steps} == {"small", "large"}
    assert sum(step.reason is Reason.POLICY for step in steps) == 12
    assert one.verify().ok


def test_it_keeps_it_after_a_restart(open_router: OpenRouter) -> None:
    router = open_router(policy=UNIFORM)
    begun(router, "large")
    router.close()
    assert {open_router(seed=i).route("a", conversation="c").arm for i in range(5)} == {"large"}


def test_a_sticky_step_is_logged_as_certain_over_all_that_was_eligible(router: Router) -> None:
    first = begun(router, "small")
    step = router.route("And then?", conversation="c")
    assert step.eligible == ("large", "small")
    assert_certain(step)
    assert (step.reason, step.arm, step.parent) == (Reason.STICKY, first.arm, None)
    assert step.expected_cost_usd == cost_of(step, "small")
    logged = router.decision(step.id)
    assert replace(logged, x=step.x) == step
    assert router.verify().ok


def test_conversations_of_other_routers_are_others(open_router: OpenRouter) -> None:
    begun(open_router(), "large")
    assert begun(open_router(router={"name": "other"}), "small").arm == "small"


def test_unless_they_are_sticky_conversations_are_only_logged(open_router: OpenRouter) -> None:
    router = open_router(policy=UNIFORM, conversations={"sticky": False})
    steps = [router.route("a", conversation="c") for _ in range(40)]
    assert {(step.arm, step.reason) for step in steps} == {(arm, Reason.POLICY) for arm in ("small", "large")}
    assert {step.conversation for step in steps} == {"c"}
    with pytest.raises(UnknownConversation, match=r"conversations\.sticky is off"):
        router.feedback(conversation="c", quality=1.0)


def test_a_conversation_that_was_not_heard_of_begins_anew(open_router: OpenRouter) -> None:
    router = open_router(conversations={"ttl_s": 100.0})
    begun(router, "large")
    age(router, 99.0)
    assert router.route("a", conversation="c", arms=["small"]).reason is Reason.FALLBACK
    age(router, 99.0)  # heard of meanwhile
    assert router.route("a", conversation="c").arm == "large"
    age(router, 101.0)
    assert begun(router, "small").reason is Reason.POLICY
    assert router.route("a", conversation="c").arm == "small"
    assert router.verify().ok


def age(router: Router, seconds: float) -> None:
    """Let so much time pass."""
    with router._store._engine.begin() as connection:  # no other door leads to the past
        connection.execute(update(table).values(seen_at=table.c.seen_at - seconds))


def test_where_its_arm_is_not_eligible_it_falls_back_for_this_call(open_router: OpenRouter) -> None:
    router = open_router(policy=UNIFORM)
    begun(router, "large")
    fallen = router.route("a", conversation="c", require=["tools"])
    assert (fallen.arm, fallen.reason) == ("small", Reason.FALLBACK)
    assert fallen.excluded == {"large": "lacks tools"}
    assert router.route("a", conversation="c").arm == "large"
    router.enable_arm("large", False)
    assert router.route("a", conversation="c").reason is Reason.FALLBACK
    router.enable_arm("large")
    assert router.route("a", conversation="c").reason is Reason.STICKY
    assert router.verify().ok


# -- the promotion --------------------------------------------------------------------------------


def test_it_is_promoted_once_where_a_dearer_arm_is_worth_it(open_on_either: OpenRouter) -> None:
    router = learned(open_on_either)
    first = begun(router, "small")
    stays = router.route("a", conversation="c", cost_weight=WEIGHTS["small"])
    promoted = router.route("a", conversation="c", cost_weight=WEIGHTS["medium"])
    later = [router.route("a", conversation="c", cost_weight=weight) for weight in WEIGHTS.values()]
    assert (stays.arm, stays.reason) == ("small", Reason.STICKY)
    assert (promoted.arm, promoted.reason, promoted.parent) == ("medium", Reason.PROMOTION, first.id)
    assert {(step.arm, step.reason) for step in later} == {("medium", Reason.STICKY)}
    assert_kept([first, stays, promoted, *later])
    assert router.verify().ok


def test_it_is_never_demoted(open_router: OpenRouter) -> None:
    router = learned(open_router)
    begun(router, "large")
    assert router.route("a", conversation="c", cost_weight=WEIGHTS["small"]).arm == "large"


@pytest.mark.parametrize(
    "section", [{"promote_gain": 0.0}, {"promote_gain": 0.9}, {"switch_usd_per_mtok": 1e5}]
)
def test_a_promotion_that_does_not_pay_is_not_made(
    open_router: OpenRouter, section: dict[str, float]
) -> None:
    router = learned(open_router, conversations=section)
    begun(router, "small")
    step = router.route("x" * 400, conversation="c", cost_weight=1.0)  # 100 tokens: 10 USD for the switch
    assert (step.arm, step.reason) == ("small", Reason.STICKY)


# -- overrides, workflows, keys, money ------------------------------------------------------------


def test_pins_neither_begin_a_conversation_nor_change_one(open_router: OpenRouter) -> None:
    router = open_router(workflows=({"name": "w", "arm": "large"},))
    router.route("a", conversation="c", override="large")
    router.route("a", conversation="c", workflow="w")
    begun(router, "small")
    assert router.route("a", conversation="c", override="large").reason is Reason.OVERRIDE
    assert router.route("a", conversation="c", workflow="w").reason is Reason.WORKFLOW
    assert router.route("a", conversation="c").arm == "small"


def test_a_retry_with_a_key_is_answered_as_before(open_router: OpenRouter) -> None:
    router = learned(open_router)
    first = router.route("a", conversation="c", idempotency_key="k", arms=["small"])
    promoted = router.route("a", conversation="c", idempotency_key="l")
    assert promoted.reason is Reason.PROMOTION
    again = router.route("a", conversation="c", idempotency_key="k", arms=["small"])
    assert (again.id, again.arm, again.reason) == (first.id, "small", Reason.POLICY)
    assert router.route("a", conversation="c", idempotency_key="l").id == promoted.id
    assert router.route("a", conversation="c").reason is Reason.STICKY


def test_a_decision_that_is_made_again_is_booked_at_what_it_ends_up_with(open_on_either: OpenRouter) -> None:
    sections = {"budget": {"usd_per_request": 1.0}, "policy": UNIFORM}
    one, other = (open_on_either(seed=seed, **sections) for seed in range(2))
    winner, loser = (put_of(router, "c", arms=["large"]) for router in (one, other))
    cheap = put_of(other, "c")
    while not isinstance(cheap.payload, Decision) or cheap.payload.arm == "large":
        cheap = put_of(other, "c")
    (first,), (_, again) = one._store.write([winner]), other._store.write([loser, cheap])
    assert isinstance(first, Decision)
    assert isinstance(again, Decision)
    assert (again.id, again.arm, again.reason) == (cheap.payload.id, "large", Reason.STICKY)
    assert again.expected_cost_usd == cost_of(again, "large") > cheap.payload.expected_cost_usd
    assert_booked_once(str(one.settings.store.url), "default")
    assert one.verify().ok


# -- feedback -------------------------------------------------------------------------------------


def test_feedback_of_a_conversation_is_that_of_its_choice(open_on_either: OpenRouter) -> None:
    router = learned(open_on_either)
    first = begun(router, "small")
    router.route("a", conversation="c", cost_weight=WEIGHTS["small"])
    assert router.feedback(conversation="c", quality=0.5) == {"quality": Outcome.RECORDED}
    assert router.metrics(first.id) == {"quality": 0.5}
    promoted = router.route("a", conversation="c")
    router.feedback(conversation="c", quality=0.75)
    assert router.metrics(promoted.id) == {"quality": 0.75}
    assert router.metrics(first.id) == {"quality": 0.5}
    assert router.learn() == 2
    assert router.verify().ok


def test_a_retry_of_such_feedback_with_a_key_is_a_replay_whatever_happened_since(
    open_router: OpenRouter,
) -> None:
    router = learned(open_router)
    first = begun(router, "small")
    for happens in (lambda: router.route("a", conversation="c"), lambda: age(router, 1e6)):
        assert router.feedback(conversation="c", quality=0.5, idempotency_key="k") == {
            "quality": Outcome.RECORDED
        }
        happens()
    assert router.feedback(conversation="c", quality=0.5, idempotency_key="k") == {
        "quality": Outcome.RECORDED
    }
    assert router.metrics(first.id) == {"quality": 0.5}
    with pytest.raises(UnknownConversation):
        router.feedback(conversation="c", quality=0.5, idempotency_key="new")


def test_feedback_of_an_unknown_conversation_is_refused(router: Router) -> None:
    with pytest.raises(UnknownConversation, match="no conversation 'c'"):
        router.feedback(conversation="c", quality=1.0)
    begun(router, "small")
    age(router, 1e6)
    with pytest.raises(UnknownConversation, match="not heard of"):
        router.feedback(conversation="c", quality=1.0)


@pytest.mark.parametrize("about", [{}, {"decision_id": "d", "conversation": "c"}])
def test_feedback_is_about_one_thing(router: Router, about: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        router.feedback(**about, quality=1.0)  # type: ignore[arg-type]


# -- whatever is decided and committed, in whatever order -----------------------------------------


def put_of(router: Router, conversation: str, **options: Any) -> WriteRequest:
    """A decision on its way to a commit."""
    request, digest = router._prepare("Why?", cast(RouteOptions, {"conversation": conversation, **options}))
    return router._choose(router._recall(request), digest)


_STEPS = st.one_of(
    st.tuples(
        st.just("decide"),
        st.sampled_from("ab"),
        st.sampled_from([{"cost_weight": weight} for weight in WEIGHTS.values()])
        | st.sampled_from([{"forbid": [arm]} for arm in QUALITY]),
    ),
    st.tuples(st.just("commit"), st.integers(1, 4), st.booleans()),
)
_PLANS = st.lists(_STEPS, min_size=4, max_size=30)


def play(routers: Sequence[Router], plan: Sequence[Any], random: Any, name: str) -> list[Decision]:
    """Decide and commit as the plan says, each on any of the routers; what was committed, in that order."""
    waiting: list[WriteRequest] = []
    committed: list[Decision] = []

    def commit(count: int) -> None:
        batch, waiting[:] = waiting[:count], waiting[count:]
        answers = random.choice(routers)._store.write(batch)
        assert all(isinstance(answer, Decision) for answer in answers), answers
        committed.extend(answers)

    for kind, one, two in plan:
        if kind == "decide":
            waiting.append(put_of(random.choice(routers), f"{name}-{one}", **two))
        else:
            if two:
                random.shuffle(waiting)
            commit(one)
    commit(len(waiting))
    return committed


def check_plans(open_router: OpenRouter) -> list[Decision]:
    """Play any plans on two routers and check what becomes of the conversations."""
    routers = [learned(open_router), of_three_arms(open_router, seed=1)]
    everything: list[Decision] = []

    @settings(max_examples=150, phases=[Phase.generate], report_multiple_bugs=False)
    @given(_PLANS, st.randoms(use_true_random=False))
    def check(plan: list[Any], random: Any) -> None:
        committed = play(routers, plan, random, name=str(time.monotonic_ns()))
        assert_kept(committed)
        everything.extend(committed)

    check()
    for decision in everything[::20]:
        assert replace(routers[0].decision(decision.id), x=decision.x) == decision
    assert routers[0].verify().ok
    return everything


def test_a_conversation_never_changes_its_arm_but_for_one_promotion(open_on_either: OpenRouter) -> None:
    seen = {decision.reason for decision in check_plans(open_on_either)}
    assert seen == {Reason.POLICY, Reason.STICKY, Reason.PROMOTION, Reason.FALLBACK}


# Negative controls: without what makes it hold, the same check fails.

_BROKEN = r"begins again|begins with|changes from|promoted twice"


def test_a_claim_that_overwrites_the_one_before_it_is_caught(
    open_on_either: OpenRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    overwriting = {name: change.returning(*table.c) for name, change in rows._CHANGE.items()}
    monkeypatch.setattr(rows, "_CLAIM", overwriting)
    with pytest.raises(AssertionError, match=_BROKEN):
        check_plans(open_on_either)


def test_a_claim_without_its_conflict_clause_is_refused_by_the_key(
    open_on_either: OpenRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = {name: into(table).returning(*table.c) for name, into in INSERT.items()}
    monkeypatch.setattr(rows, "_CLAIM", bare)
    with pytest.raises(AssertionError, match="StoreError"):
        check_plans(open_on_either)


def test_decisions_that_are_committed_as_they_were_made_are_caught(
    open_on_either: OpenRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusting(connection: Any, router: str, claimed: Any, logged: Any) -> list[Decision]:
        apply_claims(connection, router, claimed, logged)
        return [decision for decision, _ in claimed]

    monkeypatch.setattr(write_requests, "apply_claims", trusting)
    with pytest.raises(AssertionError, match=_BROKEN):
        check_plans(open_on_either)
