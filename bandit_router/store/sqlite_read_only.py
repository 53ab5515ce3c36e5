"""SQLite files that cannot be written, because they or their folder are read-only."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from bandit_router.errors import StoreError

_URL = URL.create("sqlite")
"""Of an engine whose connections name the file themselves."""

COPY = "it is read-only: copy the database to a folder you can write to"
"""What to do with one where it has to be written."""


def is_read_only(path: str) -> bool:
    """Whether the file or its folder cannot be written, so that SQLite cannot keep its log beside it."""
    return os.path.isfile(path) and not (
        os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)
    )


def is_read_only_engine(engine: Engine) -> bool:
    """Whether :func:`make_read_only_engine` made it."""
    return engine.url == _URL


def make_read_only_engine(path: str, **options: Any) -> Engine:
    """An engine that reads a file nobody writes. Raises StoreError if there are commits beside it."""
    log_path = Path(f"{path}-wal")
    if log_path.exists() and log_path.stat().st_size:
        raise StoreError(
            f"the database {path} is read-only, and its newest commits are in {log_path.name}; "
            "copy both to a folder you can write to"
        )
    uri = f"file:{quote(path)}?mode=ro&immutable=1"
    return create_engine(
        _URL,
        creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
        poolclass=QueuePool,
        **options,
    )
