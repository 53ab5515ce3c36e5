"""Published snapshots, and the warm start they begin with: read from one connection."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from bandit_router.store.tables import snapshots, warm_starts
from bandit_router.types import Snapshot


def read_snapshot(connection: Connection, router: str, version: int) -> Snapshot | None:
    """The snapshot of that version; None when it is pruned or was never published."""
    same_version = snapshots.c.router == router, snapshots.c.version == version
    columns = (snapshots.c[name] for name in Snapshot._fields)
    row = connection.execute(select(*columns).where(*same_version)).one_or_none()
    return None if row is None else Snapshot(*row)


class WarmStartRecord(NamedTuple):
    """The warm start in force: when it was loaded (Unix time, seconds), its source, trust and evidence."""

    loaded_at: float
    source: str
    trust: float | None
    evidence: Snapshot


def read_warm_start(connection: Connection, router: str) -> WarmStartRecord | None:
    """The warm start in force; None when the newest record takes it away, or there is no record."""
    newest = select(warm_starts).where(warm_starts.c.router == router).order_by(warm_starts.c.id.desc())
    row = connection.execute(newest.limit(1)).one_or_none()
    if row is None or row.posterior is None:
        return None
    return WarmStartRecord(row.loaded_at, row.source, row.trust, Snapshot(row.posterior, row.costs))
