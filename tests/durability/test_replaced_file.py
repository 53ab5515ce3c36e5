"""A SQLite file that is deleted or replaced while open: nothing is acknowledged that nobody would find."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url as parsed

from bandit_router.errors import DatabaseReplaced
from bandit_router.router import Router
from tests.durability.helpers import write_config

CONTEXT = [1.0, 0.0, 0.0, 0.0]


def _delete(file: Path) -> None:
    file.unlink()


def _move_away(file: Path) -> None:
    file.rename(file.with_suffix(".old"))


def _replace_by_copy(file: Path) -> None:
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    copy.replace(file)


def _delete_log(file: Path) -> None:
    Path(f"{file}-wal").unlink()


def _replace_log(file: Path) -> None:
    log = Path(f"{file}-wal")
    copy = file.with_suffix(".copy")
    shutil.copy(log, copy)
    copy.replace(log)


@pytest.mark.parametrize("harm", [_delete, _move_away, _replace_by_copy, _delete_log, _replace_log])
def test_nothing_is_acknowledged_and_the_router_is_not_ready(
    sqlite_url: str, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    with Router.open(write_config(tmp_path, sqlite_url, interval_s=3600)) as router:
        decision = router.route(features=CONTEXT)
        router.ping()
        harm(Path(str(parsed(sqlite_url).database)))
        for call in (
            lambda: router.route(features=CONTEXT),
            lambda: router.feedback(decision.id, quality=1.0),
            router.rebuild,
            router.ping,
        ):
            with pytest.raises(DatabaseReplaced, match="deleted or replaced"):
                call()


def test_no_connection_makes_a_file_in_the_place_of_a_deleted_one(sqlite_url: str, tmp_path: Path) -> None:
    file = Path(str(parsed(sqlite_url).database))
    with Router.open(write_config(tmp_path, sqlite_url, interval_s=3600)) as router:
        with router._store._reading():  # keeps the pool's one connection, so that the next call opens another
            file.unlink()
            with pytest.raises(DatabaseReplaced):
                router.ping()
        assert not file.exists()


def test_a_file_that_is_put_back_is_written_to_again(sqlite_url: str, tmp_path: Path) -> None:
    file = Path(str(parsed(sqlite_url).database))
    with Router.open(write_config(tmp_path, sqlite_url, interval_s=3600)) as router:
        os.rename(file, tmp_path / "elsewhere")
        with pytest.raises(DatabaseReplaced):
            router.route(features=CONTEXT)
        os.rename(tmp_path / "elsewhere", file)
        decision = router.route(features=CONTEXT)
    with Router.open(tmp_path / "router.toml") as router:
        assert router.decision(decision.id).id == decision.id
