"""Calls of the router's own: begun in the log, ended once, within budgets however many begin at once."""

from __future__ import annotations

from typing import Any

import pytest

from bandit_router.errors import OwnBudgetSpent
from bandit_router.learning.audit import audit_store
from bandit_router.security.budget import find_day
from bandit_router.store.own_calls import OwnBudget, OwnCallPlan, OwnCost
from bandit_router.store.store import Store
from bandit_router.types import CallOutcome, CallResult, Purpose
from tests.store.examples import OpenStore, learner_of, logged, together
from tests.store.test_calls import USAGE

WORKERS = 4


def plan(**changes: Any) -> OwnCallPlan:
    usual: dict[str, Any] = {"purpose": Purpose.LABEL, "arm": "cheap", "worst_usd": 1.0, "lost_after_s": 60.0}
    return OwnCallPlan(**(usual | changes))


def answered(cost_usd: float) -> CallResult:
    return CallResult(
        outcome=CallOutcome.ANSWERED,
        cost_usd=cost_usd,
        cost_reported=True,
        latency_s=0.5,
        usage=USAGE,
        served_model="gpt-9",
    )


def test_a_call_is_read_as_it_was_planned_and_as_it_ended(store: Store) -> None:
    about = logged(store)
    ended = store.begin_own_call(plan(run="run", item="a", decision_id=about.id))
    open_one = store.begin_own_call(plan(run="run", item="b"))
    store.begin_own_call(plan(run="another"))
    assert store.end_own_call(ended, answered(0.25))
    first, second = store.own_calls("run")
    assert (first.id, first.decision_id, first.item, first.arm) == (ended, about.id, "a", "cheap")
    assert (first.result, first.counted_usd) == (answered(0.25), 0.25)
    assert (second.id, second.result, second.counted_usd) == (open_one, None, 1.0)


def test_a_call_ends_once(store: Store) -> None:
    call_id = store.begin_own_call(plan(run="run"))
    assert [store.end_own_call(call_id, answered(usd)) for usd in (0.25, 0.5)] == [True, False]
    assert store.own_calls("run")[0].counted_usd == 0.25
    assert store.lose_own_calls("run") == 0


def test_what_did_not_end_in_time_is_lost_and_cost_the_most(store: Store) -> None:
    late = store.begin_own_call(plan(run="run", lost_after_s=-1.0))
    store.begin_own_call(plan(run="run"))
    assert [store.lose_own_calls(), store.lose_own_calls()] == [1, 0]
    assert not store.end_own_call(late, answered(0.25))
    lost, under_way = store.own_calls("run")
    assert lost.result == CallResult(outcome=CallOutcome.LOST, cost_usd=1.0)
    assert under_way.result is None


def test_all_of_a_run_that_goes_on_are_lost(store: Store) -> None:
    for run in ("run", "run", "another"):
        store.begin_own_call(plan(run=run))
    assert [store.lose_own_calls("run"), store.lose_own_calls()] == [2, 0]


def test_a_budget_counts_costs_and_the_worst_of_what_is_under_way(store: Store) -> None:
    budget = OwnBudget(usd=2.0)
    store.end_own_call(store.begin_own_call(plan(), budget), answered(1.25))
    store.begin_own_call(plan(), budget)
    with pytest.raises(OwnBudgetSpent, match=r"label.* 2 USD.* 2\.25"):
        store.begin_own_call(plan(), budget)
    store.begin_own_call(plan(purpose=Purpose.JUDGE), budget)
    store.begin_own_call(plan(), OwnBudget(usd=2.5))


def test_the_budget_of_a_run_is_its_own(store: Store) -> None:
    store.begin_own_call(plan(run="one"))
    with pytest.raises(OwnBudgetSpent):
        store.begin_own_call(plan(run="one"), OwnBudget(usd=1.0, run="one"))
    store.begin_own_call(plan(run="two"), OwnBudget(usd=1.0, run="two"))


def begin_together(open_store: OpenStore) -> int:
    """Let several workers begin at the same moment on a budget for one; how many may."""
    stores = [open_store() for _ in range(WORKERS)]

    def begin(store: Store) -> int:
        try:
            store.begin_own_call(plan(), OwnBudget(usd=0.5))
        except OwnBudgetSpent:
            return 0
        return 1

    return sum(together(*(lambda s=s: begin(s) for s in stores)))


def test_of_workers_that_begin_at_once_one_has_the_rest_of_a_budget(open_store: OpenStore) -> None:
    assert begin_together(open_store) == 1


def test_costs_are_summed_by_purpose_and_day(store: Store) -> None:
    for purpose, usd in ((Purpose.LABEL, 0.25), (Purpose.LABEL, 0.5), (Purpose.JUDGE, 0.125)):
        store.end_own_call(store.begin_own_call(plan(purpose=purpose)), answered(usd))
    store.begin_own_call(plan(purpose=Purpose.JUDGE))
    today = find_day(store.clock.now())
    costs = [OwnCost(Purpose.JUDGE, today, 2, 1.125), OwnCost(Purpose.LABEL, today, 2, 0.75)]
    assert store.own_costs(today) == costs
    assert store.own_costs(today + 1) == []


def test_routers_share_nothing(open_store: OpenStore) -> None:
    one, other = open_store("one"), open_store("other")
    call_id = one.begin_own_call(plan(run="run"), OwnBudget(usd=1.0))
    other.begin_own_call(plan(), OwnBudget(usd=1.0))
    assert not other.end_own_call(call_id, answered(0.25))
    assert [other.lose_own_calls("run"), len(other.own_calls("run")), len(one.own_calls("run"))] == [0, 0, 1]


def test_a_forgotten_user_leaves_only_what_the_call_cost(store: Store) -> None:
    about = logged(store, user="alice")
    store.end_own_call(store.begin_own_call(plan(run="run", decision_id=about.id)), answered(0.25))
    learner_of(store).forget_user(["alice"])
    [call] = store.own_calls("run")
    assert (call.decision_id, call.counted_usd) == (None, 0.25)
    assert audit_store(store).problems == []
