"""PostgreSQL engines: every wait of a session ends, whatever others lock and however the server vanishes."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from bandit_router.store.timeouts import Timeouts

_LOCK_NOT_AVAILABLE = "55P03"
_SET = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS settings(name, value)"


def make_postgresql_engine(url: URL, timeouts: Timeouts, **options: Any) -> Engine:
    """An engine whose sessions have these time-outs. Raises ModuleNotFoundError without a driver.

    Connection parameters in the URL win over ours.
    """
    connection = {name: value for name, value in _parameters(timeouts).items() if name not in url.query}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_timeout=timeouts.connect_s,
        connect_args=connection,
        **options,
    )
    settings = {
        "lock_timeout": _milliseconds(timeouts.lock_s),
        "statement_timeout": _milliseconds(timeouts.statement_s),
        # A worker that is stopped in a transaction must not keep its locks from the others for ever.
        "idle_in_transaction_session_timeout": _milliseconds(timeouts.statement_s),
    }

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Not as startup options: poolers such as pgbouncer refuse those.
        connection.execute(_SET, (list(settings), list(settings.values())))
        connection.commit()

    return engine


def lift_statement_timeout(connection: Connection) -> None:
    """Let the statements and pauses of this transaction, which reads a whole log, take any time."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a driver's error says that a lock was not to be had in time."""
    return getattr(error, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def _parameters(timeouts: Timeouts) -> dict[str, int]:
    """Parameters of libpq, which notice a host that vanished without a word."""
    return {
        "connect_timeout": max(2, math.ceil(timeouts.connect_s)),  # libpq takes 1 for 2
        "keepalives_idle": max(1, math.ceil(timeouts.statement_s)),
        "keepalives_interval": max(1, math.ceil(timeouts.connect_s)),
        "keepalives_count": 2,
        "tcp_user_timeout": int(_milliseconds(timeouts.statement_s)),
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(1000 * seconds)))
