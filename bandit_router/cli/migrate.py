"""`migrate`: bring the database to the current schema."""

from __future__ import annotations

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.cli.output import print_line
from bandit_router.settings import load_settings


def migrate(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the database to the schema that this version needs."""
    from bandit_router.store import schema
    from bandit_router.store.engine import dispose_engine, make_engine
    from bandit_router.store.tables import SCHEMA_VERSION
    from bandit_router.store.timeouts import Timeouts

    section = load_settings(config).store
    engine = make_engine(section.url, Timeouts.of(section))
    try:
        schema.migrate(engine)
    finally:
        dispose_engine(engine)
    print_line(f"the database is at schema {SCHEMA_VERSION}")
