"""The share of answers that are rated: published and logged with each decision; and the coin of callers."""

from __future__ import annotations

from typing import Any

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.router import Router
from bandit_router.types import RATED_SHARE, WILL_BE_RATED, Decision, Reason
from tests.router.conftest import OpenRouter


def rate_every(step: int, router: Router, n: int = 60) -> None:
    """Route, and rate every so many answers at once, in two rounds of learning."""
    for _ in range(2):
        for i, made in enumerate([router.route(f"query {i}") for i in range(n)]):
            if i % step == 0:
                router.feedback(made.id, quality=float(made.arm == "large"))
        router.learn()


def test_every_decision_after_a_snapshot_logs_the_share_that_it_has(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    rate_every(5, router)
    made = router.route("Why?")
    share = made.signals[RATED_SHARE]
    assert isinstance(share, float)
    assert share == pytest.approx(0.2, abs=0.05)
    assert open_on_either().route("Why?").signals == made.signals, "another worker decides alike"
    assert router.explain(made.id).decision.signals == made.signals
    audit = router.verify()
    assert audit.ok, audit.problems
    router.rebuild()
    assert router.route("Why?").signals == made.signals


def test_where_all_are_rated_nothing_is_logged(open_router: OpenRouter) -> None:
    router = open_router()
    rate_every(1, router)
    assert router.route("Why?").signals == {}


# -- the coin --------------------------------------------------------------------------------------


def route_many(router: Router, **options: Any) -> list[Decision]:
    return [router.route(f"query {i}", **options) for i in range(40)]


def test_a_router_explores_where_it_will_be_heard(open_router: OpenRouter) -> None:
    router = open_router(router={"explore": "heard", "unrated_epsilon": 0.0})
    heard, others = route_many(router, will_be_rated=True), route_many(router, will_be_rated=False)
    assert {made.reason for made in heard} == {Reason.POLICY}
    assert {made.arm for made in heard} == {"small", "large"}
    assert {made.reason for made in others} == {Reason.GREEDY}
    assert {made.propensity for made in others} <= {0.5, 1.0}
    assert others[0].signals == {WILL_BE_RATED: 0.0}
    assert {made.reason for made in route_many(router)} == {Reason.GREEDY}
    audit = router.verify()
    assert audit.ok, audit.problems
    assert audit.pmfs_recomputed == 120


def test_the_coin_is_logged_and_changes_nothing_by_default(open_router: OpenRouter) -> None:
    made = open_router().route("Why?", will_be_rated=False)
    assert (made.reason, made.signals) == (Reason.POLICY, {WILL_BE_RATED: 0.0})


@pytest.mark.parametrize("value", [1, 0.5, "true"])
def test_the_coin_is_a_truth_value(open_router: OpenRouter, value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"will_be_rated: is .*; give true or false"):
        open_router().route("Why?", will_be_rated=value)
