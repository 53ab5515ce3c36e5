"""The drift watch: resets the arm that drifted or warns of it, and warns of keys unlike the others."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from bandit_router.learning.drift import CalibrationReport, RewardGap, find_most_drifted_arm
from bandit_router.learning.learner import Learner

log = logging.getLogger(__name__)

_GAP = "arm %r is not what it was: its newest %d rewards were %.3f on average, %.3f was expected; "
_DRIFTED = _GAP + "if its model changed, run `bandit-router arms reset %s`"
_RESET = _GAP + "it is learned anew from the newest of them"
_UNLIKE = (
    "the rewards of API key %s are unlike the others': %+.3f on average over its newest %d, z = %+.1f; "
    "if they are wrong, run `bandit-router quarantine --key %s`"
)
_WARN_INTERVAL_S = 60.0
_RESET_INTERVAL_S = 5.0


class DriftWatch:
    """Checks the alarms when ``next_check_at`` (``time.monotonic()``, seconds) has come.

    With ``resets`` the arm that drifted most is reset; without, each arm whose alarm went on is warned of, as
    each key is.
    Nothing is read while no snapshot was published: what is counted has not changed. ``report`` is what the
    newest check saw, None before the first.
    """

    def __init__(self, learner: Learner, *, resets: bool) -> None:
        self.next_check_at = -math.inf
        self._learner = learner
        self.resets = resets
        self._alarms: tuple[str, ...] = ()
        self._unlike: frozenset[str] = frozenset()
        self._checked: int | None = None
        self.report: CalibrationReport | None = None

    def check(self, calibration: Callable[[], CalibrationReport], version: int) -> bool:
        """Check for drift, unless it is too soon or that ``version`` of the snapshot was checked.

        Returns whether an arm was reset, which published a snapshot.
        """
        if version == self._checked or time.monotonic() < self.next_check_at:
            return False
        self.next_check_at = time.monotonic() + (_RESET_INTERVAL_S if self.resets else _WARN_INTERVAL_S)
        self.report = report = calibration()
        self._checked = version
        self._warn_of_keys(report)
        if self.resets:
            return find_most_drifted_arm(report) is not None and self._reset_drifted_arm()
        self._warn_of_alarms(report)
        return False

    def _reset_drifted_arm(self) -> bool:
        drifted = self._learner.reset_drifted()
        if drifted is not None:
            log.warning(_RESET, *_log_arguments(*drifted))
        return drifted is not None

    def _warn_of_alarms(self, report: CalibrationReport) -> None:
        """Warn of each arm whose alarm went on since the last check."""
        before, self._alarms = self._alarms, report.alarms
        for arm in report.alarms:
            gap = report.arms[arm].widest
            if arm not in before and gap is not None:
                log.warning(_DRIFTED, *_log_arguments(arm, gap), arm)

    def _warn_of_keys(self, report: CalibrationReport) -> None:
        """Warn of each key whose rewards became unlike the others' since the last check."""
        before, self._unlike = self._unlike, frozenset(key.key_id for key in report.unlike_keys)
        for key in report.unlike_keys:
            if key.key_id not in before:
                log.warning(_UNLIKE, key.key_id, key.difference, key.rewards, key.z, key.key_id)


def _log_arguments(arm: str, gap: RewardGap) -> tuple[str, int, float, float]:
    return arm, gap.rewards, gap.mean_reward, gap.mean_expected
