"""What the raw log says, by SQL that shares nothing with the roll-ups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

IN_FORCE = """
SELECT d.id, d.arm, d.reason, d.decided_at, f.metric, f.value
FROM decisions d JOIN feedback f ON f.router = d.router AND f.decision_id = d.id
WHERE f.value IS NOT NULL AND f.revision = (
  SELECT max(g.revision) FROM feedback g
  WHERE g.router = f.router AND g.decision_id = f.decision_id AND g.metric = f.metric)
"""
"""The feedback in force, one row for each metric of each decision."""


@contextmanager
def open_log(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        yield connection


def ask(database: Path, question: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query; ``:name`` in it is a value."""
    with open_log(database) as connection:
        return connection.execute(question, values).fetchall()
