"""One router's share of the database: the only door to SQL for the rest of the package."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from sqlalchemy import delete, false, insert, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bandit_router.errors import NoBudget, NoSafety, StoreError, UnknownDecision
from bandit_router.objective.pacing import GoalStatus, make_goal_status
from bandit_router.objective.safety import SafetyStatus
from bandit_router.security.users import make_user_secret
from bandit_router.store import arms
from bandit_router.store.administration import Administration
from bandit_router.store.applied_settings import (
    AppliedSettings,
    read_first_applied,
    read_settings_in_force,
)
from bandit_router.store.calls import read_call, read_decisions_of_answer, select_abandoned
from bandit_router.store.clamp import clamp_requests
from bandit_router.store.conversations import read_conversation
from bandit_router.store.decision_search import DecisionFilter, DecisionPage, find_decisions
from bandit_router.store.decisions import read_child_decisions, read_decision
from bandit_router.store.engine import (
    INSERT,
    checkpoint_wal,
    compact_file,
    driver_error,
    is_lock_timeout,
    to_store_error,
    translate_errors,
    write_transaction,
)
from bandit_router.store.escalations import read_escalation
from bandit_router.store.idempotency import has_key, read_decision_of_key
from bandit_router.store.learner_transaction import LearnerTransaction, begin_learner_transaction
from bandit_router.store.log_reader import LogReader
from bandit_router.store.observations import read_ids_with_feedback, read_observations
from bandit_router.store.pacing_ledger import PacingLedger, read_book, start_book
from bandit_router.store.pending_batch import PendingBatch, read_pending_batch
from bandit_router.store.rated_decisions import RatedDecisions, count_rated_decisions, find_usual_delay_s
from bandit_router.store.recent_predictions import (
    PredictedCost,
    PredictedReward,
    read_recent_costs,
    read_recent_rewards,
)
from bandit_router.store.records import Observation
from bandit_router.store.revisions import Revision, read_revisions
from bandit_router.store.rollups.cubes import RollupState, read_state
from bandit_router.store.rollups.reader import RollupFilter, RollupRow, read_rollups
from bandit_router.store.rollups.tally import Cube
from bandit_router.store.safety import (
    SafetyBatch,
    insert_marks,
    read_record,
    read_safety_batch,
)
from bandit_router.store.snapshots import Head, read_head, read_snapshot, read_versions
from bandit_router.store.stamps_ahead import count_clamped_stamps, find_marks_ahead
from bandit_router.store.tables import decisions, routers, snapshots
from bandit_router.store.tasks import read_task_rollups
from bandit_router.store.users import read_user_secret
from bandit_router.store.write_requests import WriteBatch, WriteRequest, WriteResult
from bandit_router.types import Arm, CallEnd, Conversation, Decision, Escalation, Outcome

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_BACKOFF_S = 0.05
_PATIENCE_S = 10.0
_UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)
"""Failures that no request in the batch causes: no connection, a deadlock, a lock held too long."""

_INSERT_ROUTER = {
    name: into(routers).on_conflict_do_nothing().returning(routers.c.name) for name, into in INSERT.items()
}
"""Two workers may open a new router at once; the second one conflicts, and gets nothing returned."""


class Store(Administration):
    """The log, the arms and the snapshots of one router. Thread-safe."""

    # -- the router's row and what it published ---------------------------------------------------

    def create_router(self, schema_id: str, first: bytes, reward_weights: Mapping[str, float]) -> None:
        """Create the router and its first snapshot if missing, and start the book of its goal."""
        with translate_errors(), write_transaction(self._engine) as connection:
            router_row = {
                "name": self.router,
                "schema_id": schema_id,
                "version": 1,
                "reward_weights": dict(reward_weights),
                "arms_revision": 0,
                "user_secret": make_user_secret(),
                "rollups_at": self.clock.now(),
            }
            if connection.scalar(_INSERT_ROUTER[connection.dialect.name], router_row) is not None:
                published = {"router": self.router, "version": 1, "published_at": self.clock.now()}
                connection.execute(insert(snapshots), published | {"state": first})
            if self.pacing.own_goal is not None:
                book = start_book(connection, self.router, self.pacing.own_goal, self.clock)
                self.pacing.update_book(book)
            else:  # another worker's settings may have a goal
                self.pacing.update_book(read_book(connection, self.router))

    def head(self) -> Head | None:
        """The router's head, None without one; also brings up to date what the store knows of it."""
        with self._reading() as connection:
            self.pacing.update_book(read_book(connection, self.router))
            head = read_head(connection, self.router)
        if head is not None:
            self.clock.set_reference(head.database_time)
            self.books_safety = head.safety_share is not None
        return head

    def user_secret(self) -> str:
        """The secret that ids of users are hashed with."""
        with self._reading() as connection:
            return read_user_secret(connection, self.router)

    def settings_in_force(self) -> AppliedSettings | None:
        """The settings in force; None when none are on record."""
        with self._reading() as connection:
            return read_settings_in_force(connection, self.router)

    def settings_first_applied(self, fingerprint: str) -> float | None:
        """When settings with this fingerprint were first applied, Unix time; None if they never were."""
        with self._reading() as connection:
            return read_first_applied(connection, self.router, fingerprint)

    def published(self) -> tuple[int, int, bytes, list[Arm]]:
        """Version, arms revision, newest snapshot and all arms, from one moment."""
        with self._reading() as connection:
            head = read_head(connection, self.router)
            if head is None:
                raise StoreError(f"there is no router {self.router!r} in this database")
            snapshot = read_snapshot(connection, self.router, head.version)
            if snapshot is None:
                raise StoreError(f"snapshot {head.version} is gone; run `bandit-router rebuild`")
            return head.version, head.arms_revision, snapshot, arms.read_arms(connection, self.router)

    def snapshot(self, version: int) -> bytes | None:
        """The model state published as that version; None when it is pruned or was never published."""
        with self._reading() as connection:
            return read_snapshot(connection, self.router, version)

    def snapshot_versions(self) -> list[int]:
        """The versions of all snapshots that are kept, oldest first."""
        with self._reading() as connection:
            return read_versions(connection, self.router)

    def goal_status(self) -> GoalStatus:
        """How the goal stands now, for all workers together. Raises NoBudget when none is booked."""
        with self._reading() as connection:
            book = read_book(connection, self.router)
        if book is None:
            raise NoBudget(self.router)
        return make_goal_status(book.pacing_state, book.goal, self.clock.now())

    def safety_status(self) -> SafetyStatus:
        """How the router stands towards its baseline. Raises NoSafety when nothing is bound."""
        with self._reading() as connection:
            record = read_record(connection, self.router)
        if record is None:
            raise NoSafety(self.router)
        return record.status

    # -- arms -------------------------------------------------------------------------------------

    def arms(self) -> list[Arm]:
        """Every arm the router ever had, by name; ``enabled`` says which may be chosen."""
        with self._reading() as connection:
            return arms.read_arms(connection, self.router)

    # -- writing the log --------------------------------------------------------------------------

    def write(self, batch: Sequence[WriteRequest]) -> list[WriteResult]:
        """Commit the batch: one result or error for each request, in order.

        All requests share one transaction. When the database refuses it, each half is tried alone, down to
        the request at fault, so that one bad request fails no other. When the database is unavailable, the
        batch is retried a few times. No result is returned that is not committed.
        """
        batch = clamp_requests(batch, self.clock)
        try:
            results = self._write_patiently(batch)
        except (*_UNAVAILABLE, StoreError) as error:
            failure = to_store_error(error)
            self._failing_writes.add_failures(len(batch), failure)
            return [failure] * len(batch)
        except Exception as error:  # a value can also fail in the driver, with whatever Python raises
            if len(batch) == 1:
                refusal = StoreError(f"the database refused the write: {driver_error(error)}")
                self._failing_writes.add_failures(1, refusal)
                return [refusal]
        else:
            self._failing_writes.end()
            return results
        middle = len(batch) // 2
        return self.write(batch[:middle]) + self.write(batch[middle:])

    def _write_patiently(self, batch: Sequence[WriteRequest]) -> list[WriteResult]:
        give_up = time.monotonic() + _PATIENCE_S
        for attempt in range(_ATTEMPTS - 1):
            try:
                return self._write_once(batch)
            except _UNAVAILABLE as error:
                if is_lock_timeout(error) or time.monotonic() >= give_up:  # callers have waited enough
                    raise
                time.sleep(_BACKOFF_S * 2**attempt)
            except IntegrityError:
                continue  # another worker committed the same idempotency key: read its answer
        return self._write_once(batch)

    def _write_once(self, batch: Sequence[WriteRequest]) -> list[WriteResult]:
        ledger, book = PacingLedger(), None
        with write_transaction(self._engine) as connection:
            writes = WriteBatch(connection, self.router, batch, ledger)
            results = writes.apply()
            if self.books_safety:
                insert_marks(connection, self.router, writes.new_decisions)
            if self.pacing.book is not None:  # skip the extra statement when no goal is booked
                book = ledger.close(connection, self.router, self.clock.now())
        self.pacing.update_book(book)
        return results

    def sweep_calls(self, age_s: float, most: int = 500) -> int:
        """End as lost the calls that began this long ago, whose workers were killed; how many there were."""
        with self._reading() as connection:
            abandoned = select_abandoned(connection, self.router, self.clock.now() - age_s, most)
        results = self.write([WriteRequest(payload=end) for end in abandoned]) if abandoned else []
        return results.count(Outcome.RECORDED)

    def try_write(self) -> None:
        """Commit a write that changes nothing. Raises StoreError when the database takes none.

        It takes the locks that decisions need, and is written to the disk: SQLite would leave out an update
        to the value that is there already.
        """
        mine, version = routers.c.name == self.router, routers.c.version
        with translate_errors(), write_transaction(self._engine) as connection:
            connection.execute(delete(decisions).where(false()))
            for step in (1, -1):
                changed = connection.execute(update(routers).where(mine).values(version=version + step))
                if not changed.rowcount:
                    raise StoreError(f"there is no router {self.router!r} in the database any more")

    # -- reading the log --------------------------------------------------------------------------

    def decision(self, decision_id: str) -> Decision:
        """The decision with that id. Raises UnknownDecision."""
        with self._reading() as connection:
            decision = read_decision(connection, self.router, decision_id)
        if decision is None:
            raise UnknownDecision(decision_id)
        return decision

    def decision_of_key(self, idempotency_key: str) -> Decision | None:
        """The decision that a request with this key was answered with, if any."""
        with self._reading() as connection:
            return read_decision_of_key(connection, self.router, idempotency_key)

    def has_key(self, idempotency_key: str | None) -> bool:
        """Whether a request with this key was answered."""
        with self._reading() as connection:
            return has_key(connection, self.router, idempotency_key)

    def conversation(self, conversation: str) -> Conversation | None:
        """The state of a conversation, expired or not; None when it never kept an arm."""
        with self._reading() as connection:
            return read_conversation(connection, self.router, conversation)

    def child_decisions(self, parent: str) -> list[Decision]:
        """The decisions whose parent is this one, in id order."""
        with self._reading() as connection:
            return read_child_decisions(connection, self.router, parent)

    def call(self, decision_id: str) -> CallEnd | None:
        """How the call of a decision ended; None when it has not, or there is none."""
        with self._reading() as connection:
            return read_call(connection, self.router, decision_id)

    def decisions_of_answer(self, answer_id: str) -> list[str]:
        """The ids of the decisions whose call was answered with this id, two at most."""
        with self._reading() as connection:
            return read_decisions_of_answer(connection, self.router, answer_id)

    def escalation(self, parent: str) -> Escalation | None:
        """The escalation of a decision; None when its answer was never judged."""
        with self._reading() as connection:
            read = partial(read_decision, connection, self.router)
            return read_escalation(connection, self.router, parent, read)

    def observation(self, decision_id: str) -> Observation:
        """A decision with its feedback. Raises UnknownDecision."""
        with self._reading() as connection:
            observations = read_observations(connection, self.router, [decision_id])
        if not observations:
            raise UnknownDecision(decision_id)
        return observations[0]

    def find_decisions(self, wanted: DecisionFilter, before: str | None, size: int) -> DecisionPage:
        """The newest ``size`` decisions that are wanted, below the id ``before``."""
        with self._reading() as connection:
            return find_decisions(connection, self.router, wanted, before, size)

    def revisions(self, decision_id: str) -> list[Revision]:
        """The values that the metrics of a decision had, in the order of their arrival."""
        with self._reading() as connection:
            return read_revisions(connection, self.router, decision_id)

    def recent(self, last: int) -> tuple[list[PredictedReward], list[PredictedCost]]:
        """The newest ``last`` rewards and costs that are counted, with their predictions."""
        latest = self.clock.latest()
        with self._reading() as connection:
            rewards = read_recent_rewards(connection, self.router, last, latest)
            return rewards, read_recent_costs(connection, self.router, last, latest)

    @contextmanager
    def read_log(self) -> Iterator[LogReader]:
        """Read the whole log as of one moment, while others go on writing."""
        with self._reading(whole_log=True) as connection:
            yield LogReader(connection, self.router)

    # -- learning and maintenance -----------------------------------------------------------------

    def pending_batch(self, quantities: tuple[str, ...], limit: int) -> PendingBatch | None:
        """Up to ``limit`` pending marks with all that a fold of them needs; None when nothing is pending."""
        with self._reading() as connection:
            return read_pending_batch(connection, self.router, quantities, limit)

    def safety_batch(self, version: int, limit: int) -> SafetyBatch | None:
        """Up to ``limit`` marked decisions of snapshots up to ``version``, and the book that lacks them.

        None when nothing is bound.
        """
        with self._reading() as connection:
            return read_safety_batch(connection, self.router, version, limit)

    def rated_decisions(self, metrics: Collection[str]) -> RatedDecisions:
        """The newest decisions that are old enough to be rated by one of the metrics, and those that are."""
        with self._reading() as connection:
            return count_rated_decisions(connection, self.router, metrics, self.clock.now())

    def usual_delay_s(self, metrics: Collection[str]) -> float | None:
        """The seconds within which ratings by these metrics usually come; None while nobody knows."""
        with self._reading() as connection:
            return find_usual_delay_s(connection, self.router, metrics, self.clock.now())

    def iterate_observations(self, size: int) -> Iterator[list[Observation]]:
        """Every decision with feedback, in id order, each piece of ``size`` as of the moment it is read."""
        ids = [""]
        while ids:
            with self._reading() as connection:
                ids = read_ids_with_feedback(connection, self.router, ids[-1], size)
                observations = read_observations(connection, self.router, ids)
            if ids:
                yield observations

    def rollup_state(self) -> RollupState | None:
        """How the roll-ups stand; None when there is no such router."""
        with self._reading() as connection:
            return read_state(connection, self.router)

    def rollups(self, asked: RollupFilter) -> list[RollupRow]:
        """The sums over the log that are asked for, in the order of time, up to this moment."""
        with self._reading() as connection:
            renamed = arms.read_renamed_arms(connection, self.router)
            if asked.cube is Cube.TASK:
                return read_task_rollups(connection, self.router, asked, renamed)
            return read_rollups(connection, self.router, asked, renamed)

    def find_marks_ahead(self) -> list[str]:
        """What lies ahead of now, because a clock was fast, and holds learning or spending up."""
        with self._reading() as connection:
            return find_marks_ahead(connection, self.router, self.clock.latest())

    def is_rebuild_due(self) -> bool:
        """Whether the log was changed since the state in force was made from it."""
        with self._reading() as connection:
            head = read_head(connection, self.router)
        return head is not None and head.corrected_at is not None

    def count_clamped_stamps(self) -> int:
        """The number of stamps in the log that are not what a clock claimed, because it was wrong."""
        with self._reading() as connection:
            return count_clamped_stamps(connection, self.router)

    @contextmanager
    def learner_transaction(self) -> Iterator[LearnerTransaction]:
        """The learner's transaction, which every other publisher waits for: keep it short."""
        with (
            translate_errors(),
            begin_learner_transaction(self._engine, self.router, self.clock) as transaction,
        ):
            yield transaction

    def checkpoint(self) -> None:
        """Keep a SQLite write-ahead log short; does nothing on other databases."""
        with translate_errors():
            checkpoint_wal(self._engine)

    def compact(self) -> None:
        """Rewrite a SQLite file without a trace of what was deleted; does nothing on other databases.

        Writers wait meanwhile. Raises DatabaseBusy while somebody reads what was there before.
        """
        compact_file(self._engine)
