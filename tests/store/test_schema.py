"""The schema: models and migrations agree, on both databases, and a wrong one is refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, inspect, select, text

from bandit_router.errors import ConfigError, SchemaVersionError, StoreError
from bandit_router.store.engine import make_engine
from bandit_router.store.schema import migrate
from bandit_router.store.store import Store
from bandit_router.store.tables import SCHEMA_VERSION, metadata, routers
from bandit_router.types import Budget, Floor, Goal
from tests.databases import MakeUrl, sql
from tests.migrated import migrate_url
from tests.processes import PROCESSES
from tests.store.examples import OpenStore, commit, decision, logged, set_up

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_PATIENCE_S = 60


# -- models = migrations --------------------------------------------------------------------------


def test_migrations_make_what_the_models_say(url: str) -> None:
    with sql(url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_a_table_the_migrations_lack_is_noticed(url: str) -> None:
    with sql(url) as connection:
        connection.execute(text("DROP TABLE pending"))
    with sql(url) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert [(what, table.name) for what, table in differences] == [("add_table", "pending")]


def test_models_make_what_the_migrations_make(make_url: MakeUrl) -> None:
    by_migrations, by_models = migrate_url(make_url()), make_url()
    with sql(by_models) as connection:
        metadata.create_all(connection)
    assert _reflected(by_migrations) == _reflected(by_models)


def test_the_newest_migration_is_the_schema_version() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [SCHEMA_VERSION]


def test_every_table_and_every_column_has_a_comment() -> None:
    for table in metadata.tables.values():
        assert table.comment, table.name
        assert [column.name for column in table.columns if not column.comment] == [], table.name


def test_every_table_is_keyed_by_router_first() -> None:
    for table in metadata.tables.values():
        assert next(iter(table.primary_key.columns)).name == ("name" if table is routers else "router")


def test_the_comments_are_in_the_postgresql_catalogue(postgresql_url: str) -> None:
    with sql(postgresql_url) as connection:
        columns = connection.execute(
            text(
                "SELECT c.relname, a.attname, col_description(c.oid, a.attnum), obj_description(c.oid) "
                "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
                "AND NOT a.attisdropped "
                "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace "
                "AND c.relname <> 'alembic_version'"
            )
        ).all()
    found = {(table, column): (comment, of_table) for table, column, comment, of_table in columns}
    assert found == {
        (table.name, column.name): (column.comment, table.comment)
        for table in metadata.tables.values()
        for column in table.columns
    }


@pytest.mark.parametrize(("goal", "stays"), [(Budget(usd=0.5, per="day"), True), (Floor(reward=0.9), False)])
def test_a_budget_is_kept_where_floors_are_unknown_and_a_floor_is_not(
    url: str, goal: Goal, stays: bool
) -> None:
    store = set_up(Store.open(url, "r", goal))
    known = decision(decided_at=time.time(), expected_cost_usd=0.25)
    commit(store, known)
    before = store.pacing.state
    store.close()
    _downgrade(url, "0009_cascade")
    with sql(url) as connection:
        there = connection.execute(text("SELECT budget_usd, budget_per FROM spending")).all()
    assert there == ([(0.5, "day")] if stays else [])
    again = set_up(Store.open(migrate_url(url), "r", goal))
    assert (again.pacing.state == before) == stays
    again.close()


def test_a_downgrade_leaves_nothing_and_an_upgrade_brings_it_back(url: str) -> None:
    before = _reflected(url)
    _downgrade(url, "base")
    assert _reflected(url) == {}
    assert _reflected(migrate_url(url)) == before


def test_migrating_again_changes_nothing(url: str, open_store: OpenStore) -> None:
    known, before = logged(open_store()), _reflected(url)
    migrate_url(url)
    assert _reflected(url) == before
    assert open_store().decision(known.id).id == known.id


# -- opening --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0000_long_ago", "9999_not_yet"])
def test_another_schema_version_is_refused_and_names_the_command(url: str, version: str) -> None:
    _stamp(url, version)
    with pytest.raises(SchemaVersionError, match=f"{version}.*`bandit-router migrate`"):
        Store.open(url, "r")


def test_migrating_a_database_of_a_newer_package_says_so(url: str) -> None:
    _stamp(url, "9999_not_yet")
    engine = make_engine(url)
    with pytest.raises(SchemaVersionError, match=r"9999_not_yet.*upgrade bandit-router"):
        migrate(engine)
    engine.dispose()
    assert _version(url) == "9999_not_yet"


def test_a_postgresql_without_tables_is_refused_and_names_the_command(make_postgresql_url: MakeUrl) -> None:
    url = make_postgresql_url()
    with pytest.raises(SchemaVersionError, match=r"no tables yet.*`bandit-router migrate`"):
        Store.open(url, "r")
    assert _reflected(url) == {}


def test_no_password_stands_in_the_error(make_postgresql_url: MakeUrl) -> None:
    with pytest.raises(SchemaVersionError) as refused:
        Store.open(f"{make_postgresql_url()}&password=geheim", "r")
    assert "geheim" not in str(refused.value)
    with pytest.raises(ConfigError) as refused_url:
        Store.open("sqlite://user:geheim@host/router.db", "r")
    assert "geheim" not in str(refused_url.value)


def test_an_empty_sqlite_file_makes_itself(make_sqlite_url: MakeUrl) -> None:
    url = make_sqlite_url()
    store = set_up(Store.open(url, "r"))
    known = logged(store)
    assert store.decision(known.id).id == known.id
    store.close()
    assert _version(url) == SCHEMA_VERSION


def test_a_sqlite_file_of_another_program_is_left_alone(make_sqlite_url: MakeUrl) -> None:
    url = make_sqlite_url()
    with sql(url) as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    with pytest.raises(SchemaVersionError, match="`bandit-router migrate`"):
        Store.open(url, "r")
    assert set(_reflected(url)) == {"theirs"}


def test_a_database_that_cannot_be_reached_is_a_store_error(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder.db", f"postgresql://u@/d?host={tmp_path}"):
        with pytest.raises(StoreError):
            Store.open(url, "r")
        engine = make_engine(url)
        with pytest.raises(StoreError):
            migrate(engine)


def test_processes_that_open_the_same_new_sqlite_file_all_succeed(make_sqlite_url: MakeUrl) -> None:
    url = make_sqlite_url()
    _at_once(_open_and_log, url)
    with sql(url) as connection:
        assert connection.execute(text("SELECT count(*) FROM decisions")).scalar_one() == 3
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(select(routers.c.name)).scalar_one() == "r"


def test_processes_that_migrate_the_same_postgresql_all_succeed(make_postgresql_url: MakeUrl) -> None:
    url = make_postgresql_url()
    _at_once(migrate_url, url)
    assert _version(url) == SCHEMA_VERSION


def _downgrade(url: str, revision: str) -> None:
    with sql(url) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def _at_once(target: Any, url: str, processes: int = 3) -> None:
    """Run ``target(url)`` in processes that start at the same moment; all must exit with 0."""
    start = PROCESSES.Barrier(processes)
    workers = [PROCESSES.Process(target=_run, args=(target, url, start)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(_PATIENCE_S)
        worker.kill()  # only one that hangs is still there
    assert [worker.exitcode for worker in workers] == [0] * processes


def _run(target: Any, url: str, start: Any) -> None:
    start.wait(_PATIENCE_S)
    target(url)


def _open_and_log(url: str) -> None:
    store = set_up(Store.open(url, "r"))
    logged(store)
    store.close()


def _stamp(url: str, version: str) -> None:
    with sql(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})


def _version(url: str) -> str:
    with sql(url) as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _reflected(url: str) -> dict[str, Any]:
    """Everything the database knows of our tables."""
    with sql(url) as connection:
        inspector = inspect(connection)
        tables = set(inspector.get_table_names()) - {"alembic_version"}
        return {table: _reflected_table(inspector, table) for table in sorted(tables)}


def _reflected_table(inspector: Inspector, table: str) -> dict[str, Any]:
    columns = [dict(column) | {"type": str(column["type"])} for column in inspector.get_columns(table)]
    on_postgresql = inspector.dialect.name == "postgresql"
    return {
        "columns": columns,
        "comment": inspector.get_table_comment(table) if on_postgresql else None,
        "primary key": inspector.get_pk_constraint(table),
        "foreign keys": inspector.get_foreign_keys(table),
        "unique": inspector.get_unique_constraints(table),
        "checks": inspector.get_check_constraints(table),
        "indexes": [_plain(dict(index)) for index in inspector.get_indexes(table)],
    }


def _plain(index: dict[str, Any]) -> dict[str, Any]:
    """The same with the SQL of its conditions as text, which can be compared."""
    options = index.get("dialect_options", {})
    return index | {"dialect_options": {name: str(value) for name, value in options.items()}}
