"""The outage log: an outage is a line when it begins, a count every minute, and a line when it ends."""

from __future__ import annotations

import logging
import threading
import time

from bandit_router.errors import RouterError

_REMINDER_S = 60.0


class OutageLog:
    """Logs failures of one kind of operation, such as "writes". Thread-safe."""

    def __init__(self, log: logging.Logger, operation: str) -> None:
        self._log = log
        self._operation = operation
        self._lock = threading.Lock()
        self._begun_at: float | None = None
        self._logged_at = 0.0
        self._failures = 0
        self._errors: set[type[BaseException]] = set()

    def add_failures(self, count: int, error: BaseException) -> None:
        """Log a kind of error at once when it is new, and how many failures there were every minute."""
        with self._lock:
            now = time.monotonic()
            self._failures += count
            if type(error) not in self._errors:
                self._errors.add(type(error))
                unexpected = None if isinstance(error, RouterError) else error
                self._log.error("%s fail: %s", self._operation, error, exc_info=unexpected)
            elif now - self._logged_at >= _REMINDER_S:
                failing_s = now - (self._begun_at or now)
                line = "%s have failed %d times in %.0f s: %s"
                self._log.error(line, self._operation, self._failures, failing_s, error)
            else:
                return
            self._begun_at, self._logged_at = self._begun_at or now, now

    def end(self) -> None:
        """Log that the operation works again, if it failed before."""
        if self._begun_at is None:  # without the lock: this is called after every operation
            return
        with self._lock:
            if self._begun_at is not None:
                failing_s = time.monotonic() - self._begun_at
                line = "%s work again, after %d failures in %.1f s"
                self._log.warning(line, self._operation, self._failures, failing_s)
            self._begun_at, self._failures = None, 0
            self._errors.clear()
