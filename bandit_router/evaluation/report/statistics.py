"""Means over seeds with their intervals, and differences between contenders on the same seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import stdtrit

from bandit_router.types import FloatArray


class Difference(NamedTuple):
    """A mean over ``seeds`` with its 95% interval, mean ± ``reach``; a single seed has no interval."""

    mean: float
    reach: float | None
    seeds: int

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.reach is not None and abs(self.mean) > self.reach


def mean_with_interval(values: FloatArray) -> Difference:
    """The mean of values (S,) and its interval, ± t(S − 1) · sd/√S (Student, Biometrika 1908)."""
    n = len(values)
    reach = None
    if n > 1:
        reach = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Difference(float(values.mean()), reach, n)


def paired_difference(values: FloatArray, baseline: FloatArray) -> Difference:
    """The mean of values − baseline, both (S,), seed by seed: effects of a seed's queries on both cancel."""
    return mean_with_interval(values - baseline)


def standard_deviation(values: FloatArray) -> float | None:
    """The sample standard deviation over seeds; None for a single seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None
