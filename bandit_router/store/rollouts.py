"""The stages of rollouts: a row for each share the candidate has had; the router's row points at one."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from bandit_router.store.tables import rollout_stages, routers
from bandit_router.types import RolloutStage


class RolloutRecord(NamedTuple):
    """A stage of a rollout, who is compared with whom in it, and why it began."""

    stage: RolloutStage
    contest: str
    why: str


def read_stage(connection: Connection, router: str) -> RolloutRecord | None:
    """The stage under way; None without a rollout."""
    under_way = select(rollout_stages).join(routers, routers.c.name == rollout_stages.c.router)
    same = rollout_stages.c.router == router, rollout_stages.c.id == routers.c.rollout_stage
    row = connection.execute(under_way.where(*same)).one_or_none()
    return None if row is None else _record_from(row)


def read_stages(connection: Connection, router: str, contest: str) -> list[RolloutRecord]:
    """The stages of all rollouts with this contest, oldest first."""
    same = rollout_stages.c.router == router, rollout_stages.c.contest == contest
    rows = connection.execute(select(rollout_stages).where(*same).order_by(rollout_stages.c.id))
    return [_record_from(row) for row in rows]


def begin_stage(
    connection: Connection,
    router: str,
    contest: str,
    *,
    share: float,
    since: float,
    why: str,
    aborted: bool = False,
) -> RolloutStage:
    """Begin the next stage; the caller holds the router's row."""
    newest = select(func.max(rollout_stages.c.id)).where(rollout_stages.c.router == router)
    stage = RolloutStage((connection.scalar(newest) or 0) + 1, share, since, aborted)
    row = {"router": router, "contest": contest, "why": why, **stage._asdict()}
    connection.execute(insert(rollout_stages), row)
    point_at_stage(connection, router, stage.id)
    return stage


def point_at_stage(connection: Connection, router: str, stage_id: int | None) -> None:
    """Have this stage in force; None ends the rollout. The caller holds the router's row."""
    router_row = update(routers).where(routers.c.name == router)
    connection.execute(router_row.values(rollout_stage=stage_id))


def _record_from(row: Row[Any]) -> RolloutRecord:
    stage = RolloutStage(row.id, row.share, row.since, row.aborted)
    return RolloutRecord(stage, row.contest, row.why)
