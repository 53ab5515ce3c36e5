"""How often what is learned is wrong: recent rewards and costs beside what was expected of them.

Every decision logs what it expects, so that each reward r has a residual e = r − expected. While nothing
changes, the residuals of an arm have mean 0. That an arm is chosen when it looks best does not bias them, as
long as the prior is right: a posterior mean accounts for all that the choice was made from. Residuals are
uncorrelated but for errors that predictions share because the rewards in between were not told. With k_j
rewards of the arm counted at prediction j, and o_j older ones on the way::

    V = Var(Σ_j e_j) = s² Σ_j (1 + (1 + 2 o_j) / k_j)

so that feedback which comes a day late and in one heap is no drift. Predictions with less than KNOWN rewards
behind them are the prior's and are left out. s² is the variance of the residuals, drawn to m(1 − m): of all
rewards in [0, 1] with the mean m, none varies more.

Nor is it drift when bad news travels faster than good, or the first part of a reward is higher than the
whole: decisions younger than the time in which SETTLED of the others were heard of for the last time are left
out. Before that time is known, only bad news may have come: so only an arm that has ESTABLISHED rewards
older than the window is ever reset.

**The alarm** of an arm is on when, over all of its rewards or the newest 50, 100, 200, …, the sum S of its
residuals has::

    |z| > ALARM,    z = S / √(V + |S|/3)

and the mean is off by LEAST. The second term is Freedman's (On tail probabilities for martingales, Annals of
Probability 3, 1975): skewed rewards, such as thumbs that are nearly always up, have tails that no normal
distribution has. Short windows find a large change soon, long ones a small change at all. Simulated with a
look after every reward, the alarm of an arm that does not change went on in 0 to 3% of runs of 10,000 rewards
(of mean 0.5 to 0.99); after a fall of 0.2 it was on within 80 rewards in half of the runs, 143 in 90%.

**A reset** when |z| > RESET, unless ``posterior.on_drift`` wants a warning only, keeps the newest quarter of
the window in which the gap is widest. Of all windows that one is where rewards were least like themselves,
by change or by chance: an arm that was only unlucky would be left for good on the word of all of it, and is
tried again when little of it is kept. RESET is lower than ALARM, because a false reset costs little then: in
the same simulation 5 to 51% of runs of 10,000 rewards had one, on five real streams 9 of 100 runs of 2,840
to 5,000 queries, which lost 0.0004 of utility a query by it. What a change costs fell by half or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.posterior.hierarchical import WarmStartVerdict
from bandit_router.store.recent import Costed, Rewarded
from bandit_router.types import FloatArray

NEWEST = 2000
KNOWN = 30
SETTLED = 0.95
ESTABLISHED = 200
SHORTEST = 50
ALARM = 4.0
RESET = 3.25
LEAST = 0.02
_LATE = 4  # a window's newest part is one of so many
_BOUND_ROWS = 20.0  # rows' worth of m(1 − m) in s²
_DEAR = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Mean reward and mean expectation over so many of the newest rewards, the standard error of their
    difference, z as the module says, and when the oldest of their newest quarter was decided (Unix time,
    seconds)."""

    rewards: int
    mean_reward: float
    mean_expected: float
    difference: float
    standard_error: float
    z: float
    late_since: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Of so many calls: Σ reported / Σ expected cost, and the share that cost over twice the expected."""

    calls: int
    ratio: float
    twice: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCalibration:
    """Rewards and costs of one arm, or of all, beside what was expected; None: there are none to compare.

    ``widest`` is over those newest rewards for which |z| is largest, which the alarm is about: it is on when
    they differ from what was expected by more than chance explains, and noticeably.
    """

    reward: Gap | None
    widest: Gap | None
    cost: Spread | None
    alarm: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationReport:
    """All arms together, each by name, and the names of those whose alarm is on; ``warm_start`` is what
    rewards say that a warm start is evidence of, None without one."""

    total: ArmCalibration
    arms: dict[str, ArmCalibration]
    alarms: tuple[str, ...]
    warm_start: WarmStartVerdict | None = None


class Residuals(NamedTuple):
    """What is compared, in the order of the decisions, all (n,): rewards, expectations, V / s², s², times."""

    reward: FloatArray
    expected: FloatArray
    terms: FloatArray
    variance: FloatArray
    decided_at: FloatArray


def calibrate(
    rewarded: Sequence[Rewarded], costed: Sequence[Costed], counts: Mapping[str, int]
) -> CalibrationReport:
    """Compare rows in the order of their decisions.

    ``counts`` is how many rewards are counted of each arm, those older than ``rewarded`` included.
    """
    until = settled_until(rewarded)
    own = {
        arm: residuals([row for row in rewarded if row.arm == arm], counts[arm], until)
        for arm in sorted(counts)
    }
    arms = {arm: _compare(seen, [row for row in costed if row.arm == arm]) for arm, seen in own.items()}
    together = gap(
        Residuals(*(np.concatenate(parts) for parts in zip(residuals([], 0), *own.values(), strict=True)))
    )
    return CalibrationReport(
        total=ArmCalibration(reward=together, widest=None, cost=spread(costed), alarm=False),
        arms=arms,
        alarms=tuple(arm for arm, found in arms.items() if found.alarm),
    )


def _compare(seen: Residuals, costed: Sequence[Costed]) -> ArmCalibration:
    most = widest(seen)
    alarm = most is not None and _is_beyond(ALARM, most)
    return ArmCalibration(reward=gap(seen), widest=most, cost=spread(costed), alarm=alarm)


def most_drifted(report: CalibrationReport) -> tuple[str, Gap] | None:
    """The arm that drifted most, and how far, if one did so far as to be reset."""
    gaps = {
        arm: one.widest
        for arm, one in report.arms.items()
        if one.widest and one.reward and one.reward.rewards >= ESTABLISHED + one.widest.rewards
    }
    drifted = {arm: gap for arm, gap in gaps.items() if _is_beyond(RESET, gap)}
    return max(drifted.items(), key=lambda found: abs(found[1].z), default=None)


def _is_beyond(bar: float, gap: Gap) -> bool:
    """Whether it is more than chance explains, by so many standard deviations, and noticeable."""
    return abs(gap.z) > bar and abs(gap.difference) >= LEAST


def settled_until(rows: Sequence[Rewarded]) -> float:
    """The time of decision (Unix time, seconds) up to which nearly all there is to hear was heard."""
    if not rows:
        return math.inf
    usual = float(np.quantile([row.heard_at - row.decided_at for row in rows], SETTLED))
    return max(row.heard_at for row in rows) - usual


def residuals(rows: Sequence[Rewarded], counted: int, until: float = math.inf) -> Residuals:
    """The rewards of one arm that were not predicted by the prior, for decisions made ``until`` then.

    ``counted`` is how many rewards it has.
    """
    told = np.sort(np.array([row.counted for row in rows], dtype=np.int64))
    made = np.array([row.snapshot for row in rows], dtype=np.int64)
    known_here = np.searchsorted(told, made, side="right")
    known = known_here + max(0, counted - len(rows))
    at = np.array([row.decided_at for row in rows], dtype=float)
    usable = (known >= KNOWN) & (at <= until)
    on_the_way = np.maximum(np.arange(len(rows)) - known_here, 0)
    reward = np.array([row.reward for row in rows], dtype=float)[usable]
    expected = np.array([row.expected for row in rows], dtype=float)[usable]
    terms = 1.0 + (1.0 + 2.0 * on_the_way[usable]) / known[usable]
    return Residuals(reward, expected, terms, np.full(len(reward), _variance(reward, expected)), at[usable])


def _variance(reward: FloatArray, expected: FloatArray) -> float:
    if not len(reward):
        return 0.0
    residual, mean = reward - expected, float(np.clip(expected.mean(), 0.0, 1.0))
    squares = float(((residual - residual.mean()) ** 2).sum())
    return (squares + _BOUND_ROWS * mean * (1.0 - mean)) / (len(residual) - 1 + _BOUND_ROWS)


def gap(seen: Residuals) -> Gap | None:
    """The rewards beside what was expected of them."""
    n = len(seen.reward)
    if n == 0:
        return None
    mean_reward, mean_expected = float(seen.reward.mean()), float(seen.expected.mean())
    total = float((seen.reward - seen.expected).sum())
    variance = float(seen.variance @ seen.terms)
    scale = math.sqrt(variance + abs(total) / 3.0)
    return Gap(
        rewards=n,
        mean_reward=mean_reward,
        mean_expected=mean_expected,
        difference=mean_reward - mean_expected,
        standard_error=math.sqrt(variance) / n,
        z=total / scale if scale else 0.0,
        late_since=float(np.sort(seen.decided_at)[-max(1, n // _LATE)]),
    )


def widest(seen: Residuals) -> Gap | None:
    """The gap over the newest 50, 100, 200, … rewards, or all, for which |z| is largest."""
    n = len(seen.reward)
    if n < SHORTEST:
        return None
    lengths = [n, *(SHORTEST << i for i in range((n // SHORTEST).bit_length()) if SHORTEST << i < n)]
    gaps = [found for w in lengths if (found := gap(Residuals(*(part[n - w :] for part in seen))))]
    return max(gaps, key=lambda one: abs(one.z))


def spread(rows: Sequence[Costed]) -> Spread | None:
    """The costs beside what was expected of them; calls that were expected to be free are left out."""
    costs = np.array([row[1:] for row in rows if row.expected_usd > 0.0]).reshape(-1, 2)
    if not len(costs):
        return None
    expected, reported = costs.T
    return Spread(
        calls=len(costs),
        ratio=float(reported.sum() / expected.sum()),
        twice=float((reported > _DEAR * expected).mean()),
    )
