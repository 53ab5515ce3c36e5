"""What only SQLite needs: one file found by everybody, a lock in front of it, and its log kept short."""

from __future__ import annotations

import fcntl
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url as parsed

from bandit_router.errors import ConfigError
from bandit_router.posterior.state import decode_state
from bandit_router.store.engine import file_lock, make_engine
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions
from bandit_router.store.write_requests import WriteRequest
from tests.databases import sql
from tests.store.examples import OpenStore, decision, learner_of, logged, rows, said, set_up, version_of


@pytest.fixture
def url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def file(url: str) -> Path:
    return Path(str(parsed(url).database))


# -- the log before the file ----------------------------------------------------------------------


def test_a_checkpoint_moves_a_long_log_into_the_file(store: Store, file: Path, tmp_path: Path) -> None:
    written = [decision(x=np.arange(4_096.0) + i) for i in range(160)]
    store.write([WriteRequest(payload=one) for one in written])
    assert _wal(file).stat().st_size > 4 * 1024 * 1024
    assert _decisions_without_the_log(file, tmp_path) == 0
    store.checkpoint()
    assert _decisions_without_the_log(file, tmp_path) == 160
    assert all((store.decision(one.id).x == one.x).all() for one in written)


def test_a_checkpoint_does_not_wait_for_readers(open_store: OpenStore, file: Path, tmp_path: Path) -> None:
    store, reader = open_store(), open_store()
    with reader.read_log() as audit:
        assert not any(audit.counted(1).values())
        store.write([WriteRequest(payload=decision(x=np.arange(4_096.0))) for _ in range(160)])
        store.checkpoint()
        assert sum(1 for _ in audit.decisions()) == 0
    store.checkpoint()
    assert _decisions_without_the_log(file, tmp_path) == 160


def test_a_short_log_is_left_alone(store: Store, file: Path, tmp_path: Path) -> None:
    logged(store)
    store.checkpoint()
    assert _decisions_without_the_log(file, tmp_path) == 0


def test_no_connection_checkpoints_on_its_own(open_store: OpenStore, file: Path, tmp_path: Path) -> None:
    one, other = open_store(), open_store()
    for store in (one, other):
        store.write([WriteRequest(payload=decision(x=np.arange(4_096.0))) for _ in range(160)])
    one.close()
    assert _decisions_without_the_log(file, tmp_path) == 0


def test_the_last_to_close_leaves_one_whole_file(open_store: OpenStore, url: str, file: Path) -> None:
    store = open_store()
    known = logged(store)
    said(store, known, quality=0.5)
    store.close()
    assert not _wal(file).exists()
    with sql(url) as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    assert open_store().observation(known.id).metrics == {"quality": 0.5}


def test_every_connection_is_durable_and_checks_foreign_keys(store: Store) -> None:
    with store.read_log() as audit:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
        found = [audit.connection.execute(text(f"PRAGMA {pragma}")).scalar_one() for pragma in pragmas]
    assert found == ["wal", 2, 1, 0]  # 2 is FULL


def _wal(file: Path) -> Path:
    return Path(f"{file}-wal")


def _decisions_without_the_log(file: Path, folder: Path) -> int:
    """What the file alone holds."""
    copy = folder / "copy.db"
    shutil.copy(file, copy)
    with sql(f"sqlite:///{copy}") as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        return connection.execute(select(func.count()).select_from(decisions)).scalar_one()


# -- the lock -------------------------------------------------------------------------------------


def test_a_second_learner_waits_for_the_first(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()

    def version_in_turn() -> int:
        with other.learner_transaction() as transaction:
            return transaction.version

    with ThreadPoolExecutor(1) as thread:
        with one.learner_transaction() as transaction:
            waiting = thread.submit(version_in_turn)
            learner_of(one).publish(transaction, decode_state(transaction.snapshot()))
        assert waiting.result() == transaction.version + 1 == version_of(one)


def test_writers_hold_the_file_lock_and_readers_do_not(store: Store, file: Path) -> None:
    with store.learner_transaction(), pytest.raises(BlockingIOError):
        _try_lock(file)
    with store.read_log():
        _try_lock(file)


def test_a_child_forked_in_the_lock_does_not_keep_it(url: str, file: Path) -> None:
    engine = make_engine(url)
    waits, tells = os.pipe()
    with file_lock(engine):
        child = os.fork()
        if child == 0:
            os.close(tells)
            os.read(waits, 1)  # until the parent is done
            os._exit(0)
    try:
        _try_lock(file)
    finally:
        os.close(tells)
        os.close(waits)
        os.waitpid(child, 0)


def _try_lock(file: Path) -> None:
    with Path(f"{file}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# -- the file -------------------------------------------------------------------------------------


def test_a_relative_path_stays_the_same_file_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    store = set_up(Store.open("sqlite:///router.db", "r"))
    monkeypatch.chdir(elsewhere)
    store.write([WriteRequest(payload=decision(x=np.arange(4_096.0))) for _ in range(160)])
    store.checkpoint()
    assert _decisions_without_the_log(tmp_path / "router.db", tmp_path) == 160
    store.close()
    assert list(elsewhere.iterdir()) == []


def test_a_link_and_the_file_share_one_lock(store: Store, file: Path) -> None:
    link = file.with_name("link.db")
    link.symlink_to(file)
    through_link = Store.open(f"sqlite:///{link}", "r")
    with through_link.learner_transaction(), pytest.raises(BlockingIOError):
        _try_lock(file)
    logged(through_link)
    assert rows(store, decisions) == 1
    through_link.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite://host/router.db",
        "postgresql://user@host:port/database",
        "mysql://host/database",
        "router.db",
        "",
    ],
)
def test_a_url_that_cannot_hold_the_log_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.url"):
        make_engine(url)
