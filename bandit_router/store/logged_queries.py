"""The texts of queries in the log: none unless ``router.log_queries`` is on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import select

from bandit_router.store.log_reader import LogReader
from bandit_router.store.tables import decisions
from bandit_router.types import Reason

_PIECE = 1_000


class LoggedQuery(NamedTuple):
    """The text of a query, and its task; empty where none is known."""

    text: str
    task: str


def iterate_logged_queries(log: LogReader, reasons: Collection[Reason]) -> Iterator[LoggedQuery]:
    """The queries of decisions with these reasons, oldest first; the same text as often as it came."""
    wanted = decisions.c.router == log.router, decisions.c.reason.in_([reason.value for reason in reasons])
    rows = (
        select(decisions.c.query, decisions.c.task)
        .where(*wanted, decisions.c.query.is_not(None))
        .order_by(decisions.c.id)
    )
    for query, task in log.connection.execution_options(yield_per=_PIECE).execute(rows):
        yield LoggedQuery(query, task or "")
