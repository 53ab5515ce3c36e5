"""Database engines and their transactions, on SQLite and on PostgreSQL."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bandit_router.errors import ConfigError, DatabaseBusy, StoreError
from bandit_router.store import postgresql_engine, sqlite_engine
from bandit_router.store.sqlite_read_only import COPY, is_read_only, make_read_only_engine
from bandit_router.store.timeouts import DEFAULT_TIMEOUTS, Timeouts

log = logging.getLogger(__name__)

INSERT: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""By dialect: the INSERT construct that supports ON CONFLICT."""


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


def make_engine(url: str, timeouts: Timeouts = DEFAULT_TIMEOUTS, *, to_read: bool = False) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``. Raises ConfigError for anything else.

    ``to_read`` is for those who do not write: they may open a SQLite file that cannot be written.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ConfigError("store.url: is not a database URL; use sqlite:///router.db") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        name = parsed.database or ""
        if parsed.host or name in ("", ":memory:") or name.startswith("file:"):
            shown = hide_passwords(url)
            raise ConfigError(f"store.url: {shown!r} names no file for the log; use sqlite:///router.db")
        # The lock file and the log lie beside the real file, whatever links and the working directory say.
        path = os.path.realpath(name)
        if to_read and is_read_only(path):
            return make_read_only_engine(path, **_JSON)
        return sqlite_engine.make_sqlite_engine(parsed.set(database=path), timeouts, **_JSON)
    if backend == "postgresql":
        try:
            return postgresql_engine.make_postgresql_engine(parsed, timeouts, **_JSON)
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


def show_url(engine: Engine) -> str:
    """The URL of an engine without its passwords."""
    return hide_passwords(engine.url.render_as_string(hide_password=False))


def require_database(engine: Engine) -> None:
    """Raise StoreError when a SQLite file is missing: connecting would create it."""
    path = engine.url.database
    if path and is_sqlite(engine) and not os.path.isfile(path):
        raise StoreError(
            f"there is no database {path}; check the path, `bandit-router serve` creates a new one"
        )


def warn_of_old_sqlite(url: str) -> None:
    """Warn of a SQLite whose files other programs can corrupt, when the URL is of such a file."""
    if make_url(url).get_backend_name() == "sqlite":
        sqlite_engine.warn_of_old_sqlite()


def is_sqlite(engine: Engine) -> bool:
    """Whether the engine is of a SQLite file, and not of PostgreSQL."""
    return engine.dialect.name == "sqlite"


@contextmanager
def read_transaction(engine: Engine, *, whole_log: bool = False) -> Iterator[Connection]:
    """A transaction that reads one consistent state of the database; of any length for a ``whole_log``."""
    with engine.connect() as connection:
        if not is_sqlite(engine):
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            if is_sqlite(engine):
                sqlite_engine.begin(connection)
            if whole_log:
                lift_statement_timeout(connection)
            yield connection


def lift_statement_timeout(connection: Connection) -> None:
    """Let the statements of this transaction take any time."""
    if not is_sqlite(connection.engine):
        postgresql_engine.lift_statement_timeout(connection)


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits at the end of the block, or rolls back on an exception.

    On SQLite it takes the write lock at once (BEGIN IMMEDIATE) and, before it, a file lock, so that
    processes take turns. Raises DatabaseReplaced when what was committed is in a file that is gone.
    """
    with file_lock(engine), engine.connect() as connection:
        with connection.begin():
            if is_sqlite(engine):
                sqlite_engine.begin(connection, to_write=True)
            yield connection
        if is_sqlite(engine):
            sqlite_engine.require_same_files(connection)


def file_lock(engine: Engine) -> AbstractContextManager[None]:
    """The lock that orders the writers of one SQLite file; does nothing where there is none to order."""
    if not is_sqlite(engine) or engine.url.database is None:
        return nullcontext()
    return sqlite_engine.hold_file_lock(engine)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn every database error into a StoreError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise to_store_error(error) from error


def to_store_error(error: BaseException) -> StoreError:
    """The StoreError of a database error: DatabaseBusy for a lock that was not to be had in time."""
    if isinstance(error, StoreError):
        return error
    if is_lock_timeout(error):
        return DatabaseBusy()
    return StoreError(f"the database failed: {describe_driver_error(error)}")


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a database error says that a lock was not to be had in time."""
    cause = driver_error(error)
    return sqlite_engine.is_lock_timeout(cause) or postgresql_engine.is_lock_timeout(cause)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, without the statement and its parameters."""
    return getattr(error, "orig", None) or error


def describe_driver_error(error: BaseException) -> str:
    """The driver's text, and what to do about it where that is known."""
    text = str(driver_error(error)).strip()
    return f"{text}; {COPY}" if "readonly" in text or "read-only" in text else text


def enable_wal(engine: Engine) -> None:
    """Switch a SQLite file to write-ahead logging for good; the caller holds the file lock."""
    if is_sqlite(engine):
        sqlite_engine.enable_wal(engine)


def checkpoint_wal(engine: Engine) -> None:
    """Keep a SQLite write-ahead log short; does nothing on other databases."""
    if is_sqlite(engine):
        sqlite_engine.checkpoint_wal(engine)


def compact_file(engine: Engine) -> None:
    """Rewrite a SQLite file without a trace of what was deleted; does nothing on other databases."""
    if is_sqlite(engine):
        sqlite_engine.compact_file(engine)


def dispose_engine(engine: Engine) -> None:
    """Close every connection; the last one to close a SQLite file checkpoints it.

    Without the file lock they stay open, until the process ends: a checkpoint needs it.
    """
    try:
        with file_lock(engine):
            engine.dispose()
    except StoreError as error:
        log.warning("the connections to the database are left open: %s", error)
