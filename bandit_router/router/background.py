"""The background loop of a router: a thread that does one round at every interval, until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bandit_router.store.outage_log import OutageLog

log = logging.getLogger(__name__)


class BackgroundLoop:
    """A thread that runs a round every ``interval_s`` seconds, whether or not the last one failed.

    While the newest snapshot cannot be used, the router goes on with the last good one.
    """

    def __init__(self, run_round: Callable[[], None], interval_s: float) -> None:
        self._run_round = run_round
        self._interval_s = interval_s
        self._failures = OutageLog(log, "rounds of learning")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bandit-router-learner", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Run no other round; wait for the one in progress, at most ``timeout_s``. Whether it ended."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._run_round()
            except Exception as error:  # the thread must survive an outage of the database
                self._failures.add_failures(1, error)
            else:
                self._failures.end()
