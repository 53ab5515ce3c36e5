"""The learner's transaction: the short one that takes pending marks, records what is counted and publishes.

The router's row in ``routers`` is the lock. (The newest snapshot row would not do: a second learner that
skips locked rows would skip to the one before it and publish from there.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, delete, func, insert, select, tuple_, update

from bandit_router.errors import SnapshotCorrupt
from bandit_router.store import arms, rollouts
from bandit_router.store.acts import ActKind, find_actor, insert_act
from bandit_router.store.applied_settings import AppliedSettings, insert_applied_settings
from bandit_router.store.clock import Clock
from bandit_router.store.engine import INSERT, write_transaction
from bandit_router.store.pending_batch import Mark
from bandit_router.store.records import WeightedValue
from bandit_router.store.snapshots import (
    Head,
    SnapshotRetention,
    WarmStartRecord,
    read_head,
    read_snapshot,
    read_warm_start,
)
from bandit_router.store.tables import folded, pending, routers, snapshots, warm_starts
from bandit_router.types import Arm

_T = TypeVar("_T")

_CHUNK = 5_000  # keys per statement: both databases bound the number of parameters
_REBUILD_ALIVE_S = 30.0  # a rebuild without a sign of life for so long is taken for dead

_UPSERT = {
    name: (statement := into(folded)).on_conflict_do_update(
        index_elements=["router", "generation", "quantity", "decision_id"],
        set_={name: statement.excluded[name] for name in ("value", "weight", "version")},
    )
    for name, into in INSERT.items()
}

Changes = Mapping[str, Mapping[str, WeightedValue | None]]
"""By quantity, then by decision: the value counted now; None is a value taken out again."""


class StaleRead(Exception):
    """What the next state was computed from is not in force any more: read again."""


class RebuildUnderWay(Exception):
    """Another learner is rebuilding: wait for it."""


@dataclass(frozen=True, slots=True)
class LearnerTransaction:
    """The right to publish the next snapshot of one router, for the length of one transaction."""

    connection: Connection
    router: str
    head: Head
    clock: Clock

    @property
    def version(self) -> int:
        """The newest published version."""
        return self.head.version

    @property
    def reward_weights(self) -> Mapping[str, float]:
        """The weights of the rewards that are counted."""
        return self.head.reward_weights

    def snapshot(self) -> bytes:
        """The newest snapshot. Raises SnapshotCorrupt when somebody deleted it."""
        state = read_snapshot(self.connection, self.router, self.version)
        if state is None:
            raise SnapshotCorrupt(f"snapshot {self.version} is gone; run `bandit-router rebuild`")
        return state

    def read_arms(self) -> list[Arm]:
        """Every arm of the router by its name now, as this transaction sees it."""
        former = arms.read_renamed_arms(self.connection, self.router)
        return [arm for arm in arms.read_arms(self.connection, self.router) if arm.name not in former]

    def rename_arm(self, old: str, new: str) -> None:
        """Let what ``old`` decided count for ``new``."""
        arms.rename_arm(self.connection, self.router, old, new)
        self.record_act(ActKind.ARM_RENAMED, old, to=new)

    def declare_arms(self, declared: Sequence[Arm]) -> None:
        """Write the arms of router.toml; leave arms added at run time alone."""
        arms.declare_arms(self.connection, self.router, declared)

    def put_arm(self, arm: Arm) -> None:
        """Add an arm at run time, or give an existing one new prices, limits or capabilities."""
        is_new = arms.put_arm(self.connection, self.router, arm)
        prices = {name: getattr(arm, name) for name in ("model", "input_usd_per_mtok", "output_usd_per_mtok")}
        self.record_act(ActKind.ARM_ADDED if is_new else ActKind.ARM_CHANGED, arm.name, **prices)

    def declare_rollout(self, contest: str | None, share: float) -> None:
        """Begin a rollout with this share, unless one of the same contest is under way; None ends it."""
        record = rollouts.read_stage(self.connection, self.router)
        if contest == (None if record is None else record.contest):
            return
        if contest is None:
            rollouts.point_at_stage(self.connection, self.router, None)
            self.record_act(ActKind.ROLLOUT_ENDED)
            return
        rollouts.begin_stage(
            self.connection,
            self.router,
            contest,
            share=share,
            since=self.clock.reference(),
            why="the settings were applied",
        )
        self.record_act(ActKind.ROLLOUT_BEGUN, share=share, contest=contest)

    def require_settings(self, settings_id: int | None) -> None:
        """Raise StaleRead unless the settings of that id are still in force."""
        if self.head.settings_id != settings_id:
            raise StaleRead

    def put_settings_in_force(self, applied: AppliedSettings, changes: Sequence[str] = ()) -> None:
        """Record settings and put them in force. ``changes`` says for the audit what is different."""
        insert_applied_settings(self.connection, self.router, applied)
        self.record_act(ActKind.SETTINGS_APPLIED, id=applied.id, changes=list(changes) or None)

    def counts_quantity(self, quantity: str) -> bool:
        """Whether a value of this quantity is on record as counted."""
        rows = select(folded.c.decision_id).where(*self._rows_of(self.head.generation))
        return self.connection.scalar(rows.where(folded.c.quantity == quantity).limit(1)) is not None

    def require_head(self, head: Head) -> None:
        """Raise StaleRead unless the version and the generation computed from are still in force."""
        if (self.head.version, self.head.generation) != (head.version, head.generation):
            raise StaleRead

    def take_marks(self, marks: Sequence[Mark]) -> None:
        """Take exactly these marks away; a rebuild that is under way gets them. Raises StaleRead."""
        rebuilding = self._rebuild_under_way()
        taken = 0
        for chunk in chunks(marks):
            columns = tuple_(pending.c.decision_id, pending.c.metric, pending.c.revision)
            mine = pending.c.router == self.router, pending.c.rebuild.is_(None), columns.in_(chunk)
            statement = (
                delete(pending).where(*mine)
                if rebuilding is None
                else update(pending).where(*mine).values(rebuild=rebuilding)
            )
            taken += self.connection.execute(statement).rowcount
        if taken != len(marks):
            raise StaleRead

    def record_counted(self, changes: Changes, generation: int | None = None) -> None:
        """Record what the next snapshot counts, in the generation in force or another one."""
        generation = generation or self.head.generation
        here = {"router": self.router, "generation": generation, "version": self.version + 1}
        rows = [
            here | {"quantity": quantity, "decision_id": decision_id, **counted._asdict()}
            for quantity, values in changes.items()
            for decision_id, counted in values.items()
            if counted is not None
        ]
        if rows:
            self.connection.execute(_UPSERT[self.connection.dialect.name], rows)
        for quantity, values in changes.items():
            for chunk in chunks([i for i, value in values.items() if value is None]):
                gone = folded.c.quantity == quantity, folded.c.decision_id.in_(chunk)
                self.connection.execute(delete(folded).where(*self._rows_of(generation), *gone))

    def publish(self, state: bytes, reward_weights: Mapping[str, float], *, keep: SnapshotRetention) -> int:
        """Make ``state`` the next snapshot and prune what ``keep`` does not keep.

        ``reward_weights`` are those that all the rewards it counts were made with.
        """
        version = self.version + 1
        now = self.clock.now()
        row = {"router": self.router, "version": version, "published_at": now, "state": state}
        self.connection.execute(insert(snapshots), row)
        changed = {} if reward_weights == self.reward_weights else {"weights_since": version}
        self._update(version=version, reward_weights=dict(reward_weights), **changed)
        keep.prune(self.connection, self.router, version, len(state), now)
        return version

    def delete_snapshots(self, versions: Sequence[int]) -> None:
        """Delete these snapshots, but never the newest."""
        for chunk in chunks([version for version in versions if version != self.version]):
            mine = snapshots.c.router == self.router, snapshots.c.version.in_(chunk)
            self.connection.execute(delete(snapshots).where(*mine))
        self.record_act(ActKind.SNAPSHOTS_DELETED, versions=list(versions))

    def delete_older_snapshots(self) -> None:
        """Delete every snapshot but the newest."""
        newest = select(routers.c.version).where(routers.c.name == self.router).scalar_subquery()
        older = snapshots.c.router == self.router, snapshots.c.version < newest
        self.connection.execute(delete(snapshots).where(*older))

    def record_act(self, kind: ActKind, subject: str | None = None, **details: Any) -> None:
        """Record an administrative act that this transaction carries out."""
        stamp = self.clock.stamp()
        insert_act(self.connection, self.router, stamp, find_actor(), kind, subject, **details)

    # -- rebuilds ---------------------------------------------------------------------------------

    def begin_rebuild(self) -> int:
        """The number of a new generation, to be built from now on. Raises RebuildUnderWay."""
        if self._rebuild_under_way() is not None:
            raise RebuildUnderWay
        generation = max(self.head.generation, self.head.rebuilding or 0) + 1
        self._update(rebuilding=generation, rebuilding_at=self.clock.reference())
        return generation

    def require_rebuild(self, generation: int) -> None:
        """Say that the rebuild is alive. Raises StaleRead when another one has begun or it was given up."""
        if self._building() != generation:
            raise StaleRead
        self._update(rebuilding_at=self.clock.reference())

    def finish_rebuild(self, generation: int) -> None:
        """Put the generation in force. What was folded meanwhile is pending again: it has to be compared.

        After a change of the log what was expected before is not compared with rewards any more.
        """
        changed = {} if self.head.corrected_at is None else {"weights_since": self.version + 1}
        self._update(generation=generation, rebuilding_at=None, corrected_at=None, **changed)
        moved = pending.c.router == self.router, pending.c.rebuild == generation
        self.connection.execute(update(pending).where(*moved).values(rebuild=None))

    def cut_off_rebuild(self) -> None:
        """Have a rebuild that is under way, which may hold rows that are deleted now, start over."""
        if self._rebuild_under_way() is not None:
            self.give_up_rebuild()

    def require_correction(self, now: float) -> None:
        """Say that the log was changed, so that a rebuild is due; one that is under way starts over."""
        self._update(corrected_at=now)
        self.raise_arms_revision()

    def drop_generation(self, generation: int, limit: int) -> bool:
        """Delete up to ``limit`` rows of a generation that is not in force; whether there may be more."""
        assert generation not in (self.head.generation, self._building())
        mine = self._rows_of(generation)
        key = folded.c.quantity, folded.c.decision_id
        keys = [tuple(row) for row in self.connection.execute(select(*key).where(*mine).limit(limit))]
        if keys:
            self.connection.execute(delete(folded).where(*mine, tuple_(*key).in_(keys)))
        return len(keys) == limit

    def idle_generations(self) -> list[int]:
        """The generations that are neither in force nor being built."""
        others = folded.c.router == self.router, folded.c.generation != self.head.generation
        rows = self.connection.scalars(select(folded.c.generation).where(*others).distinct())
        return [generation for generation in rows if generation != self._building()]

    def give_up_rebuild(self) -> None:
        """End the rebuild under way: nothing of it is in force, and its marks are folded already.

        Its number stays on record and is never given again, so that it cannot come back to life.
        """
        moved = pending.c.router == self.router, pending.c.rebuild.is_not(None)
        self.connection.execute(delete(pending).where(*moved))
        self._update(rebuilding_at=None)

    def _rebuild_under_way(self) -> int | None:
        """The generation that is being built; a rebuild without a sign of life is given up."""
        at = self.head.rebuilding_at
        if at is not None and abs(self.clock.reference() - at) > _REBUILD_ALIVE_S:  # also one of a fast clock
            self.give_up_rebuild()
            return None
        return self._building()

    def _building(self) -> int | None:
        """The generation that is being built, dead or alive."""
        return None if self.head.rebuilding_at is None else self.head.rebuilding

    # -- warm starts ------------------------------------------------------------------------------

    def warm_start(self) -> WarmStartRecord | None:
        """The evidence from elsewhere that is in force; None when there is none."""
        return read_warm_start(self.connection, self.router)

    def insert_warm_start(
        self, evidence: bytes | None, *, source: str, trust: float | None, now: float
    ) -> None:
        """Put other evidence in force, or None."""
        last = select(func.max(warm_starts.c.id)).where(warm_starts.c.router == self.router)
        row: dict[str, Any] = {
            "router": self.router,
            "id": (self.connection.scalar(last) or 0) + 1,
            "loaded_at": now,
            "source": source,
            "trust": trust,
            "state": evidence,
        }
        self.connection.execute(insert(warm_starts), row)
        self.raise_arms_revision()

    def raise_arms_revision(self) -> None:
        """Have a rebuild that is under way start over: what it was begun with has changed."""
        arms.raise_arms_revision(self.connection, self.router)

    def _update(self, **values: Any) -> None:
        self.connection.execute(update(routers).where(routers.c.name == self.router).values(**values))

    def _rows_of(self, generation: int) -> tuple[Any, ...]:
        return folded.c.router == self.router, folded.c.generation == generation


@contextmanager
def begin_learner_transaction(engine: Engine, router: str, clock: Clock) -> Iterator[LearnerTransaction]:
    """The learner's transaction, once no other learner has it; rolled back by any exception in the block."""
    with write_transaction(engine) as connection:
        head = read_head(connection, router, lock=True)
        assert head is not None, "a learner's router has a row"
        yield LearnerTransaction(connection, router, head, clock)


def chunks(items: Sequence[_T]) -> Iterable[Sequence[_T]]:
    """The items in pieces, each few enough for the parameters of one statement."""
    return (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))
