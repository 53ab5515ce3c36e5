"""Sessions of the dashboard in the database, so that every worker knows them: insert, read, delete."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from bandit_router.security.keys import Credential
from bandit_router.security.sessions import Session
from bandit_router.store.tables import sessions


def insert_session(connection: Connection, router: str, token_hash: str, session: Session) -> None:
    """Keep a new session."""
    row = {"router": router, "token_hash": token_hash, "expires_at": session.expires_at}
    connection.execute(insert(sessions), row | session.credential._asdict())


def read_session(connection: Connection, router: str, token_hash: str) -> Session | None:
    """The session of a token, expired or not; None if there is none."""
    mine = sessions.c.router == router, sessions.c.token_hash == token_hash
    row = connection.execute(select(sessions).where(*mine)).one_or_none()
    return None if row is None else Session(Credential(row.key_id, row.secret_hash), row.expires_at)


def delete_session(connection: Connection, router: str, token_hash: str) -> None:
    """Forget a session, if there is one."""
    connection.execute(
        delete(sessions).where(sessions.c.router == router, sessions.c.token_hash == token_hash)
    )


def delete_expired_sessions(connection: Connection, router: str, now: float) -> None:
    """Forget the sessions that ended before this Unix time."""
    connection.execute(delete(sessions).where(sessions.c.router == router, sessions.c.expires_at <= now))
