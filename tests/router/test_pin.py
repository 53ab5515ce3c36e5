"""Pinned traffic: the owner sends everything to one arm, on every worker, for a while."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bandit_router.errors import InvalidInput, NoEligibleArm
from bandit_router.router import Router
from bandit_router.store.acts import ActKind
from bandit_router.types import Reason, TrafficPin
from tests.conversations import assert_certain
from tests.router.conftest import LARGE, SMALL, OpenRouter

WORKFLOW = {"name": "invoices", "arm": "small"}
FEW_TOKENS = {**LARGE, "capabilities": ["json"]}


@pytest.fixture
def router(open_router: OpenRouter) -> Router:
    return open_router(arms=(SMALL, FEW_TOKENS), workflows=(WORKFLOW,), router={"cost_weight": 1e6})


@pytest.mark.parametrize(
    "options",
    [{}, {"override": "small"}, {"workflow": "invoices"}, {"min_quality": 1.0}, {"arms": ["large"]}],
)
def test_everything_goes_to_the_pinned_arm_and_is_certain(router: Router, options: Any) -> None:
    router.pin_traffic("large", 3600.0)
    for i in range(5):
        decision = router.route(f"query {i}", **options)
        assert (decision.arm, decision.reason) == ("large", Reason.PINNED)
        assert_certain(decision)
    assert router.verify().problems == []
    assert "pinned all traffic" in router.explain(decision.id).why


def test_other_workers_follow_with_their_next_refresh(open_on_either: OpenRouter) -> None:
    one, other = open_on_either(), open_on_either()
    one.pin_traffic("large", 3600.0)
    other.refresh()
    assert other.route("a").reason is Reason.PINNED
    assert open_on_either().route("a").reason is Reason.PINNED
    one.unpin_traffic()
    other.refresh()
    assert other.route("a").reason is Reason.POLICY


def test_it_ends_by_itself_by_the_reference_clock(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    pin = router.pin_traffic("large", 3600.0)
    assert router.traffic_pin == pin
    now = pin.until - 1.0
    monkeypatch.setattr(router._store.clock, "reference", lambda: now)
    assert router.route("a").reason is Reason.PINNED
    now = pin.until
    assert router.traffic_pin is None
    assert router.route("a").reason is Reason.POLICY


@pytest.mark.parametrize(
    "options", [{"forbid": ["large"]}, {"require": ["tools"]}, {"max_cost_usd": 1e-3}, {"arms": ["small"]}]
)
def test_a_request_that_cannot_go_there_is_decided_as_ever(router: Router, options: Any) -> None:
    router.pin_traffic("large", 3600.0)
    decision = router.route("a", **options)
    assert (decision.arm, decision.reason) == ("small", Reason.POLICY)
    assert router.route("a", override="small", **options).reason is Reason.OVERRIDE


def test_what_nobody_can_take_is_still_an_error_and_so_is_an_unknown_name(router: Router) -> None:
    router.pin_traffic("large", 3600.0)
    with pytest.raises(NoEligibleArm):
        router.route("a", require=["vision"])
    with pytest.raises(InvalidInput, match="override: 'gpt-9' is not an arm"):
        router.route("a", override="gpt-9")


def test_a_pin_is_no_choice_of_a_conversation(router: Router) -> None:
    kept = router.route("a", conversation="c")
    assert kept.arm == "small"
    router.pin_traffic("large", 3600.0)
    assert [router.route("b", conversation=name).arm for name in ("c", "new")] == ["large", "large"]
    router.unpin_traffic()
    assert router.route("c", conversation="c").reason is Reason.STICKY
    assert router.route("c", conversation="new").reason is Reason.POLICY


def test_a_budget_does_not_mask_the_pinned_arm(open_router: OpenRouter) -> None:
    router = open_router(budget={"usd_per_day": 1e-9})
    assert router.route("a").arm == "small"
    router.pin_traffic("large", 3600.0)
    assert router.route("a").arm == "large"


def test_an_answer_is_retried_on_no_other_arm(open_router: OpenRouter) -> None:
    router = open_router(
        policy={"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0},
        cascade={"enabled": True, "threshold": 1.0, "epsilon": 0.0},
    )
    router.pin_traffic("small", 3600.0)
    escalation = router.escalate(router.route("a"), confidence=0.1)
    assert (escalation.accepted, escalation.why) == (True, "all traffic is pinned to small")


def test_pins_are_in_the_audit_and_a_second_one_replaces_the_first(router: Router) -> None:
    router.pin_traffic("small", 60.0)
    pin = router.pin_traffic("large", 3600.0)
    assert pin.until == pytest.approx(time.time() + 3600.0, abs=60.0)
    assert router.unpin_traffic() == pin
    assert router.unpin_traffic() is None
    acts = [(act.kind, act.subject) for act in router._store.acts(3)]
    assert acts == [
        (ActKind.TRAFFIC_PINNED, "small"),
        (ActKind.TRAFFIC_PINNED, "large"),
        (ActKind.TRAFFIC_UNPINNED, "large"),
    ]


def test_a_pin_follows_a_renamed_arm(router: Router) -> None:
    until = router.pin_traffic("large", 3600.0).until
    router.rename_arm("large", "gpt")
    assert router.traffic_pin == TrafficPin("gpt", until)
    assert router.route("a").arm == "gpt"


@pytest.mark.parametrize(("arm", "seconds"), [("gpt-9", 60.0), ("large", 0.0), ("large", 1e9)])
def test_a_wrong_pin_is_refused(router: Router, arm: str, seconds: float) -> None:
    with pytest.raises(InvalidInput):
        router.pin_traffic(arm, seconds)
    assert router.traffic_pin is None


def test_an_arm_that_is_off_is_not_pinned(router: Router) -> None:
    router.enable_arm("large", False)
    with pytest.raises(InvalidInput, match="is off"):
        router.pin_traffic("large", 60.0)


def test_feedback_on_a_pinned_decision_is_learned_and_it_is_no_exploration(router: Router) -> None:
    router.pin_traffic("large", 3600.0)
    router.feedback(router.route("a").id, quality=1.0)
    router.learn()
    assert router.counts()["large"] == 1
    assert router.verify().problems == []
