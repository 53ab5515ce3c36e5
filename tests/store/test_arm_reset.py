"""A reset arm: what is older counts no more, to the last bit, whatever is said of it and whenever."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandit_router.learning.audit import audit_store
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.records import Observation
from bandit_router.store.store import Store
from bandit_router.types import Decision
from tests.store.examples import (
    OpenStore,
    counted_of,
    counted_rows,
    learner_of,
    logged,
    posterior_of,
    said,
    version_of,
)
from tests.store.truth import assert_same, brute_force

RESET_AT = 1_700_000_500.0
OLDER, YOUNGER = RESET_AT - 1.0, RESET_AT + 1.0


def reset(store: Store, arm: str = "cheap", at: float = RESET_AT) -> None:
    learner_of(store).reset(arm, at)


def rebuild(store: Store) -> None:
    learner_of(store).rebuild()


def decided(store: Store, arm: str = "cheap", at: float = OLDER, **changes: Any) -> Decision:
    """A decision in the log, on a snapshot that is pruned."""
    propensity = {"cheap": 0.75, "dear": 0.25}[arm]
    return logged(store, arm=arm, decided_at=at, propensity=propensity, snapshot=0, **changes)


def taught(store: Store, arm: str = "cheap", at: float = OLDER, rewards: int = 3) -> list[Decision]:
    """Decisions with a reward, a cost and a latency, folded."""
    known = [
        decided(store, arm, at, x=np.array([1.0, 0.1 * i, -0.3]), list_cost_usd=0.002) for i in range(rewards)
    ]
    for i, one in enumerate(known):
        said(store, one, quality=0.1 + 0.2 * i, cost_usd=0.001 * (1 + i), latency_s=1.0 + i)
    learner_of(store).fold()
    return known


def test_nothing_is_left_of_what_was_learned_and_the_other_arm_keeps_its_own(store: Store) -> None:
    taught(store)
    taught(store, arm="dear")
    before = decode_state(store.published()[2])
    reset(store)
    after = decode_state(store.published()[2])
    cheap, dear = (after.rewards.index(arm) for arm in ("cheap", "dear"))
    for old, new in zip(before.components.values(), after.components.values(), strict=True):
        assert (new.count[cheap], new.count[dear]) == (0, 3)
        for ours, theirs in zip(new.sums, old.sums, strict=True):
            assert not ours[cheap].any()
            np.testing.assert_array_equal(ours[dear], theirs[dear])
    assert [counted_rows(store, quantity) for quantity in ("reward", "cost", "latency")] == [3, 3, 3]
    report = audit_store(store)
    assert report.ok
    assert (report.in_log["rewards"], report.counted["rewards"], report.forgotten) == (6, 3, 3)


def test_a_reset_is_published_for_workers_to_follow(store: Store) -> None:
    taught(store)
    version = version_of(store)
    reset(store)
    assert version_of(store) == version + 1


def test_feedback_on_older_decisions_is_logged_and_not_learned(store: Store) -> None:
    late, revised, pending = (decided(store) for _ in range(3))
    said(store, revised, quality=0.25)
    learner_of(store).fold()
    said(store, pending, quality=0.5)
    reset(store)
    said(store, late, quality=1.0)
    said(store, revised, quality=0.75)
    learner_of(store).fold()
    assert posterior_of(store).count.tolist() == [0, 0]
    assert store.observation(late.id).metrics == {"quality": 1.0}
    assert store.observation(revised.id).metrics == {"quality": 0.75}
    report = audit_store(store)
    assert report.ok
    assert (report.pending, report.forgotten, report.left_out) == (0, 3, 0)


def test_younger_decisions_are_learned_and_those_counted_already_stay(store: Store) -> None:
    taught(store)
    kept = taught(store, at=YOUNGER)  # a worker whose clock is ahead
    reset(store)
    late = decided(store, at=RESET_AT)
    said(store, late, quality=1.0)
    learner_of(store).fold()
    truth = {one.id: (one, 0.1 + 0.2 * i) for i, one in enumerate(kept)} | {late.id: (late, 1.0)}
    live = posterior_of(store)
    assert_same(live, brute_force(truth, live))
    assert audit_store(store).ok


def test_an_earlier_reset_takes_nothing_back_and_a_later_one_forgets_more(store: Store) -> None:
    taught(store, at=YOUNGER)
    reset(store)
    reset(store, at=OLDER)
    assert posterior_of(store).count.tolist() == [3, 0]
    assert counted_of(store, taught(store)[0].id) == {}
    reset(store, at=YOUNGER + 1.0)
    assert posterior_of(store).count.tolist() == [0, 0]
    assert audit_store(store).ok


def test_a_rebuild_from_the_log_equals_the_reset_posterior(store: Store) -> None:
    taught(store)
    taught(store, at=YOUNGER)
    taught(store, arm="dear")
    reset(store)
    live = decode_state(store.published()[2])
    rebuild(store)
    again = decode_state(store.published()[2])
    for one, other in ((live.rewards, again.rewards), (live.costs, again.costs)):
        assert_same(one, other)
    np.testing.assert_array_equal(live.latencies.bins, again.latencies.bins)
    assert audit_store(store).ok


def test_opening_a_router_again_keeps_its_resets(open_store: OpenStore) -> None:
    store = open_store()
    known = taught(store)
    reset(store)
    again = open_store()  # which declares the arms anew
    said(again, known[0], quality=1.0)
    learner_of(again).fold()
    assert posterior_of(again).count.tolist() == [0, 0]


def test_a_router_of_the_same_database_is_left_alone(open_store: OpenStore) -> None:
    store, other = open_store(), open_store("other")
    taught(store)
    taught(other)
    reset(store)
    assert posterior_of(other).count.tolist() == [3, 0]
    assert audit_store(other).ok


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_happens_in_whatever_order_only_what_is_younger_counts(
    open_store: OpenStore, data: st.DataObject
) -> None:
    with closing(open_store(uuid4().hex)) as store:
        _check_a_history(store, data)


def _check_a_history(store: Store, data: st.DataObject) -> None:
    learner = learner_of(store)
    times = st.sampled_from([1.7e9 + 100.0 * i for i in range(5)])
    known: list[Decision] = []
    said_of: dict[str, tuple[Decision, float | None]] = {}
    since = {"cheap": -np.inf, "dear": -np.inf}
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(["decide", "say", "say", "fold", "reset", "rebuild"])):
            case "decide":
                arm = data.draw(st.sampled_from(["cheap", "dear"]))
                known.append(decided(store, arm, data.draw(times)))
            case "say" if known:
                one, value = data.draw(st.sampled_from(known)), data.draw(st.none() | st.floats(0, 1))
                said(store, one, quality=value)
                said_of[one.id] = one, value
            case "fold":
                learner.fold()
            case "reset":
                arm, at = data.draw(st.sampled_from(["cheap", "dear"])), data.draw(times)
                reset(store, arm, at)
                since[arm] = max(since[arm], at)
            case "rebuild":
                rebuild(store)
    learner.fold()
    counts = {i: (d, value) for i, (d, value) in said_of.items() if d.decided_at >= since[d.arm]}
    live = posterior_of(store)
    assert_same(live, brute_force(counts, live))
    report = audit_store(store)
    assert report.ok, report.problems
    there = sum(value is not None for _, value in said_of.values())
    assert report.in_log["rewards"] == there == report.counted["rewards"] + report.forgotten


# -- the checks notice what is done wrong ---------------------------------------------------------


def test_a_reset_that_leaves_the_record_is_noticed(store: Store) -> None:
    taught(store)
    with store.learner_transaction() as transaction:
        state = decode_state(transaction.snapshot())
        for part in state.components.values():
            part.forget("cheap")
        learner_of(store).publish(transaction, state)
    assert "on record" in " ".join(audit_store(store).problems)


def test_a_reset_that_leaves_the_sums_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    taught(store)
    with monkeypatch.context() as broken:
        broken.setattr(SufficientStatistics, "forget", lambda *_: None)
        reset(store)
    assert not audit_store(store).ok


def test_a_fold_that_knows_of_no_reset_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (one, *_) = taught(store)
    reset(store)
    said(store, one, quality=1.0)
    with monkeypatch.context() as broken:
        broken.setattr(Observation, "forgotten", False)
        learner_of(store).fold()
    assert posterior_of(store).count.tolist() == [1, 0]
    assert "the log says nothing" in " ".join(audit_store(store).problems)
