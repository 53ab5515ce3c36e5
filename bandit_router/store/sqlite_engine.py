"""SQLite engines: durable, fair between processes, and only ever on the file that they were opened on."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from bandit_router.errors import DatabaseBusy, DatabaseReplaced, StoreError
from bandit_router.store.sqlite_read_only import COPY
from bandit_router.store.timeouts import Timeouts

log = logging.getLogger(__name__)

_WAL_RESET_FIXED = (3, 51, 3)
_CHECKPOINT_BYTES = 4 * 1024 * 1024
_LARGEST_LOG_BYTES = 64 * 1024 * 1024  # kept for reuse: growing the file anew makes commits slower
_LOCK_TIMEOUT = "bandit_router_lock_timeout_s"
_FILE, _LOG = "bandit_router_file", "bandit_router_log"

_POLL_S = 0.0002  # finer than a commit, so that every process gets its turn
_IDLE_POLL_S = 0.005  # once a second has passed, it is not a commit that is waited for

_FileId = tuple[int, int] | None
"""Device and inode of a file; None when there is no such file."""


def make_sqlite_engine(url: URL, timeouts: Timeouts, **options: Any) -> Engine:
    """An engine with durable pragmas on every connection; a transaction has to :func:`begin` itself.

    All its connections are to the file that the first one opened; later ones raise DatabaseReplaced else.
    """
    engine = create_engine(url, execution_options={_LOCK_TIMEOUT: timeouts.lock_s}, **options)
    path, opened = url.database or "", None

    @event.listens_for(engine, "do_connect")
    def require_file(*_: Any) -> None:
        if opened is not None and opened != _identify(path):
            raise DatabaseReplaced

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        nonlocal opened
        opened = opened or _identify(path)
        record.info[_FILE] = opened
        for pragma in (
            f"busy_timeout = {max(1, round(1000 * timeouts.lock_s))}",
            "synchronous = FULL",
            "foreign_keys = ON",
            "wal_autocheckpoint = 0",
            f"journal_size_limit = {_LARGEST_LOG_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def begin(connection: Connection, *, to_write: bool = False) -> None:
    """Begin a transaction, which takes SQLite's write lock at once if it is ``to_write``.

    SQLite's driver would begin it with the first write, so that reads before would not belong to it. A
    listener of SQLAlchemy's that does this makes every statement slower by a fifth.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE" if to_write else "BEGIN")


def warn_of_old_sqlite() -> None:
    """Warn when checkpoints by two programs at once can corrupt a file, which ours never do."""
    if sqlite3.sqlite_version_info < _WAL_RESET_FIXED:
        log.warning(
            "SQLite %s can corrupt a file when connections checkpoint at the same time (fixed in %s): "
            "checkpoints are serialised here, so let no other program write to the database",
            sqlite3.sqlite_version,
            ".".join(map(str, _WAL_RESET_FIXED)),
        )


# -- the lock -------------------------------------------------------------------------------------


@contextmanager
def hold_file_lock(engine: Engine) -> Iterator[None]:
    """Hold the lock that orders the writers of the file.

    SQLite's own lock is polled at growing intervals, so that some processes would starve.
    Raises StoreError when the lock file cannot be opened, DatabaseBusy when another program keeps the lock.
    """
    path = f"{engine.url.database}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        fix = f"; {COPY}" if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) else ""
        raise StoreError(f"the lock file {path} cannot be opened: {error.strerror}{fix}") from error
    try:
        _lock_within(descriptor, engine.get_execution_options()[_LOCK_TIMEOUT])
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough when a forked child holds a copy
        os.close(descriptor)


def _lock_within(descriptor: int, timeout_s: float) -> None:
    """Lock the file. Raises DatabaseBusy when that takes longer.

    ``flock`` cannot wait with a time-out. Polling is as fair as waiting for it, and faster where threads
    compete for Python's global lock.
    """
    begun = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited = time.monotonic() - begun
            if waited >= timeout_s:
                raise DatabaseBusy from None
            time.sleep(_POLL_S if waited < 1.0 else _IDLE_POLL_S)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a driver's error says that SQLite's own lock was not to be had."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorname.startswith("SQLITE_BUSY")


# -- the file -------------------------------------------------------------------------------------


def require_same_files(connection: Connection) -> None:
    """Raise DatabaseReplaced when the files that the connection writes to are not those at their paths.

    SQLite goes on writing to files that were deleted or replaced, where nobody finds it again. For after a
    commit, so that it is not acknowledged.
    """
    path = connection.engine.url.database or ""
    info = connection.info
    log_now = _identify(f"{path}-wal")
    # No other program removes the log while a connection that has used it is open.
    if info[_FILE] != _identify(path) or info.setdefault(_LOG, log_now) != log_now:
        raise DatabaseReplaced


def _identify(path: str) -> _FileId:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def enable_wal(engine: Engine) -> None:
    """Switch the file to write-ahead logging for good; the caller holds the file lock."""
    try:
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:  # raised below SQLAlchemy, which would have wrapped it
        fix = f"; {COPY}" if "readonly" in str(error) else ""
        raise StoreError(f"the database {engine.url.database} cannot be used: {error}{fix}") from error


def checkpoint_wal(engine: Engine) -> None:
    """Move a long write-ahead log into the file.

    Connections never checkpoint on their own. This does so under the file lock, so that no commit and no
    other checkpoint runs meanwhile: that overlap can corrupt the file before SQLite 3.51.3.
    """
    try:
        size = Path(f"{engine.url.database}-wal").stat().st_size
    except FileNotFoundError:  # the last process to close its connections removed it
        return
    if size < _CHECKPOINT_BYTES:
        return
    with hold_file_lock(engine), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def compact_file(engine: Engine) -> None:
    """Rewrite the file without what was deleted, which is left in free space else, and empty its log.

    Raises DatabaseBusy when a reader of what was there before stays for longer than the lock is waited for.
    """
    try:
        with hold_file_lock(engine), closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("VACUUM")
            (is_busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:  # raised below SQLAlchemy, which would have wrapped it
        if is_lock_timeout(error):
            raise DatabaseBusy from error
        raise StoreError(f"the database {engine.url.database} cannot be compacted: {error}") from error
    if is_busy:
        raise DatabaseBusy
