"""SQL that is compiled once in a process, not once for each database: nearly every test has a new one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache

_MOST = 2_000


class _CompiledStatements(LRUCache[Any, Any]):
    """What SQLAlchemy compiled: each engine has a dialect of its own, here those of a kind are one."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_any_engine(*key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_of_any_engine(*key), value)


def _of_any_engine(dialect: Dialect, *statement: Hashable) -> Hashable:
    json = (getattr(dialect, name, None) for name in ("_json_serializer", "_json_deserializer"))
    return (type(dialect), *json, *statement)


def share_compiled_statements() -> None:
    """Let all engines of this process use what any of them compiled."""
    shared = {"compiled_cache": _CompiledStatements(_MOST)}
    Engine._execution_options = Engine._execution_options.union(shared)
