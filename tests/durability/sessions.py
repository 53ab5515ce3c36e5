"""Sessions of PostgreSQL, ended or refused as its administrator does."""

from __future__ import annotations

from sqlalchemy.engine import make_url as parse_url

from tests.databases import administer


def cut_sessions(url: str) -> None:
    """End every session of the database."""
    _administer(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{parse_url(url).database}' AND pid <> pg_backend_pid()",
    )


def allow_connections(url: str, allowed: bool) -> None:
    """Whether the server takes new sessions of the database."""
    _administer(url, f"ALTER DATABASE {parse_url(url).database} ALLOW_CONNECTIONS {allowed}")


def _administer(url: str, statement: str) -> None:
    administer(parse_url(url).set(database="postgres").render_as_string(hide_password=False), statement)
