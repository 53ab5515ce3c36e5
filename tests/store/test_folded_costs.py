"""Costs are learned exactly once, as rewards are: what is counted equals a sum over the log."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandit_router.posterior.cost import compute_cost_root
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.store import Store
from bandit_router.store.tables import pending
from bandit_router.types import Decision
from tests.store.examples import counted_of, counted_rows, fold_forgetfully, learner_of, logged, rows, said

LISTED = 0.002
Costs = Mapping[str, tuple[Decision, float | None]]
"""By decision id: the decision and the cost last reported; None when nothing is in force."""


def costs_of(store: Store) -> SufficientStatistics:
    return decode_state(store.published()[2]).costs


def assert_costs_counted_once(store: Store, truth: Costs) -> None:
    """Σ z x, Σ z² and the counts of the newest snapshot, term by term; nothing pending."""
    live = costs_of(store)
    cross, square, count = np.zeros_like(live.cross), np.zeros_like(live.square), np.zeros_like(live.count)
    for decision, cost in truth.values():
        root = compute_cost_root(cost, decision.list_cost_usd)
        if root is not None:
            k = live.index(decision.arm)
            cross[k] += root * decision.x
            square[k] += root**2
            count[k] += 1
    assert rows(store, pending) == 0
    assert live.count.tolist() == count.tolist()
    assert counted_rows(store, "cost") == count.sum()
    np.testing.assert_allclose(live.cross, cross, atol=1e-9)
    np.testing.assert_allclose(live.square, square, atol=1e-9)


def test_a_cost_is_counted_revised_and_taken_back(store: Store) -> None:
    known, learner = logged(store, list_cost_usd=LISTED), learner_of(store)
    for cost in (0.001, 0.001, 0.004, None, 0.008):
        said(store, known, cost_usd=cost)
        said(store, known, cost_usd=cost)  # a retry
        learner.fold()
        assert_costs_counted_once(store, {known.id: (known, cost)})


def test_costs_and_rewards_are_counted_apart(store: Store) -> None:
    one, other = (logged(store, list_cost_usd=LISTED) for _ in range(2))
    said(store, one, cost_usd=0.003)
    said(store, other, quality=0.5)
    learner_of(store).fold()
    state = decode_state(store.published()[2])
    assert (state.rewards.count.sum(), state.costs.count.sum()) == (1, 1)
    assert_costs_counted_once(store, {one.id: (one, 0.003), other.id: (other, None)})


def test_a_decision_of_before_costs_were_learned_is_no_trouble(store: Store) -> None:
    old = logged(store)
    said(store, old, quality=1.0, cost_usd=0.5)
    learner_of(store).fold()
    assert_costs_counted_once(store, {old.id: (old, 0.5)})
    assert counted_of(store, old.id)["reward"] == 1.0


def test_a_rebuild_counts_the_same_costs(store: Store) -> None:
    truth: dict[str, tuple[Decision, float | None]] = {}
    for cost in (0.001, 0.002, 0.05):
        known = logged(store, list_cost_usd=LISTED)
        said(store, known, cost_usd=cost)
        truth[known.id] = (known, cost)
    learner = learner_of(store)
    learner.fold()
    live = costs_of(store)
    learner.rebuild()
    assert_costs_counted_once(store, truth)
    np.testing.assert_allclose(costs_of(store).cross, live.cross, atol=1e-12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_said_in_whatever_order_counts_once(store: Store, data: st.DataObject) -> None:
    learner = learner_of(store)
    known = [logged(store, list_cost_usd=LISTED, arm=arm) for arm in ("cheap", "dear", "dear")]
    truth: dict[str, tuple[Decision, float | None]] = {one.id: (one, None) for one in known}
    for _ in range(data.draw(st.integers(1, 8))):
        one = data.draw(st.sampled_from(known))
        cost = data.draw(st.none() | st.floats(0, 10))
        said(store, one, cost_usd=cost)
        truth[one.id] = (one, cost)
        if data.draw(st.booleans()):
            learner.fold()
    learner.fold()
    assert costs_of(store).count.sum() == counted_rows(store, "cost")
    for i, (one, cost) in truth.items():
        assert counted_of(store, i).get("cost") == compute_cost_root(cost, one.list_cost_usd)


def test_counting_without_a_look_at_the_record_is_noticed(store: Store) -> None:
    """The negative control: a fold that forgets what it counted counts a revision twice."""
    known, learner = logged(store, list_cost_usd=LISTED), learner_of(store)
    said(store, known, cost_usd=0.001)
    learner.fold()
    said(store, known, cost_usd=0.004)
    fold_forgetfully(store, learner)
    with pytest.raises(AssertionError):
        assert_costs_counted_once(store, {known.id: (known, 0.004)})
