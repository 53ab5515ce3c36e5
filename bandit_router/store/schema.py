"""The schema version of a database: check it, and migrate to the one this package needs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, func, inspect, select, text

from bandit_router.errors import SchemaVersionError
from bandit_router.store.engine import (
    enable_wal,
    file_lock,
    is_sqlite,
    lift_statement_timeout,
    show_url,
    translate_errors,
    write_transaction,
)
from bandit_router.store.tables import SCHEMA_VERSION

_MIGRATING = 0x62616E646974  # "bandit": the advisory lock that serialises migrations


def ensure_schema(engine: Engine, *, create: bool = True) -> None:
    """Check that the database is at SCHEMA_VERSION; with ``create``, migrate an empty SQLite file to it.

    Any other database is left as it is: migrating is a command. Raises SchemaVersionError.
    """
    with engine.connect() as connection:
        version, empty = _read_version(connection), not inspect(connection).get_table_names()
    if version == SCHEMA_VERSION:
        return
    if create and is_sqlite(engine) and empty:
        migrate(engine)
        return
    present = "no tables yet" if empty else f"schema version {version}"
    raise SchemaVersionError(
        f"the database {show_url(engine)} has {present}, this package needs {SCHEMA_VERSION}; "
        "run `bandit-router migrate`"
    )


def migrate(engine: Engine) -> None:
    """Apply every migration the database lacks, in one transaction.

    Raises StoreError, or SchemaVersionError when the database is newer than this package.
    """
    from alembic import command  # late: it takes a tenth of a second that no other command needs
    from alembic.config import Config
    from alembic.util import CommandError

    with translate_errors(), file_lock(engine):
        enable_wal(engine)
    with translate_errors(), write_transaction(engine) as connection:
        lift_statement_timeout(connection)
        if not is_sqlite(engine):  # SQLite has only one writer
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        config = Config()
        config.set_main_option("script_location", str(_migrations_folder()).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SchemaVersionError(
                f"the database has schema version {_read_version(connection)}, which this package does not "
                f"know: {error}; upgrade bandit-router"
            ) from error


def _read_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _migrations_folder() -> Path:
    """The migrations folder: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"
