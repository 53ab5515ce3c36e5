"""Differences between contenders that played the same seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import stdtrit

from bandit_router.types import FloatArray


class Difference(NamedTuple):
    """A mean over ``seeds``, with its 95% interval mean ± ``reach``; None where one seed has no spread."""

    mean: float
    reach: float | None
    seeds: int

    @property
    def told(self) -> bool:
        """Whether the interval leaves no doubt about the sign."""
        return self.reach is not None and abs(self.mean) > self.reach


def mean_of(values: FloatArray) -> Difference:
    """The mean of values (S,) and its interval, ± t(S − 1) · sd/√S (Student, Biometrika 1908)."""
    n = len(values)
    reach = None
    if n > 1:
        reach = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Difference(float(values.mean()), reach, n)


def paired(one: FloatArray, other: FloatArray) -> Difference:
    """One less the other, seed by seed: what the queries of a seed do to both cancels."""
    return mean_of(one - other)
