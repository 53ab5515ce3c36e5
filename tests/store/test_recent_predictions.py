"""What calibration reads: the newest rewards and costs that are counted, beside what was expected."""

from __future__ import annotations

import pytest

from bandit_router.posterior.state import decode_state
from bandit_router.store.recent_predictions import PredictedReward
from bandit_router.store.store import Store
from tests.store.examples import OpenStore, learner_of, logged, posterior_of, said, version_of

HEARD = 1_700_000_100.0
"""When what the examples say is received."""


def taught(store: Store, *rewards: float, snapshot: int = 1) -> list[str]:
    """Decisions with these rewards, each folded by itself."""
    ids = []
    for reward in rewards:
        one = logged(store, expected_quality=reward / 2, snapshot=snapshot)
        said(store, one, quality=reward)
        learner_of(store).fold()
        ids.append(one.id)
    return ids


def test_the_newest_rewards_come_with_what_was_expected_and_who_counted_them(store: Store) -> None:
    before = version_of(store)
    taught(store, 0.2, 0.4, 0.6)
    rewarded, _ = store.recent(2)
    assert rewarded == [
        PredictedReward("cheap", 0.2, 1, 0.4, before + 2, 1.7e9, HEARD),
        PredictedReward("cheap", 0.3, 1, 0.6, before + 3, 1.7e9, HEARD),
    ]


def test_costs_come_as_they_were_reported(store: Store) -> None:
    one = logged(store, list_cost_usd=0.002, expected_cost_usd=0.003, arm="dear")
    logged(store, list_cost_usd=0.002)
    said(store, one, cost_usd=0.005)
    learner_of(store).fold()
    rewarded, costed = store.recent(10)
    assert rewarded == []
    (row,) = costed
    assert (row.arm, row.expected_usd) == ("dear", 0.003)
    assert row.reported_usd == pytest.approx(0.005)


def test_what_is_not_counted_is_left_out(store: Store) -> None:
    (gone, _) = taught(store, 0.2, 0.4)
    said(store, store_decision := logged(store), quality=1.0)  # pending still
    said(store, store.decision(gone), quality=None)
    learner_of(store).fold()
    assert [row.reward for row in store.recent(10)[0]] == [0.4, 1.0]
    learner_of(store).reset("cheap", store_decision.decided_at + 1.0)
    assert store.recent(10) == ([], [])


def test_predictions_of_rewards_that_were_made_otherwise_are_left_out(store: Store) -> None:
    taught(store, 0.2)
    other = learner_of(store, weights={"satisfaction": 1.0, "quality": 1.0})
    other.align_with_settings()
    assert decode_state(store.published()[2]).rewards.count.sum() == 1  # the old one counts
    assert store.recent(10)[0] == []
    now = version_of(store)
    taught(store, 0.4, snapshot=now)
    assert [row.reward for row in store.recent(10)[0]] == [0.4]
    other.rebuild()  # with the same weights, which changes nothing of it
    assert [row.reward for row in store.recent(10)[0]] == [0.4]


def test_another_router_of_the_same_database_has_its_own(open_store: OpenStore) -> None:
    store, other = open_store(), open_store("other")
    taught(store, 0.2)
    assert other.recent(10) == ([], [])


def test_predictions_of_an_arm_as_it_was_are_left_out_though_they_count(store: Store) -> None:
    (old,) = taught(store, 0.4)
    learner_of(store).reset("cheap", store.decision(old).decided_at)
    now = version_of(store)
    taught(store, 0.6, snapshot=now - 1)  # a worker that has not heard of it
    assert posterior_of(store).count.sum() == 2
    assert store.recent(10)[0] == []
    taught(store, 0.8, snapshot=now)
    assert [row.reward for row in store.recent(10)[0]] == [0.8]
