"""Change a database behind the router's back, and read what `verify` says of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Ran

QUIET = {"interval_s": 3600.0}
"""Settings of a learner that does nothing on its own during a test."""


def tamper(database: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        changed = connection.execute(statement, parameters)
        assert changed.rowcount == 1, "the statement must hit one row"


def newest(database: Path) -> str:
    """The id of the newest decision."""
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT max(id) FROM decisions").fetchone()[0])


def problems(ran: Ran) -> str:
    """The problems that `verify` named; fails unless it failed properly."""
    assert ran.code == 1, ran
    assert ran.out.endswith("verify: FAILED\n")
    assert "Traceback" not in ran.err
    return "\n".join(line for line in ran.out.splitlines() if "problem: " in line)
