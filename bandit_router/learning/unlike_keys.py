"""API keys whose rewards are unlike the others': a test of their residuals, key by key, the worst one first.

With residuals e = r − expected of n_a rewards of the key on arm a, and of m_a rewards of all others on it,
Welch's differences are combined over the arms, each by what it can tell (Cochran, Biometrics 10, 1954)::

    d_a = ē_a − ē'_a        v_a = s_a²/n_a + s'_a²/m_a        w_a = n_a m_a / (n_a + m_a)
    z = Σ w_a d_a / √(Σ w_a² v_a)

s² is drawn towards 1/4, the largest variance of a reward. A key is unlike the others if |z| is above the
normal quantile of 1 − ALARM_RATE / 2K (Bonferroni, for K keys) and its mean is off by LEAST_DIFFERENCE. It
is then taken out, so that it does not make the others look odd, and the rest is tested again, down to half
of the keys (as in Rosner, Technometrics 25, 1983). So ALARM_RATE is the chance of an alarm at one look while
all keys are alike; looks overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from bandit_router.store.recent_predictions import PredictedReward
from bandit_router.types import FloatArray

ALARM_RATE = 1e-4
LEAST_DIFFERENCE = 0.1
"""Keys with other queries differ a little, where the context does not tell how hard a query is."""

LEAST_REWARDS = 30
LEAST_KEYS = 3

_LARGEST_VARIANCE = 0.25
_BOUND_WEIGHT = 5.0  # observations that it counts for


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlikeKey:
    """A key whose newest rewards are off from those of the other keys by ``difference`` on average.

    ``z`` is as in the module's formula.
    """

    key_id: str
    rewards: int
    difference: float
    z: float


class _Moments(NamedTuple):
    """Number, sum and sum of squares of residuals, by key and arm; all (K, A)."""

    number: FloatArray
    total: FloatArray
    square: FloatArray

    def of(self, keys: Sequence[int]) -> _Moments:
        """The moments of all these keys together, by arm (A,)."""
        return _Moments(*(array[list(keys)].sum(axis=0) for array in self))


def find_unlike_keys(rewards: Sequence[PredictedReward]) -> tuple[UnlikeKey, ...]:
    """The keys whose rewards are unlike the others', the worst first. Rewards without a key are left out."""
    keyed = [reward for reward in rewards if reward.key_id is not None]
    by_key: dict[str, list[PredictedReward]] = {}
    for reward in keyed:
        by_key.setdefault(str(reward.key_id), []).append(reward)
    names = sorted(name for name, own in by_key.items() if len(own) >= LEAST_REWARDS)
    moments = _sum_residuals([by_key[name] for name in names], {reward.arm for reward in keyed})
    left, unlike = list(range(len(names))), list[UnlikeKey]()
    while len(left) >= LEAST_KEYS and 2 * len(unlike) < len(names):
        tested = {k: _compare(moments.of([k]), moments.of([j for j in left if j != k])) for k in left}
        worst = max(left, key=lambda k: abs(tested[k][1]))
        difference, z = tested[worst]
        threshold = NormalDist().inv_cdf(1.0 - ALARM_RATE / (2 * len(names)))
        if not (abs(z) > threshold and abs(difference) >= LEAST_DIFFERENCE):
            break
        left.remove(worst)
        name = names[worst]
        unlike.append(UnlikeKey(key_id=name, rewards=len(by_key[name]), difference=difference, z=z))
    return tuple(unlike)


def _sum_residuals(by_key: Sequence[Sequence[PredictedReward]], arms: set[str]) -> _Moments:
    column: Mapping[str, int] = {arm: a for a, arm in enumerate(sorted(arms))}
    sums = np.zeros((3, len(by_key), len(column)))
    for k, rewards in enumerate(by_key):
        for reward in rewards:
            residual = reward.reward - reward.expected
            sums[:, k, column[reward.arm]] += (1.0, residual, residual * residual)
    return _Moments(*sums)


def _compare(own: _Moments, others: _Moments) -> tuple[float, float]:
    """The mean difference of residuals over the arms that both have rewards on, and its z."""
    both = (own.number > 0.0) & (others.number > 0.0)
    if not both.any():
        return 0.0, 0.0
    own, others = (_Moments(*(array[both] for array in moments)) for moments in (own, others))
    weight = own.number * others.number / (own.number + others.number)
    difference = own.total / own.number - others.total / others.number
    variance = _variance(own) / own.number + _variance(others) / others.number
    total = float(weight @ difference)
    return total / float(weight.sum()), total / math.sqrt(float(weight**2 @ variance))


def _variance(moments: _Moments) -> FloatArray:
    """s² by arm: of the residuals, drawn towards its largest possible value."""
    squares = moments.square - moments.total**2 / moments.number
    variance: FloatArray = (np.maximum(squares, 0.0) + _BOUND_WEIGHT * _LARGEST_VARIANCE) / (
        moments.number - 1.0 + _BOUND_WEIGHT
    )
    return variance
