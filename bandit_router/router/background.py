"""What a router does in the background, round after round, until it is closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bandit_router.errors import SnapshotCorrupt

log = logging.getLogger(__name__)


class BackgroundLoop:
    """The thread that does a round every ``interval_s`` seconds, whatever became of the one before."""

    def __init__(self, a_round: Callable[[], None], interval_s: float) -> None:
        self._round = a_round
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bandit-router-learner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the round end that is under way, and do no other."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._round()
            except SnapshotCorrupt:
                log.exception("the newest snapshot is unusable: keeping the last good one")
            except Exception:  # upkeep must outlive an outage of the database; routing says its own errors
                log.exception("upkeep failed; trying again in %g s", self._interval_s)
