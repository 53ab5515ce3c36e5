"""The settings a router was given, one row for every time that other ones were put in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from bandit_router.store.tables import applied_settings, routers


class AppliedSettings(NamedTuple):
    """Settings that were put in force at ``applied_at``, Unix time; ``id`` counts 1, 2, 3, … per router."""

    id: int
    fingerprint: str
    settings: Mapping[str, Any]
    applied_at: float


def read_settings_in_force(connection: Connection, router: str) -> AppliedSettings | None:
    """The settings in force; None for a router that is new, or older than this table."""
    columns = (applied_settings.c[name] for name in AppliedSettings._fields)
    newest = select(*columns).where(applied_settings.c.router == router)
    row = connection.execute(newest.order_by(applied_settings.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else AppliedSettings(*row)


def read_first_applied(connection: Connection, router: str, fingerprint: str) -> float | None:
    """When settings with this fingerprint were first applied, Unix time; None if they never were."""
    same = applied_settings.c.router == router, applied_settings.c.fingerprint == fingerprint
    first: float | None = connection.scalar(select(func.min(applied_settings.c.applied_at)).where(*same))
    return first


def insert_applied_settings(connection: Connection, router: str, applied: AppliedSettings) -> None:
    """Put these settings in force; the caller holds the router's row."""
    connection.execute(insert(applied_settings), {"router": router, **applied._asdict()})
    row = update(routers).where(routers.c.name == router)
    connection.execute(row.values(settings_id=applied.id))
