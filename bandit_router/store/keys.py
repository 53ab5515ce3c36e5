"""API keys in the database: insert, read, change."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from bandit_router.errors import UnknownKey
from bandit_router.security.keys import ApiKey, Scope
from bandit_router.store.tables import api_keys

_FIELDS = [field.name for field in fields(ApiKey)]
_KEY = select(api_keys).where(api_keys.c.router == bindparam("router"), api_keys.c.id == bindparam("id"))


def insert_key(connection: Connection, router: str, key: ApiKey) -> None:
    """Keep a new key."""
    connection.execute(insert(api_keys), _row_of(router, key))


def update_key(connection: Connection, router: str, key: ApiKey) -> None:
    """Replace the key with its id."""
    same_key = api_keys.c.router == router, api_keys.c.id == key.id
    connection.execute(update(api_keys).where(*same_key).values(_row_of(router, key)))


def read_key(connection: Connection, router: str, key_id: str) -> ApiKey | None:
    """The key of that id, valid or not; None if there is none."""
    row = connection.execute(_KEY, {"router": router, "id": key_id}).one_or_none()
    return None if row is None else _key_from(row)


def lock_key(connection: Connection, router: str, key_id: str) -> ApiKey:
    """The key of that id, which nobody else changes meanwhile. Raises UnknownKey."""
    row = connection.execute(_KEY.with_for_update(), {"router": router, "id": key_id}).one_or_none()
    if row is None:
        raise UnknownKey(key_id)
    return _key_from(row)


def read_keys(connection: Connection, router: str) -> list[ApiKey]:
    """Every key the router ever had, oldest first."""
    of_router = select(api_keys).where(api_keys.c.router == router)
    rows = connection.execute(of_router.order_by(api_keys.c.created_at, api_keys.c.id))
    return [_key_from(row) for row in rows]


def has_keys(connection: Connection, router: str) -> bool:
    """Whether the router ever had a key."""
    any_key = select(api_keys.c.id).where(api_keys.c.router == router).limit(1)
    return connection.scalar(any_key) is not None


def rename_arm_of_keys(connection: Connection, router: str, old: str, new: str) -> None:
    """Let keys that may call ``old`` call ``new`` instead."""
    bound = select(api_keys.c.id, api_keys.c.arms).where(api_keys.c.router == router)
    for key_id, arms in connection.execute(bound).all():
        if arms is not None and old in arms:
            renamed = sorted({new if arm == old else arm for arm in arms})
            same_key = api_keys.c.router == router, api_keys.c.id == key_id
            connection.execute(update(api_keys).where(*same_key).values(arms=renamed))


def _row_of(router: str, key: ApiKey) -> dict[str, Any]:
    arms = None if key.arms is None else sorted(key.arms)
    return asdict(key) | {"router": router, "scopes": sorted(key.scopes), "arms": arms}


def _key_from(row: Row[Any]) -> ApiKey:
    values = row._mapping
    scopes = frozenset(map(Scope, row.scopes))
    arms = None if row.arms is None else frozenset(row.arms)
    return ApiKey(**({name: values[name] for name in _FIELDS} | {"scopes": scopes, "arms": arms}))
