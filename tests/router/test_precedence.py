"""Overrides, workflows and forbidden arms: what goes before the policy, and how it is logged."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bandit_router.errors import ArmExcluded, ConfigError, InvalidInput, NoEligibleArm, UnknownDecision
from bandit_router.router import Router
from bandit_router.types import Reason
from tests.conversations import assert_certain
from tests.databases import MakeUrl
from tests.router.conftest import LARGE, NEW, SMALL, OpenRouter, settings_of
from tests.store.examples import counted_of

INVOICES = {"name": "invoices", "arm": "large"}


@pytest.fixture
def router(open_router: OpenRouter) -> Router:
    return open_router(workflows=(INVOICES,))


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"override": "large"}, Reason.OVERRIDE), ({"workflow": "invoices"}, Reason.WORKFLOW)],
)
def test_every_step_goes_where_it_is_pinned_and_is_certain(
    router: Router, options: Any, reason: Reason
) -> None:
    for i in range(20):
        made = router.route(f"query {i}", cost_weight=1e6, **options)
        assert (made.arm, made.reason) == ("large", reason)
        assert made.eligible == ("large", "small")
        assert_certain(made)
    assert router.verify().ok


def test_an_override_goes_before_a_workflow(router: Router) -> None:
    assert router.route("a", override="small", workflow="invoices").arm == "small"


def test_a_workflow_is_logged_by_name(router: Router) -> None:
    made = router.decision(router.route("a", workflow="invoices", user_tier="free").id)
    assert made.signals == {"workflow": "invoices", "tier": "free"}


def test_an_unknown_workflow_is_refused(router: Router) -> None:
    with pytest.raises(InvalidInput, match="workflow: 'mail' is not a workflow; use one of invoices"):
        router.route("a", workflow="mail")


@pytest.mark.parametrize("options", [{"override": "gpt-9"}, {"forbid": ["gpt-9"]}])
def test_an_arm_that_does_not_exist_is_refused(router: Router, options: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{next(iter(options))}: 'gpt-9' is not an arm"):
        router.route("a", **options)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"override": "\0"}, "override"),
        ({"override": 5}, "override"),
        ({"workflow": "x" * 129}, "workflow"),
        ({"forbid": "small"}, "forbid"),
        ({"forbid": [1]}, r"forbid\[0\]"),
        ({"override": "small", "instead_of": "x" * 37}, "instead_of"),
        ({"instead_of": "d"}, "instead_of: comes without override"),
    ],
)
def test_bad_options_are_named(router: Router, options: Any, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        router.route("a", **options)


def test_forbidden_arms_are_not_chosen(router: Router) -> None:
    made = router.route("a", forbid=["large"])
    assert (made.eligible, made.excluded) == (("small",), {"large": "forbidden by the caller"})
    with pytest.raises(NoEligibleArm, match="forbidden by the caller"):
        router.route("a", forbid=["large", "small"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"override": "large", "require": ["tools"]}, "the override names arm 'large', .*: lacks tools"),
        (
            {"workflow": "invoices", "require": ["tools"]},
            "workflow 'invoices' is pinned to arm 'large', .*tools",
        ),
        ({"workflow": "invoices", "forbid": ["large"]}, "workflow 'invoices' .* forbidden by the caller"),
        ({"override": "large", "arms": ["small"]}, "not among the arms the caller allows"),
        ({"override": "large", "max_cost_usd": 0.001}, "more than max_cost_usd"),
    ],
)
def test_a_pin_that_cannot_be_had_is_an_error_that_says_why(router: Router, options: Any, says: str) -> None:
    with pytest.raises(ArmExcluded, match=says) as error:
        router.route("a", **options)
    assert "large" in error.value.excluded


def test_a_pinned_arm_that_is_switched_off_is_an_error_and_a_retry_gets_its_answer(router: Router) -> None:
    first = router.route("a", workflow="invoices", idempotency_key="k")
    router.enable_arm("large", False)
    for options in ({"override": "large"}, {"workflow": "invoices"}):
        with pytest.raises(ArmExcluded, match="arm 'large', which is not eligible: disabled"):
            router.route("a", **options)  # type: ignore[arg-type]
    assert router.route("a", workflow="invoices", idempotency_key="k").id == first.id


def test_what_is_pinned_is_not_held_to_the_budget_and_is_booked(open_router: OpenRouter) -> None:
    router = open_router(budget={"usd_per_request": 0.002}, workflows=(INVOICES,))
    router.feedback(router.route("a").id, cost_usd=1.0)
    assert router.route("a").eligible == ("small",)
    spent = [router.route("a", override="large"), router.route("a", workflow="invoices")]
    assert [made.arm for made in spent] == ["large", "large"]
    report = router.verify()
    assert report.ok, report.problems
    later = router.route("a").expected_cost_usd + math.fsum(made.expected_cost_usd for made in spent)
    assert report.spent_usd_booked > 1.0 + later - 2 * 0.00018 - 1e-9


def test_what_is_pinned_is_not_held_to_the_floor_of_quality(open_router: OpenRouter) -> None:
    router = open_router()
    for i in range(30):
        for arm, quality in (("large", 0.9), ("small", 0.3)):
            router.feedback(router.route(f"query {i}", arms=[arm]).id, quality=quality)
    router.learn()
    assert router.route("query", min_quality=0.7).eligible == ("large",)
    made = router.route("query", min_quality=0.7, override="small")
    assert (made.arm, made.eligible) == ("small", ("large", "small"))


# -- instead of an earlier answer -----------------------------------------------------------------


def test_an_override_instead_of_an_answer_can_become_reward(open_on_either: OpenRouter) -> None:
    router = open_on_either(reward={"weights": {"quality": 1.0, "override": 0.5}})
    first = router.route("a", arms=["small"])
    router.feedback(first.id, quality=0.9)
    second = router.route("a", override="large", instead_of=first.id)
    assert (second.parent, second.reason) == (first.id, Reason.OVERRIDE)
    assert router.metrics(first.id) == {"quality": 0.9, "override": 1.0}
    router.learn()
    assert router.counts() == {"large": 0, "small": 1}
    assert counted_of(router._store, first.id)["reward"] == pytest.approx((0.9 + 0.5 * 0.0) / 1.5)
    assert router.verify().ok


def test_a_retry_with_a_key_says_it_once(router: Router) -> None:
    first = router.route("a")
    options: Any = {"override": "large", "instead_of": first.id, "idempotency_key": "k"}
    assert router.route("a", **options).id == router.route("a", **options).id
    assert router.metrics(first.id) == {"override": 1.0}
    assert len(router.explain(first.id).children) == 1


def test_instead_of_an_unknown_decision_is_refused(router: Router) -> None:
    with pytest.raises(UnknownDecision):
        router.route("a", override="large", instead_of="unknown")
    assert router.verify().decisions == 0


# -- workflows at the start -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ((SMALL,), "'invoices' is pinned to 'large', which is not an arm; use one of small"),
        (
            (SMALL, LARGE | {"enabled": False}),
            "is pinned to arm 'large', which has enabled = false",
        ),
    ],
)
def test_a_workflow_without_its_arm_stops_the_start(make_sqlite_url: MakeUrl, arms: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Router.open(settings_of(make_sqlite_url(), arms=arms, workflows=(INVOICES,)))


def test_two_workflows_of_one_name_are_refused(make_sqlite_url: MakeUrl) -> None:
    with pytest.raises(ConfigError, match="duplicate workflow invoices"):
        settings_of(make_sqlite_url(), workflows=(INVOICES, INVOICES))


def test_a_workflow_may_be_pinned_to_an_arm_added_while_running(open_router: OpenRouter) -> None:
    open_router().put_arm(NEW)
    assert open_router(workflows=({"name": "w", "arm": "new"},)).route("a", workflow="w").arm == "new"
