"""Connections: SQLite made durable and fair between processes, PostgreSQL as it comes."""

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
"""By dialect: an INSERT that can say ON CONFLICT."""

_WAL_RESET_FIXED = (3, 51, 3)
_CHECKPOINT_BYTES = 4 * 1024 * 1024
_LARGEST_LOG_BYTES = 64 * 1024 * 1024  # kept for reuse: growing the file anew makes commits slower
_BUSY_TIMEOUT_MS = 30_000


def _load_json(text: str) -> Any:
    """The value of a JSON column; a damaged one is returned as it is, so that its row can be named."""
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
        # The lock and the log lie beside the real file, wherever links point and the process moves.
        return _sqlite(create_engine(parsed.set(database=os.path.realpath(name)), **_JSON))
    if backend == "postgresql":
        try:
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **_JSON)
        except ModuleNotFoundError:
            raise ConfigError(
                "store.url: PostgreSQL needs a driver; pip install 'bandit-router[postgres]'"
            ) from None
    raise ConfigError(f"store.url: {backend!r} is not supported; use sqlite:/// or postgresql://")


def without_passwords(url: str) -> str:
    """The URL as it may be shown to others."""
    parsed = make_url(url)
    query = {key: value for key, value in parsed.query.items() if "password" not in key.lower()}
    return parsed.set(query=query).render_as_string(hide_password=True)


def require_database(engine: Engine) -> None:
    """Raise StoreError for a SQLite file that is not there: to connect would be to make it."""
    path = engine.url.database or ""
    if is_sqlite(engine) and not os.path.isfile(path):
        raise StoreError(
            f"there is no database {path}; check the path, `bandit-router serve` makes a new one"
        )


def is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view of the database for as long as the block lasts."""
    options = {} if is_sqlite(engine) else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that commits at the end of the block or not at all.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE) and, before it, a file lock, so that
    processes queue in the kernel instead of polling each other out.
    """
    with (
        file_lock(engine),
        engine.connect().execution_options(bandit_router_write=True) as connection,
        connection.begin(),
    ):
        yield connection


def file_lock(engine: Engine) -> AbstractContextManager[None]:
    """The lock that orders the writers of one SQLite file; nothing on other databases."""
    if not is_sqlite(engine):
        return nullcontext()
    return _flock(f"{engine.url.database}.lock")


@contextmanager
def _flock(path: str) -> Iterator[None]:
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
def translated() -> Iterator[None]:
    """Whatever the database says becomes a StoreError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"the database failed: {cause(error)}") from error


def cause(error: BaseException) -> BaseException:
    """What the driver said, without the statement and its parameters."""
    return getattr(error, "orig", None) or error


def use_wal(engine: Engine) -> None:
    """Switch a SQLite file to write-ahead logging, which lasts; the caller holds the file lock."""
    if is_sqlite(engine):
        with closing(engine.raw_connection()) as connection:
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            except sqlite3.Error as error:  # no SQLAlchemy is in between to translate it
                raise StoreError(f"the database {engine.url.database} cannot be used: {error}") from error


def checkpoint(engine: Engine) -> None:
    """Move a long write-ahead log into the SQLite file.

    Connections never checkpoint on their own. This one does, under the file lock, so that neither a
    commit nor another checkpoint runs meanwhile: the overlap that can corrupt the file before 3.51.3.
    """
    if not is_sqlite(engine):
        return
    try:
        size = Path(f"{engine.url.database}-wal").stat().st_size
    except FileNotFoundError:  # another process was the last to leave
        return
    if size < _CHECKPOINT_BYTES:
        return
    with file_lock(engine), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def dispose(engine: Engine) -> None:
    """Close every connection; the last one to leave a SQLite file checkpoints it."""
    with file_lock(engine):
        engine.dispose()


def _sqlite(engine: Engine) -> Engine:
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
        connection.isolation_level = None  # we say BEGIN ourselves, below
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
