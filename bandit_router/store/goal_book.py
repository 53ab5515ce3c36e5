"""The book of the goal, made from the log again."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from bandit_router.store.log_reader import LogReader
from bandit_router.store.tables import spending


def book_from_log(connection: Connection, router: str) -> None:
    """Take the sums of the book from the log, in which something that was booked counts otherwise now."""
    of_router = spending.c.router == router
    connection.execute(select(spending.c.since).where(of_router).with_for_update())
    totals = LogReader(connection, router).spending()
    if totals is not None:
        _, logged = totals
        sums = {"requests": logged.requests, "spent_usd": logged.spent_usd, "earned": logged.earned}
        changed = {"revision": spending.c.revision + 1}
        connection.execute(update(spending).where(of_router).values(sums | changed))
