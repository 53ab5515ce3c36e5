"""A migrated SQLite file, made once in a process: migrations take a tenth of a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bandit_router.store.engine import make_engine
from bandit_router.store.schema import migrate


def migrate_url(url: str) -> str:
    """Bring the database to the package's schema; the same URL."""
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    return url


@cache
def migrated_sqlite() -> bytes:
    """The content of a migrated SQLite file; all of it is in the one file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "migrated.db")
        migrate_url(f"sqlite:///{path}")
        assert not path.with_name(f"{path.name}-wal").exists()
        return path.read_bytes()
