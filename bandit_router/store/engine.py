"""Database engines and transactions: SQLite made durable and fair between processes, and PostgreSQL."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bandit_router.errors import ConfigError, StoreError

log = logging.getLogger(__name__)

INSERT: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""By dialect: the INSERT construct that supports ON CONFLICT."""

_WAL_RESET_FIXED = (3, 51, 3)
_CHECKPOINT_BYTES = 4 * 1024 * 1024
_LARGEST_LOG_BYTES = 64 * 1024 * 1024  # kept for reuse: growing the file anew makes commits slower
_BUSY_TIMEOUT_MS = 30_000


def _load_json(text: str) -> Any:
    """The value of a JSON column; a damaged one is returned as text, so that its row can be named."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


_JSON: dict[str, Any] = {
    "json_serializer": lambda value: orjson.dumps(value).decode(),
    "json_deserializer": _load_json,
}


def make_engine(url: str) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``. Raises ConfigError for anything else."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ConfigError("store.url: is not a database URL; use sqlite:///router.db") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        name = parsed.database or ""
        if parsed.host or name in ("", ":memory:") or name.startswith("file:"):
            raise ConfigError(f"store.url: {url!r} names no file for the log; use sqlite:///router.db")
        # The lock file and the log lie beside the real file, whatever links and the working directory say.
        return _configure_sqlite(create_engine(parsed.set(database=os.path.realpath(name)), **_JSON))
    if backend == "postgresql":
        try:
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **_JSON)
        except ModuleNotFoundError:
            raise ConfigError(
                "store.url: PostgreSQL needs a driver; pip install 'bandit-router[postgres]'"
            ) from None
    raise ConfigError(f"store.url: {backend!r} is not supported; use sqlite:/// or postgresql://")


def hide_passwords(url: str) -> str:
    """The URL with its passwords masked or removed, fit to be shown."""
    parsed = make_url(url)
    query = {key: value for key, value in parsed.query.items() if "password" not in key.lower()}
    return parsed.set(query=query).render_as_string(hide_password=True)


def require_database(engine: Engine) -> None:
    """Raise StoreError when a SQLite file is missing: connecting would create it."""
    path = engine.url.database or ""
    if is_sqlite(engine) and not os.path.isfile(path):
        raise StoreError(
            f"there is no database {path}; check the path, `bandit-router serve` creates a new one"
        )


def is_sqlite(engine: Engine) -> bool:
    """Whether the engine is of a SQLite file, and not of PostgreSQL."""
    return engine.dialect.name == "sqlite"


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads one consistent state of the database."""
    options = {} if is_sqlite(engine) else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits at the end of the block, or rolls back on an exception.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE) and, before it, a file lock, so that
    processes queue in the kernel instead of polling, where some would starve.
    """
    with (
        file_lock(engine),
        engine.connect().execution_options(bandit_router_write=True) as connection,
        connection.begin(),
    ):
        yield connection


def file_lock(engine: Engine) -> AbstractContextManager[None]:
    """The lock that orders the writers of one SQLite file; does nothing on other databases."""
    if not is_sqlite(engine):
        return nullcontext()
    return _hold_file_lock(f"{engine.url.database}.lock")


@contextmanager
def _hold_file_lock(path: str) -> Iterator[None]:
    """Hold an exclusive lock on the file at ``path``. Raises StoreError when it cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"the lock file {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough when a forked child holds a copy
        os.close(descriptor)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn every database error into a StoreError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"the database failed: {driver_error(error)}") from error


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, without the statement and its parameters."""
    return getattr(error, "orig", None) or error


def enable_wal(engine: Engine) -> None:
    """Switch a SQLite file to write-ahead logging for good; the caller holds the file lock."""
    if is_sqlite(engine):
        with closing(engine.raw_connection()) as connection:
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            except sqlite3.Error as error:  # raised below SQLAlchemy, which would have wrapped it
                raise StoreError(f"the database {engine.url.database} cannot be used: {error}") from error


def checkpoint_wal(engine: Engine) -> None:
    """Move a long write-ahead log into the SQLite file.

    Connections never checkpoint on their own. This does so under the file lock, so that no commit and no
    other checkpoint runs meanwhile: that overlap can corrupt the file before SQLite 3.51.3.
    """
    if not is_sqlite(engine):
        return
    try:
        size = Path(f"{engine.url.database}-wal").stat().st_size
    except FileNotFoundError:  # the last process to close its connections removed it
        return
    if size < _CHECKPOINT_BYTES:
        return
    with file_lock(engine), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def dispose_engine(engine: Engine) -> None:
    """Close every connection; the last one to close a SQLite file checkpoints it."""
    with file_lock(engine):
        engine.dispose()


def _configure_sqlite(engine: Engine) -> Engine:
    """The engine, with durable pragmas on every connection and explicit BEGINs."""
    if sqlite3.sqlite_version_info < _WAL_RESET_FIXED:
        log.warning(
            "SQLite %s can corrupt a file when connections checkpoint at the same time (fixed in %s): "
            "checkpoints are serialised here, so let no other program write to %s",
            sqlite3.sqlite_version,
            ".".join(map(str, _WAL_RESET_FIXED)),
            engine.url.database,
        )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the listener below sends BEGIN
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "synchronous = FULL",
            "foreign_keys = ON",
            "wal_autocheckpoint = 0",
            f"journal_size_limit = {_LARGEST_LOG_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("bandit_router_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
