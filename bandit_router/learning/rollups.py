"""Keeps roll-ups: folds what transactions wrote of them, and corrects them by the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from bandit_router.store.recount import recount_days
from bandit_router.store.rollups.cubes import add_cells, fold_deltas, read_state, write_state
from bandit_router.store.rollups.sums import Sums
from bandit_router.store.rollups.tally import Cell
from bandit_router.store.store import Store

log = logging.getLogger(__name__)

_DELTAS = 200
"""Deltas folded in one transaction, so that it is short."""


class _Overtaken(Exception):
    """Somebody else has corrected the roll-ups meanwhile."""


def fold_rollups(store: Store) -> None:
    """Fold all that was written so far; make the roll-ups from the log first, if that was never done."""
    state = store.rollup_state()
    if state is None:
        return
    if state.made_at is None:
        log.info("making the roll-ups from the log")
        correct_rollups(store)
    more = state.is_behind
    while more:
        with store.learner_transaction() as transaction:
            more = fold_deltas(transaction.connection, transaction.router, _DELTAS) == _DELTAS


def correct_rollups(store: Store, give_sign_of_life: Callable[[], None] = lambda: None) -> int:
    """Make the roll-ups what the log says; the number of cells that were wrong.

    The difference is taken at one moment, and added whenever: what is written meanwhile changes the log and
    the roll-ups alike. Of several who do so at once one gets through, and the others start over. What
    ``give_sign_of_life`` raises ends it: a rebuild that is taken for dead must not go on.
    """
    while True:
        try:
            return _correct(store, give_sign_of_life)
        except _Overtaken:
            continue


def _correct(store: Store, give_sign_of_life: Callable[[], None]) -> int:
    corrected = 0
    with store.read_log() as reader:
        state = read_state(reader.connection, reader.router)
        if state is None:
            return 0
        revision = state.revision
        for recounted in recount_days(reader.connection, reader.router):
            give_sign_of_life()
            if recounted.difference:
                _add(store, revision, state.made_at, recounted.difference)
                revision, corrected = revision + 1, corrected + len(recounted.difference)
    if state.made_at is None:
        _add(store, revision, store.clock.now(), {})
    return corrected


def _add(store: Store, revision: int, made_at: float | None, difference: Mapping[Cell, Sums]) -> None:
    """Add what is missing. Raises _Overtaken if somebody has corrected the roll-ups since that revision."""
    with store.learner_transaction() as transaction:
        state = read_state(transaction.connection, transaction.router)
        if state is None or state.revision != revision:
            raise _Overtaken
        add_cells(transaction.connection, transaction.router, difference)
        write_state(transaction.connection, transaction.router, made_at, revision + 1)
