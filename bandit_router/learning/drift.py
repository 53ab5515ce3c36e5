"""Calibration and drift: recent rewards and costs compared with what their decisions expected.

Every decision logs its expected reward, so that each reward r has a residual e = r − expected, of mean 0
while the arm does not change. With weights w_j, k_j rewards of the arm counted at prediction j, and o_j older
ones still on their way then::

    V = Var(Σ_j w_j e_j) = s² Σ_j w_j (w_j + (1 + 2 o_j) / k_j)

s² is the variance of the residuals, drawn towards m(1 − m), the largest of any reward in [0, 1] with mean m.

**Alarm**: over the newest 50, 100, 200, … rewards of an arm, or all, the sum S of residuals has |z| > ALARM,
with Freedman's correction for skewed rewards (Annals of Probability 3, 1975), and a mean off by
LEAST_DIFFERENCE or more::

    z = S / √(V + |S|/3)

**Reset**: |z| > RESET, unless ``posterior.on_drift`` asks for a warning only. It keeps the newest quarter of
the window with the widest gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.learning.unlike_keys import UnlikeKey, find_unlike_keys
from bandit_router.posterior.warm_start_verdict import WarmStartVerdict
from bandit_router.store.recent_predictions import PredictedCost, PredictedReward
from bandit_router.types import FloatArray

NEWEST = 2000
"""Rewards, and costs, that are compared: the newest of the router."""

LEAST_COUNTED = 30
"""Predictions with fewer rewards behind them are the prior's, and are left out."""

SETTLED_SHARE = 0.95
"""Decisions younger than this quantile of the feedback delay are left out: bad news comes first."""

ESTABLISHED = 200
"""Rewards older than its window that an arm needs to be reset, so that the time above is reliable."""

SHORTEST_WINDOW = 50
ALARM = 4.0
RESET = 3.25
"""Lower than ALARM: a reset that keeps the newest quarter costs little when it is wrong."""

LEAST_DIFFERENCE = 0.02
_NEWEST_SHARE = 4  # a reset keeps one part in four of its window
_BOUND_WEIGHT = 20.0  # observations that m(1 − m) counts for in s²
_EXPENSIVE = 2.0  # reported over expected cost


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardGap:
    """Mean reward and mean expectation over so many of the newest rewards, and how far they differ.

    ``standard_error`` is of the difference, ``z`` as in the module's formula. ``late_since`` is when the
    oldest decision of their newest quarter was made (Unix time, seconds).
    """

    rewards: int
    mean_reward: float
    mean_expected: float
    difference: float
    standard_error: float
    z: float
    late_since: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CostRatio:
    """Costs of so many calls: Σ reported / Σ expected cost, and the share over twice the expected."""

    calls: int
    ratio: float
    twice: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCalibration:
    """Rewards and costs of one arm, or of all, compared with the expected ones; None without any to compare.

    ``widest`` is the gap over the window with the largest |z|. The ``alarm`` is on when it is more than
    chance explains, and large enough to matter.
    """

    reward: RewardGap | None
    widest: RewardGap | None
    cost: CostRatio | None
    alarm: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedTenth:
    """Rewards that were expected to be within one tenth of [0, 1]: how many, what was expected, what came.

    ``standard_error`` is of the mean reward.
    """

    rewards: int
    mean_expected: float
    mean_reward: float
    standard_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationReport:
    """All arms together, each by name, and the names of those whose alarm is on.

    ``by_expectation`` compares the rewards by what was expected of them, from the lowest tenth.
    ``warm_start`` is the verdict of the rewards on the warm start, None without one. ``clamped_stamps`` is
    the number of times in the log that are not what a wrong clock claimed; ``ahead_of_now`` names what still
    lies ahead and holds learning or spending up. ``unlike_keys`` are the API keys whose rewards are unlike
    the others', the worst first.
    """

    total: ArmCalibration
    arms: dict[str, ArmCalibration]
    alarms: tuple[str, ...]
    by_expectation: tuple[ExpectedTenth, ...] = ()
    warm_start: WarmStartVerdict | None = None
    clamped_stamps: int = 0
    ahead_of_now: tuple[str, ...] = ()
    unlike_keys: tuple[UnlikeKey, ...] = ()


class Residuals(NamedTuple):
    """Rewards and expectations in the order of the decisions, V / s², s², times and weights; all (n,)."""

    reward: FloatArray
    expected: FloatArray
    terms: FloatArray
    variance: FloatArray
    decided_at: FloatArray
    weight: FloatArray


def calibrate(
    rewards: Sequence[PredictedReward], costs: Sequence[PredictedCost], counts: Mapping[str, int]
) -> CalibrationReport:
    """Compare rewards and costs, each in the order of their decisions, with what was expected.

    ``counts`` is how many rewards each arm has in all, those older than ``rewards`` included.
    """
    until = compute_settled_time(rewards)
    by_arm = {
        arm: compute_residuals([reward for reward in rewards if reward.arm == arm], counts[arm], until)
        for arm in sorted(counts)
    }
    arms = {
        arm: _compare_arm(residuals, [cost for cost in costs if cost.arm == arm])
        for arm, residuals in by_arm.items()
    }
    columns = zip(compute_residuals([], 0), *by_arm.values(), strict=True)
    together = Residuals(*(np.concatenate(column) for column in columns))
    return CalibrationReport(
        total=ArmCalibration(
            reward=compute_reward_gap(together), widest=None, cost=compute_cost_ratio(costs), alarm=False
        ),
        arms=arms,
        alarms=tuple(arm for arm, calibration in arms.items() if calibration.alarm),
        by_expectation=tuple(_compare_tenths(together)),
        unlike_keys=find_unlike_keys(rewards),
    )


def _compare_tenths(residuals: Residuals) -> Iterator[ExpectedTenth]:
    """The rewards by the tenth of [0, 1] that was expected; expectations beyond are in the last."""
    tenths = np.clip(np.floor(10.0 * residuals.expected), 0, 9)
    for tenth in np.unique(tenths):
        here = tenths == tenth
        reward = residuals.reward[here]
        yield ExpectedTenth(
            rewards=len(reward),
            mean_expected=float(residuals.expected[here].mean()),
            mean_reward=float(reward.mean()),
            standard_error=math.sqrt(float(residuals.variance[here].mean()) / len(reward)),
        )


def _compare_arm(residuals: Residuals, costs: Sequence[PredictedCost]) -> ArmCalibration:
    """The calibration of one arm."""
    widest = find_widest_gap(residuals)
    return ArmCalibration(
        reward=compute_reward_gap(residuals),
        widest=widest,
        cost=compute_cost_ratio(costs),
        alarm=widest is not None and _exceeds(ALARM, widest),
    )


def find_most_drifted_arm(report: CalibrationReport) -> tuple[str, RewardGap] | None:
    """The arm with the largest |z| above RESET, and its gap; None when no arm is to be reset."""
    gaps = {
        arm: calibration.widest
        for arm, calibration in report.arms.items()
        if calibration.widest
        and calibration.reward
        and calibration.reward.rewards >= ESTABLISHED + calibration.widest.rewards
    }
    drifted = {arm: gap for arm, gap in gaps.items() if _exceeds(RESET, gap)}
    return max(drifted.items(), key=lambda item: abs(item[1].z), default=None)


def _exceeds(threshold: float, gap: RewardGap) -> bool:
    """Whether |z| exceeds the threshold and the difference is large enough to matter."""
    return abs(gap.z) > threshold and abs(gap.difference) >= LEAST_DIFFERENCE


def compute_settled_time(rewards: Sequence[PredictedReward]) -> float:
    """The time of decision (Unix time, seconds) up to which nearly all feedback has arrived."""
    if not rewards:
        return math.inf
    delays = [reward.last_feedback_at - reward.decided_at for reward in rewards]
    settling_s = float(np.quantile(delays, SETTLED_SHARE))
    return max(reward.last_feedback_at for reward in rewards) - settling_s


def compute_residuals(rewards: Sequence[PredictedReward], counted: int, until: float = math.inf) -> Residuals:
    """The rewards of one arm that the posterior predicted, and not the prior, for decisions up to ``until``.

    ``counted`` is how many rewards the arm has in all.
    """
    counted_in = np.sort(np.array([reward.counted for reward in rewards], dtype=np.int64))
    predicted_by = np.array([reward.snapshot for reward in rewards], dtype=np.int64)
    counted_here = np.searchsorted(counted_in, predicted_by, side="right")
    counted_then = counted_here + max(0, counted - len(rewards))
    decided_at = np.array([reward.decided_at for reward in rewards], dtype=float)
    usable = (counted_then >= LEAST_COUNTED) & (decided_at <= until)
    on_their_way = np.maximum(np.arange(len(rewards)) - counted_here, 0)
    values = np.array([reward.reward for reward in rewards], dtype=float)[usable]
    expected = np.array([reward.expected for reward in rewards], dtype=float)[usable]
    weight = np.array([reward.weight for reward in rewards], dtype=float)[usable]
    terms = weight * (weight + (1.0 + 2.0 * on_their_way[usable]) / counted_then[usable])
    variance = np.full(len(values), _residual_variance(values, expected))
    return Residuals(values, expected, terms, variance, decided_at[usable], weight)


def _residual_variance(reward: FloatArray, expected: FloatArray) -> float:
    """s²: the variance of the residuals, drawn towards its largest possible value."""
    if not len(reward):
        return 0.0
    residual, mean = reward - expected, float(np.clip(expected.mean(), 0.0, 1.0))
    squares = float(((residual - residual.mean()) ** 2).sum())
    return (squares + _BOUND_WEIGHT * mean * (1.0 - mean)) / (len(residual) - 1 + _BOUND_WEIGHT)


def compute_reward_gap(residuals: Residuals) -> RewardGap | None:
    """The gap between rewards and expectations; None without rewards."""
    n = len(residuals.reward)
    if n == 0:
        return None
    weight = residuals.weight
    if not weight.any():
        return None
    mean_reward, mean_expected = (
        float(np.average(values, weights=weight)) for values in (residuals.reward, residuals.expected)
    )
    total = float(weight @ (residuals.reward - residuals.expected))
    variance = float(residuals.variance @ residuals.terms)
    scale = math.sqrt(variance + abs(total) / 3.0)
    return RewardGap(
        rewards=n,
        mean_reward=mean_reward,
        mean_expected=mean_expected,
        difference=mean_reward - mean_expected,
        standard_error=math.sqrt(variance) / float(weight.sum()),
        z=total / scale if scale else 0.0,
        late_since=float(np.sort(residuals.decided_at)[-max(1, n // _NEWEST_SHARE)]),
    )


def find_widest_gap(residuals: Residuals) -> RewardGap | None:
    """The gap with the largest |z| over the newest 50, 100, 200, … rewards, or all; None below 50."""
    n = len(residuals.reward)
    if n < SHORTEST_WINDOW:
        return None
    doubled = (SHORTEST_WINDOW << i for i in range((n // SHORTEST_WINDOW).bit_length()))
    windows = [n, *(window for window in doubled if window < n)]
    gaps = [
        gap
        for window in windows
        if (gap := compute_reward_gap(Residuals(*(column[n - window :] for column in residuals))))
    ]
    return max(gaps, key=lambda gap: abs(gap.z))


def compute_cost_ratio(costs: Sequence[PredictedCost]) -> CostRatio | None:
    """Reported costs against expected ones; calls expected to be free are left out. None without calls."""
    usd = np.array([cost[1:] for cost in costs if cost.expected_usd > 0.0]).reshape(-1, 2)
    if not len(usd):
        return None
    expected, reported = usd.T
    return CostRatio(
        calls=len(usd),
        ratio=float(reported.sum() / expected.sum()),
        twice=float((reported > _EXPENSIVE * expected).mean()),
    )
