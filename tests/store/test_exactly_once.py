"""Negative controls: where a safeguard is taken out, the check of exactly-once fails."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from bandit_router.store.store import Store
from bandit_router.store.tables import feedback, pending
from bandit_router.types import Decision
from tests.databases import sql
from tests.store.examples import fold_forgetfully, learner_of, logged, said
from tests.store.truth import assert_counted_once


def test_a_learner_that_ignores_what_is_folded_is_caught(store: Store) -> None:
    known = logged(store)
    truth = {known.id: (known, 1.0)}
    for value in (0.5, 1.0):
        said(store, known, quality=value)
        fold_forgetfully(store, learner_of(store))
    with pytest.raises(AssertionError):
        assert_counted_once(store, truth)
    learner_of(store).rebuild()
    assert_counted_once(store, truth)


def test_two_writers_without_the_lock_are_stopped_by_the_key(store: Store, url: str) -> None:
    known = logged(store)
    with pytest.raises(IntegrityError):
        _record_without_the_lock(url, known)
    learner_of(store).fold()
    assert_counted_once(store, {known.id: (known, 0.5)})


def test_two_writers_without_the_lock_and_the_key_are_caught(store: Store, url: str) -> None:
    known = logged(store)
    _drop_the_keys(url)
    _record_without_the_lock(url, known)
    learner_of(store).fold()
    with pytest.raises(AssertionError, match="in the log twice"):
        assert_counted_once(store, {known.id: (known, 0.5)})


def _record_without_the_lock(url: str, about: Decision) -> None:
    """Two workers read the newest revision, then both insert the one after it."""
    newest = select(feedback.c.revision).where(feedback.c.decision_id == about.id)
    with sql(url) as connection:
        read_by_one = connection.scalar(newest.order_by(feedback.c.revision.desc()).limit(1))
    with sql(url) as connection:
        read_by_other = connection.scalar(newest.order_by(feedback.c.revision.desc()).limit(1))
    for read in (read_by_one, read_by_other):
        row = {"decision_id": about.id, "metric": "quality", "revision": 0 if read is None else read + 1}
        with sql(url) as connection:
            said = {"value": 0.5, "weight": 1.0, "received_at": 1.0}
            connection.execute(insert(feedback).values(router="r", **said, **row))
            connection.execute(insert(pending).values(router="r", **row))


def _drop_the_keys(url: str) -> None:
    """Make both tables anew without their constraints."""
    with sql(url) as connection:
        for table in ("pending", "feedback"):
            connection.execute(text(f"CREATE TABLE keyless AS SELECT * FROM {table}"))
            connection.execute(text(f"DROP TABLE {table}"))
            connection.execute(text(f"ALTER TABLE keyless RENAME TO {table}"))
