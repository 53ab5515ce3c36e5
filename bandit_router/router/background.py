"""The background loop of a router: a thread that does one round at every interval, until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bandit_router.errors import SnapshotCorrupt

log = logging.getLogger(__name__)


class BackgroundLoop:
    """A thread that runs a round every ``interval_s`` seconds, whether or not the last one failed."""

    def __init__(self, run_round: Callable[[], None], interval_s: float) -> None:
        self._run_round = run_round
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bandit-router-learner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait for the round in progress, and run no other."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._run_round()
            except SnapshotCorrupt:
                log.exception("the newest snapshot is unusable: keeping the last good one")
            except Exception:  # the thread must survive an outage of the database, which routing reports
                log.exception("a background round failed; trying again in %g s", self._interval_s)
