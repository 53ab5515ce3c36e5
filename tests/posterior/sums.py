"""Sums over observations without a task."""

from __future__ import annotations

import numpy as np

from bandit_router.posterior.regression_sums import RegressionSums
from bandit_router.types import FloatArray


def make_sums(
    second: FloatArray, cross: FloatArray, square: FloatArray, weight: FloatArray
) -> RegressionSums:
    k, d = cross.shape
    return RegressionSums(second, cross, square, weight, np.zeros((k, 0)), np.zeros((k, 0, d)))
