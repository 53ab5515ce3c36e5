"""GET /healthz and GET /readyz: the process, and the process with its database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url, text

from tests.databases import MakeUrl, sql
from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings


def test_a_service_with_its_database_is_alive_and_ready(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_without_its_tables_it_is_alive_but_not_ready_and_recovers(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service, Client(service.url) as client:
        decision = client.decided()
        with closing(sqlite3.connect(service.database, isolation_level=None)) as database:
            for table in ("routers", "decisions"):
                database.execute(f"ALTER TABLE {table} RENAME TO lost_{table}")
            assert client.get("/healthz").status_code == 200
            for answer in (client.get("/readyz"), client.get(f"/v1/decisions/{decision}"), client.route()):
                assert_problem(answer, 503)
                assert int(answer.headers["retry-after"]) >= 1
            for table in ("routers", "decisions"):
                database.execute(f"ALTER TABLE lost_{table} RENAME TO {table}")
        assert client.get("/readyz").status_code == 200
        assert client.get(f"/v1/decisions/{decision}").status_code == 200
        assert client.route().status_code == 200


def test_while_nothing_can_be_written_it_is_alive_but_not_ready_and_recovers(tmp_path: Path) -> None:
    config = write_settings(tmp_path, store={"lock_timeout_s": 0.1}, learner={"interval_s": 3600.0})
    with serving(config) as service, Client(service.url) as client:
        with closing(sqlite3.connect(service.database, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            assert client.get("/healthz").status_code == 200
            for answer in (client.get("/readyz"), client.route()):
                problem = assert_problem(answer, 503)
                assert "locked" in problem["detail"]
                assert int(answer.headers["retry-after"]) >= 1
            database.execute("ROLLBACK")
        assert client.get("/readyz").status_code == 200
        assert client.route().status_code == 200


def test_with_another_file_in_the_place_of_its_database_it_is_not_ready(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service, Client(service.url) as client:
        client.decided()
        service.database.unlink()
        for answer in (client.get("/readyz"), client.route()):
            assert "deleted or replaced" in assert_problem(answer, 503)["detail"]


def test_an_error_of_the_database_names_no_path_and_no_table(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, learner={"interval_s": 3600.0})  # it would make the lock file anew
    with serving(settings) as service, Client(service.url) as client:
        decision = client.decided()
        lock = Path(f"{service.database}.lock")
        lock.unlink()
        lock.mkdir()  # the lock file cannot be opened
        with closing(sqlite3.connect(service.database, isolation_level=None)) as database:
            database.execute("ALTER TABLE decisions RENAME TO lost_decisions")
        for answer in (client.get("/readyz"), client.route(), client.get(f"/v1/decisions/{decision}")):
            assert_problem(answer, 503)
            assert str(tmp_path) not in answer.text
            assert "decisions" not in answer.text
        assert str(lock) in service.log
        assert "no such table: decisions" in service.log


def test_without_its_router_in_the_database_it_is_not_ready(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service, Client(service.url) as client:
        with closing(sqlite3.connect(service.database, isolation_level=None)) as database:
            database.execute("UPDATE routers SET name = 'another'")
        assert_problem(client.get("/readyz"), 503)


def test_without_postgresql_it_is_alive_but_not_ready_and_recovers(
    tmp_path: Path, make_postgresql_url: MakeUrl
) -> None:
    url = make_postgresql_url(migrated=True)
    name = make_url(url).database
    admin = make_url(url).set(database="postgres").render_as_string(hide_password=False)
    with (
        serving(write_settings(tmp_path, store={"url": url})) as service,
        Client(service.url) as client,
    ):
        decision = client.decided()
        with sql(admin) as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        with sql(admin) as connection:
            end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(end), {"name": name})
        assert client.get("/healthz").status_code == 200
        assert_problem(client.get("/readyz"), 503)
        assert_problem(client.route(), 503)
        assert_problem(client.feedback(decision, quality=1.0), 503)
        with sql(admin) as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        assert client.get("/readyz").status_code == 200
        assert client.feedback(decision, quality=1.0).json()["outcomes"] == {"quality": "recorded"}
