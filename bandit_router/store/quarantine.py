"""Quarantine: what a key said, and will say, counts for nothing, until it is released. The log keeps it."""

from __future__ import annotations

from bandit_router.security import issue
from bandit_router.store.acts import ActKind
from bandit_router.store.goal_book import book_from_log
from bandit_router.store.keys import lock_key, update_key
from bandit_router.store.learner_transaction import LearnerTransaction


def quarantine_key(transaction: LearnerTransaction, key_id: str) -> None:
    """Put a key in quarantine. Raises InvalidInput or UnknownKey."""
    _change_key(transaction, key_id, ActKind.KEY_QUARANTINED)


def release_key(transaction: LearnerTransaction, key_id: str) -> None:
    """Let the feedback of a key count again. Raises InvalidInput or UnknownKey."""
    _change_key(transaction, key_id, ActKind.KEY_RELEASED)


def _change_key(transaction: LearnerTransaction, key_id: str, kind: ActKind) -> None:
    """Change the key and what is booked towards the goal; a rebuild is due then.

    Whoever stores feedback of the key has a lock on it, so that what they stored is in the log by now.
    """
    connection, router, now = transaction.connection, transaction.router, transaction.clock.reference()
    key = lock_key(connection, router, key_id)
    quarantined = kind is ActKind.KEY_QUARANTINED
    update_key(connection, router, issue.quarantine_key(key, now) if quarantined else issue.release_key(key))
    transaction.record_act(kind, key_id, name=key.name)
    transaction.require_correction(now)
    book_from_log(connection, router)
