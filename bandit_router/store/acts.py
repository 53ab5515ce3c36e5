"""Administrative acts: who did what to which arm or key, recorded in the transaction of the act."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from bandit_router.store.clock import Stamp
from bandit_router.store.tables import audit


class ActKind(StrEnum):
    """What was done."""

    KEY_CREATED = "key_created"
    KEY_ROTATED = "key_rotated"
    KEY_REVOKED = "key_revoked"
    KEY_QUARANTINED = "key_quarantined"
    KEY_RELEASED = "key_released"
    ARM_ADDED = "arm_added"
    ARM_CHANGED = "arm_changed"
    ARM_ENABLED = "arm_enabled"
    ARM_DISABLED = "arm_disabled"
    ARM_RENAMED = "arm_renamed"
    ARM_RESET = "arm_reset"
    WARM_STARTED = "warm_started"
    WARM_START_REMOVED = "warm_start_removed"
    TRAFFIC_PINNED = "traffic_pinned"
    TRAFFIC_UNPINNED = "traffic_unpinned"
    ROLLOUT_BEGUN = "rollout_begun"
    ROLLOUT_ADVANCED = "rollout_advanced"
    ROLLOUT_ABORTED = "rollout_aborted"
    ROLLOUT_ENDED = "rollout_ended"
    SAFETY_BEGUN = "safety_begun"
    SAFETY_CHANGED = "safety_changed"
    SAFETY_ENDED = "safety_ended"
    SETTINGS_APPLIED = "settings_applied"
    SNAPSHOTS_DELETED = "snapshots_deleted"
    TASK_RENAMED = "task_renamed"
    USER_FORGOTTEN = "user_forgotten"


class Act(NamedTuple):
    """One act. ``at`` is Unix time; ``subject`` an arm's name or a key's id, None for the router."""

    at: float
    actor: str
    kind: ActKind
    subject: str | None
    details: Mapping[str, Any]


def find_actor() -> str:
    """Who runs this process: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in containers a user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def insert_act(
    connection: Connection,
    router: str,
    stamp: Stamp,
    actor: str,
    kind: ActKind,
    subject: str | None = None,
    **details: Any,
) -> None:
    """Record an act; details that are None are left out."""
    given = {name: value for name, value in details.items() if value is not None}
    row = {
        "router": router,
        "id": stamp.make_id(),
        "at": stamp.at,
        "actor": actor,
        "act": kind.value,
        "subject": subject,
        "details": given or None,
    }
    connection.execute(insert(audit), row)


def read_acts(connection: Connection, router: str, last: int) -> list[Act]:
    """The newest acts, oldest first."""
    newest = select(audit).where(audit.c.router == router).order_by(audit.c.at.desc(), audit.c.id.desc())
    rows = connection.execute(newest.limit(last)).all()
    return [
        Act(row.at, row.actor, ActKind(row.act), row.subject, row.details or {}) for row in reversed(rows)
    ]
