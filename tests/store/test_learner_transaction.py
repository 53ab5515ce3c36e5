"""Folding: every reward counted exactly once, whatever is retried, revised, shuffled or broken."""

from __future__ import annotations

import logging
from itertools import chain
from itertools import count as numbers

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from bandit_router.errors import StoreError
from bandit_router.learning.learner import NAMES, Learner
from bandit_router.posterior.state import decode_state
from bandit_router.store.observations import iterate_observations
from bandit_router.store.records import WeightedValue
from bandit_router.store.snapshots import SnapshotRetention
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, folded, pending, snapshots
from bandit_router.types import Decision
from tests.databases import sql
from tests.store.examples import (
    DIM,
    OpenStore,
    learner_of,
    logged,
    posterior_of,
    rows,
    said,
    version_of,
)
from tests.store.truth import Truth, assert_counted_once, assert_same, brute_force

_TIMES = st.floats(1.7e9, 1.7e9 + 86_400)


# -- what a fold does -----------------------------------------------------------------------------


def test_a_fold_counts_what_is_pending_and_publishes(store: Store) -> None:
    known, before = logged(store), version_of(store)
    said(store, known, quality=0.5)
    assert learner_of(store).fold() == 1
    assert version_of(store) == before + 1
    assert_counted_once(store, {known.id: (known, 0.5)})


def test_folding_again_counts_nothing_and_publishes_nothing(store: Store) -> None:
    known, learner = logged(store), learner_of(store)
    said(store, known, quality=0.5)
    learner.fold()
    before = store.published()
    said(store, known, quality=0.5)
    assert learner.fold() == 0
    assert store.published() == before


def test_feedback_without_a_reward_is_taken_and_changes_nothing(store: Store) -> None:
    known, before = logged(store), store.published()
    said(store, known, cost_usd=0.5)
    assert learner_of(store).fold() == 1
    assert store.published() == before
    assert rows(store, pending) == 0


def test_a_fold_takes_no_more_marks_than_its_batch(store: Store) -> None:
    known, learner = [logged(store) for _ in range(5)], learner_of(store, batch=3)
    for one in known:
        said(store, one, quality=0.5)
        said(store, one, quality=1.0)
    assert [learner.fold() for _ in range(5)] == [2, 2, 2, 1, 0]  # of 10 marks; decisions 2 and 4 are split
    assert_counted_once(store, {one.id: (one, 1.0) for one in known})


def test_the_record_says_which_snapshot_counted_a_reward(store: Store) -> None:
    learner = learner_of(store)
    one, other = logged(store), logged(store)
    for known, value in ((one, 0.5), (other, 0.5), (one, 1.0)):
        said(store, known, quality=value)
        learner.fold()
    with store.read_log() as audit:
        record = dict(audit.connection.execute(select(folded.c.decision_id, folded.c.version)).all())
    newest = version_of(store)
    assert record == {one.id: newest, other.id: newest - 1}


def test_only_the_newest_snapshots_are_kept(store: Store) -> None:
    known, learner = logged(store), learner_of(store, keep_snapshots=SnapshotRetention(count=3))
    for value in np.linspace(0.0, 1.0, 6):
        said(store, known, quality=float(value))
        learner.fold()
    newest = version_of(store)
    with store.read_log() as audit:
        kept = audit.connection.scalars(select(snapshots.c.version).order_by(snapshots.c.version))
        assert list(kept) == [newest - 2, newest - 1, newest]
    assert store.snapshot(newest - 3) is None


def test_snapshots_are_kept_within_a_size(store: Store) -> None:
    known, size = logged(store), len(store.published()[2])
    learner = learner_of(store, keep_snapshots=SnapshotRetention(count=100, max_bytes=2.9 * size))
    for value in np.linspace(0.0, 1.0, 6):
        said(store, known, quality=float(value))
        learner.fold()
    assert rows(store, snapshots) == 2
    smallest = learner_of(store, keep_snapshots=SnapshotRetention(count=100, max_bytes=1.0))
    said(store, known, quality=0.1)
    smallest.fold()
    assert rows(store, snapshots) == 1
    assert store.published()[0] == version_of(store)


def test_snapshots_are_kept_for_some_time(store: Store) -> None:
    known = logged(store)
    for value in np.linspace(0.0, 1.0, 4):
        said(store, known, quality=float(value))
        learner_of(store).fold()
    old = version_of(store) - 1
    with store.learner_transaction() as transaction:
        aged = update(snapshots).where(snapshots.c.version <= old).values(published_at=1.0)
        transaction.connection.execute(aged)
    said(store, known, quality=0.1)
    learner_of(store, keep_snapshots=SnapshotRetention(count=100, max_age_s=3600.0)).fold()
    assert store.snapshot(old) is None
    assert rows(store, snapshots) == 2


def test_a_fold_that_fails_leaves_everything_as_it_was(store: Store) -> None:
    known, learner = logged(store), learner_of(store)
    said(store, known, quality=0.5)
    before = store.published()

    def fail_after_publishing() -> None:
        batch = store.pending_batch(NAMES, 10)
        assert batch is not None
        with store.learner_transaction() as transaction:
            transaction.take_marks(batch.marks)
            transaction.record_counted({"reward": {known.id: WeightedValue(0.5)}})
            learner.publish(transaction, decode_state(transaction.snapshot()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_publishing()
    assert store.published() == before
    assert (rows(store, pending), rows(store, folded)) == (1, 0)
    learner.fold()
    assert_counted_once(store, {known.id: (known, 0.5)})


def test_learning_of_one_router_leaves_the_others_alone(open_store: OpenStore) -> None:
    mine, theirs = open_store("r"), open_store("s")
    known = logged(mine)
    logged(theirs, id=known.id)
    said(mine, known, quality=0.5)
    said(theirs, known, quality=1.0)
    before, learner = theirs.published(), learner_of(mine, keep_snapshots=SnapshotRetention(count=1))
    learner.fold()
    learner.rebuild()
    assert_counted_once(mine, {known.id: (known, 0.5)})
    assert theirs.published() == before
    assert (rows(theirs, pending), rows(theirs, folded)) == (1, 0)
    learner_of(theirs).fold()
    learner.rebuild()
    assert_counted_once(theirs, {known.id: (known, 1.0)})


# -- fold = brute force ---------------------------------------------------------------------------


@pytest.mark.parametrize("half_life_s", [None, 3_600.0])
def test_feedback_in_any_order_folds_to_what_brute_force_says(
    open_store: OpenStore, half_life_s: float | None
) -> None:
    names = numbers()
    store = open_store()

    @settings(max_examples=12)
    @given(
        contexts=st.lists(st.tuples(_TIMES, st.sampled_from(["cheap", "dear"])), min_size=1, max_size=6),
        steps=st.lists(
            st.tuples(st.integers(0, 5), st.sampled_from([None, 0.0, 0.25, 1.0]), st.integers(0, 2)),
            max_size=24,
        ),
        batch=st.integers(1, 3),
    )
    def check(
        contexts: list[tuple[float, str]], steps: list[tuple[int, float | None, int]], batch: int
    ) -> None:
        mine = open_store(f"router {next(names)}")
        learner = learner_of(mine, half_life_s=half_life_s, batch=batch)
        learner.align_with_settings()
        rng = np.random.default_rng(len(steps))
        known = [logged(mine, decided_at=at, arm=arm, x=rng.normal(size=DIM)) for at, arm in contexts]
        truth: dict[str, tuple[Decision, float | None]] = {one.id: (one, None) for one in known}
        for i, value, folds in steps:
            one = known[i % len(known)]
            said(mine, one, quality=value)
            truth[one.id] = (one, value)
            for _ in range(folds):
                learner.fold()
        while learner.fold():
            pass
        assert_counted_once(mine, truth)
        _assert_rebuild_is_live(mine, learner, truth)

    assert version_of(store)
    check()


def _assert_rebuild_is_live(store: Store, learner: Learner, truth: Truth) -> None:
    live = posterior_of(store)
    counted = learner.rebuild()
    rebuilt = posterior_of(store)
    assert counted == int(live.count.sum())
    rebuilt.advance(live.as_of)
    assert_same(rebuilt, live)
    assert_counted_once(store, truth)


def test_a_rebuild_loses_no_feedback_that_is_still_pending(store: Store) -> None:
    known, learner = logged(store), learner_of(store)
    said(store, known, quality=0.5)
    assert learner.rebuild() == 1
    learner.fold()
    assert_counted_once(store, {known.id: (known, 0.5)})


def test_a_rebuild_reads_a_log_of_many_pieces(store: Store) -> None:
    known, learner = [logged(store) for _ in range(7)], learner_of(store)
    for one in known:
        said(store, one, quality=0.25)
    with store.read_log() as audit:
        pieces = [
            [o.decision_id for o in piece] for piece in iterate_observations(audit.connection, "r", size=3)
        ]
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert sorted(chain.from_iterable(pieces)) == sorted(one.id for one in known)
    assert learner.fold() == 7


# -- what is broken -------------------------------------------------------------------------------


def test_a_corrupt_newest_snapshot_is_rebuilt_from_the_log(
    store: Store, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    truth = _two_folds(store)
    version = version_of(store)
    with sql(url) as connection:
        broken = update(snapshots).where(snapshots.c.version == version)
        connection.execute(broken.values(state=store.published()[2][:-1] + b"?"))
    with caplog.at_level(logging.ERROR):
        assert learner_of(store).fold() == 1
    assert f"snapshot {version} is unusable" in caplog.text
    assert version_of(store) == version + 1  # the rebuild has counted it; the fold took its mark
    assert_counted_once(store, truth)


def test_a_missing_newest_snapshot_is_rebuilt_from_the_log(store: Store, url: str) -> None:
    truth = _two_folds(store)
    with sql(url) as connection:
        connection.execute(text("DELETE FROM snapshots"))
    with pytest.raises(StoreError, match="bandit-router rebuild"):
        store.published()
    learner_of(store).fold()
    assert_counted_once(store, truth)


def _two_folds(store: Store) -> Truth:
    """One reward counted, one still pending."""
    one, other = logged(store), logged(store, arm="dear")
    said(store, one, quality=0.5)
    learner_of(store).fold()
    said(store, other, quality=0.25)
    return {one.id: (one, 0.5), other.id: (other, 0.25)}


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_context_that_cannot_be_learned_from_does_not_stop_the_others(
    store: Store, url: str, caplog: pytest.LogCaptureFixture, broken: float
) -> None:
    bad, good = logged(store), logged(store)
    with sql(url) as connection:
        row = update(decisions).where(decisions.c.id == bad.id)
        connection.execute(row.values(x=np.array([1.0, broken, 0.0]).tobytes()))
    for one in (bad, good):
        said(store, one, quality=0.5)
    with caplog.at_level(logging.ERROR):
        assert learner_of(store).fold() == 2
    assert f"decision {bad.id} is left out of learning" in caplog.text
    live = posterior_of(store)
    assert_same(live, brute_force({good.id: (good, 0.5)}, live))
    assert rows(store, pending) == 0
