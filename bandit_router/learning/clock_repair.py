"""Repair what a fast clock left: clamp the stamps ahead of now, once and in the log, and rebuild from it."""

from __future__ import annotations

import logging

from bandit_router.learning import stored_warm_start
from bandit_router.learning.learner import Learner
from bandit_router.store.stamps_ahead import clamp_stamps

log = logging.getLogger(__name__)

_EARLIEST = 1_735_689_600.0
"""2025-01-01, Unix time. A clock that says less is itself wrong, so that nothing is clamped to it."""


def repair_stamps_ahead(learner: Learner, evidence_until: float) -> bool:
    """Clamp what lies ahead of now and rebuild; whether anything did.

    ``evidence_until`` is the time of the newest evidence in the published model, Unix time. Of workers that
    find out together one rebuilds, and the others wait for it.
    """
    store = learner.store
    latest = store.clock.latest()
    marks = store.find_marks_ahead()
    if not marks and evidence_until <= latest:
        return False
    now = store.clock.reference()
    if now < _EARLIEST:
        log.error("stamps lie ahead of now, but the clock says %.0f, which is wrong: set it right", now)
        return False
    with store.learner_transaction() as transaction:
        clamped = clamp_stamps(transaction, now, latest) + stored_warm_start.clamp(transaction, now, latest)
        is_ahead = evidence_until > latest and transaction.head.corrected_at is None
        is_news = clamped > 0 or is_ahead  # a correction for another reason may have ended by now
        if is_news:
            transaction.require_correction(now)
    if is_news:
        log.error(
            "a clock was fast: %s lay ahead of now by more than %g s; %d times are set to now, and the log "
            "keeps what they were; rebuilding from it",
            ", ".join(marks or ["the posterior"]),
            store.clock.tolerance_s,
            clamped,
        )
    while store.is_rebuild_due():
        learner.try_rebuild()
    return True
