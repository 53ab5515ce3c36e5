"""What a router has published: its head, its snapshots, and the warm start they begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from bandit_router.store.clock import DATABASE_TIME
from bandit_router.store.tables import routers, snapshots, warm_starts
from bandit_router.types import TrafficPin

_MOST_DELETED = 50


class Head(NamedTuple):
    """The router's row: newest version, weights of the rewards it counts, generation of ``folded`` in force,
    and the rebuild under way, if any. ``arms_revision`` counts changes of arms, resets and warm starts.
    ``corrected_at`` is set while a rebuild is due, because the log was changed. ``settings_id`` names the
    settings in force, ``rollout_stage`` the stage of the rollout, ``schema_id`` the contexts that the
    router learned from. ``tasks_revision`` counts changes of names of tasks. ``safety_share`` is the share
    of traffic of a policy that is bound to a baseline, None if none is. ``database_time`` is Unix time, None
    where the database has none."""

    version: int
    reward_weights: dict[str, float]
    generation: int
    rebuilding: int | None
    rebuilding_at: float | None
    arms_revision: int
    corrected_at: float | None
    settings_id: int | None
    schema_id: str
    pinned_arm: str | None
    pinned_until: float | None
    tasks_revision: int
    rollout_stage: int | None
    safety_share: float | None
    database_time: float | None

    @property
    def traffic_pin(self) -> TrafficPin | None:
        """The arm that all traffic goes to, and until when, which may have passed; None without one."""
        if self.pinned_arm is None or self.pinned_until is None:
            return None
        return TrafficPin(self.pinned_arm, self.pinned_until)


def read_head(connection: Connection, router: str, *, lock: bool = False) -> Head | None:
    """The router's head; None when there is none. With ``lock``, nobody else publishes meanwhile."""
    columns = (routers.c[name] for name in Head._fields if name != "database_time")
    now = DATABASE_TIME[connection.dialect.name].label("database_time")
    statement = select(*columns, now).where(routers.c.name == router)
    row = connection.execute(statement.with_for_update(key_share=True) if lock else statement).one_or_none()
    return None if row is None else Head._make(row)


def read_versions(connection: Connection, router: str) -> list[int]:
    """The versions of all snapshots that are kept, oldest first."""
    kept = select(snapshots.c.version).where(snapshots.c.router == router)
    return list(connection.scalars(kept.order_by(snapshots.c.version)))


def read_snapshot(connection: Connection, router: str, version: int) -> bytes | None:
    """The model state published as that version; None when it is pruned or was never published."""
    same_version = snapshots.c.router == router, snapshots.c.version == version
    state: bytes | None = connection.scalar(select(snapshots.c.state).where(*same_version))
    return state


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotRetention:
    """How many snapshots are kept, in how many bytes, for how many seconds: whichever is fewest."""

    count: int
    max_bytes: float | None = None
    max_age_s: float | None = None

    def prune(self, connection: Connection, router: str, version: int, size: int, now: float) -> None:
        """Delete what is not kept beside the newest snapshot, of that version and of ``size`` bytes.

        Sizes are those of the newest: older ones have no more arms. Of those that are too old, some are
        deleted each time, so that publishing stays quick.
        """
        affordable = self.count if self.max_bytes is None else int(self.max_bytes // size)
        keep = max(1, min(self.count, affordable))
        of_router = snapshots.c.router == router
        connection.execute(delete(snapshots).where(of_router, snapshots.c.version <= version - keep))
        if self.max_age_s is not None:
            oldest = select(snapshots.c.version, snapshots.c.published_at).where(of_router)
            rows = connection.execute(oldest.order_by(snapshots.c.version).limit(_MOST_DELETED)).all()
            old = [row.version for row in rows if row.published_at < now - self.max_age_s]
            connection.execute(
                delete(snapshots).where(
                    of_router, snapshots.c.version.in_(old), snapshots.c.version != version
                )
            )


class WarmStartRecord(NamedTuple):
    """The warm start in force: when it was loaded (Unix time, seconds), its source, trust and evidence."""

    loaded_at: float
    source: str
    trust: float | None
    evidence: bytes


def read_warm_start(connection: Connection, router: str) -> WarmStartRecord | None:
    """The warm start in force; None when the newest record takes it away, or there is no record."""
    newest = select(warm_starts).where(warm_starts.c.router == router).order_by(warm_starts.c.id.desc())
    row = connection.execute(newest.limit(1)).one_or_none()
    if row is None or row.state is None:
        return None
    return WarmStartRecord(row.loaded_at, row.source, row.trust, row.state)
