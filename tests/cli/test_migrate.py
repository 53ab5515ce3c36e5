"""`migrate`, and databases that are not at the schema of this package."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bandit_router.router import Router
from bandit_router.store.tables import SCHEMA_VERSION
from tests.cli.conftest import Run
from tests.databases import MakeUrl
from tests.services import write_settings


def execute(database: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, parameters)


def test_migrate_brings_a_database_to_the_schema_and_then_does_nothing(call: Run, config: Path) -> None:
    assert call("migrate").code == 0
    decision = json.loads(call("route", "a", "--json").out)["decision_id"]
    again = call("migrate")
    assert again.code == 0
    assert SCHEMA_VERSION in again.out
    with Router.open(config) as router:
        assert router.decision(decision).id == decision


def test_postgresql_is_migrated_by_command_only(
    run: Run, tmp_path: Path, make_postgresql_url: MakeUrl
) -> None:
    write_settings(tmp_path, store={"url": make_postgresql_url()})
    assert "has no tables yet" in run("route", "a").error
    assert run("migrate").code == 0
    assert run("route", "a").code == 0
    assert run("verify").out.endswith("verify: ok\n")


@pytest.mark.parametrize("command", [["route", "a"], ["serve"], ["verify"], ["migrate"]])
def test_a_database_of_another_version_is_left_alone(call: Run, config: Path, command: list[str]) -> None:
    call("migrate")
    execute(config.with_name("router.db"), "UPDATE alembic_version SET version_num = '9999_from_the_future'")
    assert "9999_from_the_future" in call(*command).error


def test_routing_on_a_database_of_another_version_says_to_migrate(call: Run, config: Path) -> None:
    call("migrate")
    execute(config.with_name("router.db"), "DELETE FROM alembic_version")
    assert "bandit-router migrate" in call("route", "a").error
