"""Readiness: whether the database takes writes now, asked by one caller for all who ask meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bandit_router.errors import StoreError


class Readiness:
    """Asks with ``try_write``, which raises StoreError. Thread-safe.

    A database that is locked keeps every question waiting, and each holds a thread. So a caller who waited
    for another one's question takes its answer.
    """

    def __init__(self, try_write: Callable[[], None]) -> None:
        self._try_write = try_write
        self._asking = threading.Lock()
        self._answered_at = 0.0
        self._error: StoreError | None = None

    def check(self) -> None:
        """Raise StoreError when the database does not take writes."""
        arrived_at = time.monotonic()
        with self._asking:
            if self._answered_at <= arrived_at:
                self._error = self._ask()
                self._answered_at = time.monotonic()
            error = self._error
        if error is not None:
            raise error

    def _ask(self) -> StoreError | None:
        try:
            self._try_write()
        except StoreError as error:
            return error
        return None
