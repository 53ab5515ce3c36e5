"""`bandit-router export`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bandit_router.evaluation.logs.read import open_log
from tests.cli.conftest import Run


def decide(call: Run, times: int) -> list[str]:
    return [json.loads(call("route", f"query {i}", "--json").out)["decision_id"] for i in range(times)]


def spoil(tmp_path: Path, decision_id: str) -> None:
    with closing(sqlite3.connect(tmp_path / "router.db")) as connection, connection:
        connection.execute("UPDATE decisions SET reason = 'whim' WHERE id = ?", (decision_id,))


def test_export_prints_counts_by_reason(run: Run, call: Run, config: Path, tmp_path: Path) -> None:
    assert config.exists()
    ids = decide(call, 3)
    call("feedback", ids[0], "quality=0.5")
    ran = run("export", "log")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == ["exported 3 decisions to log", "  policy: 3"]
    with open_log(tmp_path / "log") as log, open_log(f"sqlite:///{tmp_path}/router.db") as same:
        assert log.rows == same.rows == 3
        assert log.pieces[0].read().outcomes[0].tolist()[:2] == [0.5, 0.5]


@pytest.mark.usefixtures("config")
def test_export_names_what_cannot_be_read(call: Run, tmp_path: Path) -> None:
    ids = decide(call, 3)
    spoil(tmp_path, ids[1])
    lines = call("export", "log").out.splitlines()
    assert lines[:3] == ["exported 2 decisions to log", "  policy: 2", "  left out, unreadable: 1"]
    assert lines[3] == f"    {ids[1]}: 'whim' is not a valid Reason"


@pytest.mark.usefixtures("config")
def test_export_prints_json_for_programs(call: Run, tmp_path: Path) -> None:
    ids = decide(call, 2)
    spoil(tmp_path, ids[1])
    assert json.loads(call("export", "log", "--json").out) == {
        "folder": "log",
        "rows": {"policy": 1},
        "unreadable": 1,
        "named": {ids[1]: "'whim' is not a valid Reason"},
    }


@pytest.mark.usefixtures("config")
def test_export_replaces_nothing(call: Run) -> None:
    decide(call, 1)
    assert call("export", "log").code == 0
    assert "name a new one, or remove it" in call("export", "log").error


@pytest.mark.usefixtures("config")
def test_export_of_a_router_that_never_ran_is_an_error(call: Run, tmp_path: Path) -> None:
    error = call("export", "log").error
    assert f"there is no database {tmp_path / 'router.db'}" in error
    assert [path.name for path in tmp_path.iterdir()] == ["router.toml"]
    assert call("migrate").code == 0
    assert "no router 'default'" in call("export", "log").error
    assert not (tmp_path / "log").exists()


@pytest.mark.usefixtures("config")
def test_commands_that_read_leave_an_empty_file_alone(call: Run, tmp_path: Path) -> None:
    (tmp_path / "router.db").touch()
    for command in (("export", "log"), ("verify",), ("evaluate", "--log", f"sqlite:///{tmp_path}/router.db")):
        assert "has no tables yet" in call(*command).error
    assert (tmp_path / "router.db").stat().st_size == 0
