"""An answer is judged once, and what its confidence is worth is counted once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pytest
import uuid_utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from bandit_router.learning.audit import audit_store
from bandit_router.posterior.confidence import append_confidence
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, escalations, feedback, pending
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Budget, Decision, Escalation, Reason
from tests.databases import sql
from tests.store.examples import (
    OpenStore,
    commit,
    counted_rows,
    decision,
    fold_forgetfully,
    learner_of,
    logged,
    rows,
    said,
    set_up,
    together,
)
from tests.store.examples import fields as facts

COST_USD = 0.01
Told = Mapping[str, tuple[Decision, float, float | None]]
"""By decision id: the decision, the confidence it is judged by, and the quality last said of it, if any."""


def escalation(first: Decision, *, retry: bool = True, confidence: float = 0.4) -> Escalation:
    """What a router could make of an answer."""
    again = decision(
        arm="dear",
        snapshot=2,
        pmf=(0.0, 1.0),
        propensity=1.0,
        reason=Reason.ESCALATION,
        parent=first.id,
        x=first.x,
        decided_at=first.decided_at + 2.0,
        expected_cost_usd=COST_USD,
    )
    return Escalation(
        parent=first.id,
        asked_at=1_700_000_002.0,
        confidence=confidence,
        p_good=0.5,
        p_retry_good=0.75 if retry else None,
        propensity=0.875,
        snapshot=1,
        why="because",
        decision=again if retry else None,
    )


def settled(store: Store, escalation: Escalation) -> Escalation:
    answer = commit(store, escalation)
    assert isinstance(answer, Escalation)
    return answer


def alike(one: Escalation, other: Escalation | None) -> bool:
    """Whether two escalations are the same, retry and all."""
    if other is None or (one.decision is None) != (other.decision is None):
        return False
    if one.decision is not None and other.decision is not None:
        assert facts(one.decision) == facts(other.decision)
    names = [f.name for f in fields(Escalation) if f.name != "decision"]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def made(store: Store, **changes: Any) -> Decision:
    """A decision in the log that `verify` can recompute."""
    usual: dict[str, Any] = {"policy": "uniform", "pmf": (0.5, 0.5), "propensity": 0.5, "snapshot": 2}
    return logged(store, **(usual | changes))


# -- once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry", [True, False])
def test_an_escalation_is_read_back_as_it_was_written(store: Store, retry: bool) -> None:
    first = made(store)
    assert store.escalation(first.id) is None
    asked = escalation(first, retry=retry)
    assert alike(settled(store, asked), asked)
    assert alike(asked, store.escalation(first.id))
    assert rows(store, decisions) == 1 + retry
    assert audit_store(store).ok


def test_whoever_asks_again_hears_what_was_done_the_first_time(store: Store) -> None:
    first = made(store)
    asked = escalation(first)
    settled(store, asked)
    for other in (escalation(first), escalation(first, retry=False), asked):
        assert alike(asked, settled(store, other))
    assert (rows(store, escalations), rows(store, decisions)) == (1, 2)


def test_two_in_one_batch_are_one(store: Store) -> None:
    first, other = made(store), made(store)
    asked = [escalation(first), escalation(other), escalation(first), escalation(other, retry=False)]
    answers = store.write([WriteRequest(payload=one) for one in asked])
    assert all(isinstance(answer, Escalation) for answer in answers)
    for answer, expected in zip(answers, asked[:2] * 2, strict=True):
        assert isinstance(answer, Escalation)
        assert alike(answer, expected)
    assert rows(store, decisions) == 4


def test_all_that_ask_at_the_same_moment_hear_the_same(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    for _ in range(15):
        first = made(one)
        asked = [(store, escalation(first)) for store in (one, other, one, other)]
        answers = together(*(partial(settled, *one) for one in asked))
        assert_judged_once(one, first.id)
        assert len({answer.decision and answer.decision.id for answer in answers}) == 1


def assert_judged_once(store: Store, parent: str) -> None:
    """One row, and no retry but the one it names."""
    with store.read_log() as audit:
        led_to = select(escalations.c.decision_id).where(escalations.c.parent == parent)
        on_record = list(audit.connection.scalars(led_to))
        retries = list(audit.connection.scalars(select(decisions.c.id).where(decisions.c.parent == parent)))
    assert len(on_record) == 1, "judged twice"
    assert retries == [one for one in on_record if one is not None], "retried twice"


def test_two_workers_without_the_key_are_caught(store: Store, url: str) -> None:
    """Negative control: the same two writes, on a table that lets both in."""
    first = made(store)
    with sql(url) as connection:
        connection.execute(text("CREATE TABLE keyless AS SELECT * FROM escalations"))
        connection.execute(text("DROP TABLE escalations"))
        connection.execute(text("ALTER TABLE keyless RENAME TO escalations"))
    for asked in (escalation(first), escalation(first)):
        settled(store, asked)
    with pytest.raises(AssertionError, match="judged twice"):
        assert_judged_once(store, first.id)


def test_the_confidence_is_in_the_log_of_both_calls(store: Store) -> None:
    first = made(store)
    asked = settled(store, escalation(first, confidence=0.3))
    assert asked.decision is not None
    for one in (first.id, asked.decision.id):
        assert store.observation(one).metrics == {"confidence": 0.3}
    assert (rows(store, feedback), rows(store, pending)) == (2, 2)
    settled(store, escalation(first, confidence=0.9))
    assert store.observation(first.id).metrics == {"confidence": 0.3}


def test_a_budget_books_a_retry_once(url: str) -> None:
    with closing(Store.open(url, "r", Budget(usd=1.0))) as store:
        set_up(store)
        first = made(store, decided_at=2e9)
        for _ in range(2):
            settled(store, escalation(first))
        assert store.pacing.state.requests == 2
        assert store.pacing.state.spent_usd == pytest.approx(first.expected_cost_usd + COST_USD)
        assert audit_store(store).ok


def test_a_retry_that_nobody_asked_for_is_noticed(store: Store, url: str) -> None:
    first = made(store)
    stray = made(store, reason=Reason.ESCALATION, parent=first.id, pmf=(1.0, 0.0), propensity=1.0)
    assert f"decision {stray.id}: a retry and the escalation" in " ".join(audit_store(store).problems)
    other = made(store)
    with sql(url) as connection:
        row = {"parent": other.id, "decision_id": str(uuid_utils.uuid7()), "router": store.router}
        usual: dict[str, Any] = {"asked_at": 1.0, "confidence": 0.5, "p_good": 0.5, "why": "x"}
        connection.execute(insert(escalations).values(**row, **usual, propensity=1.0, snapshot=1))
    assert f"decision {row['decision_id']}: a retry and the escalation" in " ".join(
        audit_store(store).problems
    )


# -- what a confidence is worth -------------------------------------------------------------------


@pytest.fixture
def cascading(store: Store) -> Store:
    """A store whose snapshots have calibrators."""
    learner_of(store, cascades=True).rebuild()
    return store


def calibrators_of(store: Store) -> SufficientStatistics:
    found = decode_state(store.published()[2]).calibrators
    assert found is not None
    return found


def assert_counted_once(store: Store, told: Told) -> None:
    """Σ z zᵀ, Σ r z, Σ r² and the counts of the newest snapshot, term by term; nothing pending."""
    live = calibrators_of(store)
    expected = live.without_evidence()
    for one, confidence, quality in told.values():
        if quality is not None:
            k, z = live.index(one.arm), append_confidence(one.x, confidence)
            expected.second[k] += np.outer(z, z)
            expected.cross[k] += quality * z
            expected.square[k] += quality**2
            expected.count[k] += 1
    assert rows(store, pending) == 0
    assert live.count.tolist() == expected.count.tolist()
    assert counted_rows(store, "confident_reward") == expected.count.sum()
    for ours, theirs in (
        (live.second, expected.second),
        (live.cross, expected.cross),
        (live.square, expected.square),
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert audit_store(store).ok


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_said_in_whatever_order_counts_once(cascading: Store, data: st.DataObject) -> None:
    store = cascading
    learner = learner_of(store, cascades=True)
    with store.learner_transaction() as transaction:  # the log of the examples before is not part of this one
        for table in (pending, feedback):
            transaction.connection.execute(table.delete().where(table.c.router == store.router))
    learner.rebuild()
    told: dict[str, tuple[Decision, float, float | None]] = {}
    for retry in data.draw(st.lists(st.booleans(), min_size=1, max_size=3)):
        first, confidence = made(store), data.draw(st.floats(0.0, 1.0))
        if data.draw(st.booleans()):  # quality may be known before the answer is judged
            said(store, first, quality=0.5)
            learner.fold()
            told[first.id] = (first, confidence, 0.5)
        asked = settled(store, escalation(first, retry=retry, confidence=confidence))
        told.setdefault(first.id, (first, confidence, None))
        if asked.decision is not None:
            told[asked.decision.id] = (asked.decision, confidence, None)
    for _ in range(data.draw(st.integers(1, 8))):
        one, confidence, _ = told[data.draw(st.sampled_from(sorted(told)))]
        quality = data.draw(st.none() | st.floats(0, 1))
        said(store, one, quality=quality)
        told[one.id] = (one, confidence, quality)
        if data.draw(st.booleans()):
            learner.fold()
    learner.fold()
    assert_counted_once(store, told)
    learner.rebuild()
    assert_counted_once(store, told)


def test_the_posterior_of_rewards_does_not_learn_from_retries(cascading: Store) -> None:
    first = made(cascading)
    asked = settled(cascading, escalation(first))
    assert asked.decision is not None
    said(cascading, first, quality=0.25)
    said(cascading, asked.decision, quality=1.0, cost_usd=0.5)
    learner_of(cascading, cascades=True).fold()
    state = decode_state(cascading.published()[2])
    assert dict(zip(state.rewards.arms, state.rewards.count.tolist(), strict=True)) == {
        "cheap": 1,
        "dear": 0,
    }
    assert calibrators_of(cascading).count.tolist() == [1, 1]
    assert counted_rows(cascading) == 1
    assert audit_store(cascading).ok


def test_without_cascades_nothing_is_counted_and_switching_them_on_counts_the_log(store: Store) -> None:
    first = made(store)
    settled(store, escalation(first, retry=False, confidence=0.6))
    said(store, first, quality=0.5)
    learner_of(store).fold()
    assert decode_state(store.published()[2]).calibrators is None
    assert counted_rows(store, "confident_reward") == 0
    assert audit_store(store).ok
    learner_of(store, cascades=True).align_with_settings()
    assert_counted_once(store, {first.id: (first, 0.6, 0.5)})


def test_a_reset_forgets_what_the_arms_confidence_was_worth(cascading: Store) -> None:
    learner = learner_of(cascading, cascades=True)
    told: dict[str, tuple[Decision, float, float | None]] = {}
    for at in (1_700_000_000.0, 1_700_000_010.0):
        first = made(cascading, decided_at=at)
        settled(cascading, escalation(first, retry=False))
        said(cascading, first, quality=0.5)
        told[first.id] = (first, 0.4, 0.5 if at > 1_700_000_005.0 else None)
    learner.fold()
    assert calibrators_of(cascading).count.tolist() == [2, 0]
    learner.reset("cheap", 1_700_000_005.0)
    assert_counted_once(cascading, told)


def test_counting_without_a_look_at_the_record_is_noticed(cascading: Store) -> None:
    """The negative control: a fold that forgets what it counted counts a revision twice."""
    first, learner = made(cascading), learner_of(cascading, cascades=True)
    settled(cascading, escalation(first, retry=False))
    said(cascading, first, quality=0.5)
    learner.fold()
    said(cascading, first, quality=1.0)
    fold_forgetfully(cascading, learner)
    with pytest.raises(AssertionError):
        assert_counted_once(cascading, {first.id: (first, 0.4, 1.0)})
