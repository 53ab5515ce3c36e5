"""The clock of one worker: this host's, as long as it agrees with the database's.

The database's time is read with the router's head, once a round, and carried on by the monotonic clock,
which nobody sets. So a wrong clock is found without a round trip, even one that is set between two rounds.
SQLite has no time of its own: there the host's clock is all there is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import uuid_utils
from sqlalchemy import ColumnElement, Connection, Double, cast, extract, func, null, select

log = logging.getLogger(__name__)

TOLERANCE_S = 60.0

DATABASE_TIME: dict[str, ColumnElement[Any]] = {
    "sqlite": null(),
    "postgresql": cast(extract("epoch", func.clock_timestamp()), Double),
}
"""By dialect: the database's own Unix time, seconds; null where it has none."""


class Stamp(NamedTuple):
    """A time to log, Unix time, seconds. ``claimed_at`` is what this host's clock said, if that was wrong."""

    at: float
    claimed_at: float | None = None

    def make_id(self) -> str:
        """A new UUIDv7 of this time. Ids of a clock that is right sort in the order they are made."""
        wrong = self.claimed_at is not None
        return str(uuid_utils.uuid7(nanoseconds=int(self.at * 1e9)) if wrong else uuid_utils.uuid7())


class Clock:
    """Stamps by ``host_time``, or by the database's time where the two differ by more than ``tolerance_s``.

    ``host_time`` returns Unix time, seconds.
    """

    def __init__(self, tolerance_s: float = TOLERANCE_S, host_time: Callable[[], float] = time.time) -> None:
        self.tolerance_s = tolerance_s
        self._host_time = host_time
        self._offset: float | None = None  # of the database's time from the monotonic clock
        self._wrong = False

    def set_reference(self, database_time: float | None) -> None:
        """Take over the database's time, which was read just now; None where it has none."""
        self._offset = None if database_time is None else database_time - time.monotonic()

    def reference(self) -> float:
        """The database's time, or else the host's."""
        return self._host_time() if self._offset is None else self._offset + time.monotonic()

    def stamp(self) -> Stamp:
        """The time to log now."""
        claimed = self._host_time()
        reference = claimed if self._offset is None else self.reference()
        wrong = abs(claimed - reference) > self.tolerance_s
        if wrong != self._wrong:
            self._wrong = wrong
            if wrong:
                log.error(
                    "the clock of this host differs from the database's by %+.0f s: "
                    "stamps are the database's until it is set right",
                    claimed - reference,
                )
            else:
                log.warning("the clock of this host agrees with the database's again")
        return Stamp(reference, claimed) if wrong else Stamp(claimed)

    def now(self) -> float:
        """The time of :meth:`stamp`."""
        return self.stamp().at

    def latest(self) -> float:
        """The latest time that a stamp may have; any after it is wrong."""
        return self.reference() + self.tolerance_s


def read_database_time(connection: Connection) -> float | None:
    """The database's time; None where it has none."""
    at: float | None = connection.scalar(select(DATABASE_TIME[connection.dialect.name]))
    return at
