"""A look after drift once in a while: an arm that is not what it was is reset, or warned of."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from bandit_router.learning.drift import CalibrationReport, Gap, most_drifted
from bandit_router.learning.learner import Learner

log = logging.getLogger(__name__)

_GAP = "arm %r is not what it was: its newest %d rewards were %.3f on average, %.3f was expected; "
_DRIFTED = _GAP + "if its model changed, run `bandit-router arms reset %s`"
_RESET = _GAP + "it is learned anew from the newest of them"
_LOOK_S = 60.0  # between two looks at the alarms
_LOOK_TO_RESET_S = 5.0


class DriftWatch:
    """When to look next (``time.monotonic()``, seconds), and the alarms that were on at the last look.

    With ``resets`` the arm that drifted most is reset, else each whose alarm is on is warned of.
    """

    def __init__(self, learner: Learner, *, resets: bool) -> None:
        self.look_at = -math.inf
        self._learner = learner
        self._resets = resets
        self._alarms: tuple[str, ...] = ()

    def look(self, calibration: Callable[[], CalibrationReport]) -> bool:
        """Look, unless it is too soon; whether an arm was reset, so that there is a new snapshot."""
        if time.monotonic() < self.look_at:
            return False
        self.look_at = time.monotonic() + (_LOOK_TO_RESET_S if self._resets else _LOOK_S)
        report = calibration()
        if self._resets:
            return most_drifted(report) is not None and self._reset()
        self._warn(report)
        return False

    def _reset(self) -> bool:
        found = self._learner.reset_drifted()
        if found is not None:
            log.warning(_RESET, *_in_words(*found))
        return found is not None

    def _warn(self, report: CalibrationReport) -> None:
        """Warn of each arm whose alarm has gone on since the last look."""
        before, self._alarms = self._alarms, report.alarms
        for arm in report.alarms:
            gap = report.arms[arm].widest
            if arm not in before and gap is not None:
                log.warning(_DRIFTED, *_in_words(arm, gap), arm)


def _in_words(arm: str, gap: Gap) -> tuple[str, int, float, float]:
    return arm, gap.rewards, gap.mean_reward, gap.mean_expected
