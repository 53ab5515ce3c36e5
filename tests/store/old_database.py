"""A SQLite database that the version before wrote."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

DUMP = Path(__file__).parent / "data" / "0010.sql.gz"
"""60 routed decisions with feedback, 9 retries, a warm start, a reset, a budget, conversations, 11 marks."""


def write_old_database(file: Path) -> str:
    """Write the dump to a new file; its URL."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(gzip.decompress(DUMP.read_bytes()).decode())
    return f"sqlite:///{file}"
