"""The arms table: read, declare, add, switch on and off. Every change raises the router's arms revision."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, or_, select, update

from bandit_router.store.keys import rename_arm_of_keys
from bandit_router.store.records import arm_from, arm_row
from bandit_router.store.tables import arms, conversations, decisions, routers
from bandit_router.types import Arm, TrafficPin

ARM_NOW = func.coalesce(arms.c.renamed_to, decisions.c.arm).label("arm")
"""The arm that a decision counts for, where ``arms`` is joined by the name that the decision has."""


def read_renamed_arms(connection: Connection, router: str) -> dict[str, str]:
    """The name now of every arm that was renamed, by its former name."""
    renamed = arms.c.router == router, arms.c.renamed_to.is_not(None)
    rows = connection.execute(select(arms.c.name, arms.c.renamed_to).where(*renamed))
    return {row.name: row.renamed_to for row in rows}


def rename_arm(connection: Connection, router: str, old: str, new: str) -> None:
    """Let what ``old`` decided count for ``new``, which gets the row of ``old`` if there is none.

    The log keeps the former name. Conversations, keys and a pin that have the arm go on with it.
    """
    raise_arms_revision(connection, router)
    of_router = arms.c.router == router
    rows = {row.name: row._asdict() for row in connection.execute(select(arms).where(of_router))}
    if new not in rows:
        connection.execute(insert(arms), rows[old] | {"name": new, "runtime": True})
    former = of_router, or_(arms.c.name == old, arms.c.renamed_to == old)
    gone = {"renamed_to": new, "declared": False, "runtime": False}
    connection.execute(update(arms).where(*former).values(gone))
    kept = update(conversations).where(conversations.c.router == router, conversations.c.arm == old)
    connection.execute(kept.values(arm=new))
    rename_arm_of_keys(connection, router, old, new)
    pinned = update(routers).where(routers.c.name == router, routers.c.pinned_arm == old)
    connection.execute(pinned.values(pinned_arm=new))


def read_arms(connection: Connection, router: str) -> list[Arm]:
    """Every arm the router ever had, by name; ``enabled`` says which may be chosen."""
    rows = connection.execute(select(arms).where(arms.c.router == router).order_by(arms.c.name))
    return [arm_from(row) for row in rows]


def declare_arms(connection: Connection, router: str, declared: Sequence[Arm]) -> None:
    """Write the arms of router.toml; leave arms added at run time alone.

    An arm switched off at run time stays off. An arm missing from the file, or off there, is not eligible.
    """
    of_router = arms.c.router == router
    existing = {row.name: row for row in connection.execute(select(arms).where(of_router))}
    for arm in declared:
        values = arm_row(router, arm, runtime=False)
        if arm.name not in existing:
            connection.execute(insert(arms), values)
        else:
            values["enabled"] = existing[arm.name].enabled
            connection.execute(update(arms).where(of_router, arms.c.name == arm.name).values(values))
    names = [arm.name for arm in declared]
    undeclared = update(arms).where(of_router, arms.c.runtime.is_(False), arms.c.name.not_in(names))
    connection.execute(undeclared.values(declared=False))
    raise_arms_revision(connection, router)


def put_arm(connection: Connection, router: str, arm: Arm) -> bool:
    """Add an arm at run time, or give an existing one new prices, limits or capabilities; whether it is new.

    An existing arm stays switched on or off as it is.
    """
    values = arm_row(router, arm, runtime=True) | {"declared": True}
    same_arm = arms.c.router == router, arms.c.name == arm.name
    changed = connection.execute(update(arms).where(*same_arm).values(values | {"enabled": arms.c.enabled}))
    if changed.rowcount == 0:
        connection.execute(insert(arms), values | {"enabled": arm.enabled})
    raise_arms_revision(connection, router)
    return changed.rowcount == 0


def enable_arm(connection: Connection, router: str, name: str, enabled: bool) -> None:
    """Switch an arm on or off."""
    raise_arms_revision(connection, router)  # first: a learner, too, locks the router's row before its arms
    same_arm = arms.c.router == router, arms.c.name == name
    connection.execute(update(arms).where(*same_arm).values(enabled=enabled))


def write_traffic_pin(connection: Connection, router: str, pin: TrafficPin | None) -> None:
    """Have all traffic go to an arm for a while; None ends that."""
    arm, until = pin or (None, None)
    router_row = update(routers).where(routers.c.name == router)
    connection.execute(router_row.values(pinned_arm=arm, pinned_until=until))


def raise_arms_revision(connection: Connection, router: str) -> None:
    """Tell every worker to read the arms again."""
    router_row = update(routers).where(routers.c.name == router)
    connection.execute(router_row.values(arms_revision=routers.c.arms_revision + 1))
