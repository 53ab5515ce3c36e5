"""Which schema a database has, and how it gets the one this package needs."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, func, inspect, select

from bandit_router.errors import SchemaVersionError
from bandit_router.store.engine import file_lock, is_sqlite, translated, use_wal, writing
from bandit_router.store.tables import SCHEMA_VERSION

_MIGRATING = 0x62616E646974  # "bandit": the advisory lock that makes migrations wait for each other


def ensure_schema(engine: Engine, *, create: bool = True) -> None:
    """Pass when the database is at SCHEMA_VERSION; an empty SQLite file is brought there, if ``create``.

    Any other database is left alone: migrations are a command. Raises SchemaVersionError.
    """
    with engine.connect() as connection:
        version, empty = _version(connection), not inspect(connection).get_table_names()
    if version == SCHEMA_VERSION:
        return
    if create and is_sqlite(engine) and empty:
        migrate(engine)
        return
    found = "no tables yet" if empty else f"schema version {version}"
    raise SchemaVersionError(
        f"the database {engine.url.render_as_string()} has {found}, this package needs {SCHEMA_VERSION}; "
        "run `bandit-router migrate`"
    )


def migrate(engine: Engine) -> None:
    """Apply every migration the database lacks, in one transaction.

    Raises StoreError, or SchemaVersionError when the database is newer than this package.
    """
    with translated(), file_lock(engine):
        use_wal(engine)
    with translated(), writing(engine) as connection:
        if not is_sqlite(engine):  # which has only one writer
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        config = Config()
        config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SchemaVersionError(
                f"the database has schema version {_version(connection)}, which this package does not know: "
                f"{error}; upgrade bandit-router"
            ) from error


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> Path:
    """The migrations folder: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"
