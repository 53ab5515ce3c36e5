"""The sums over observations that a linear regression of each arm needs, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from bandit_router.types import FloatArray

_ROUNDING = 1e-6  # of a sum of weights that retractions brought back to 0

_Number = TypeVar("_Number", np.float64, np.int64)


class RegressionSums(NamedTuple):
    """Sums over the observations of K arms: S = Σ w x xᵀ (K, d, d), m = Σ w y x (K, d), Σ w y², Σ w (K,)."""

    second: FloatArray
    cross: FloatArray
    square: FloatArray
    weight: FloatArray


def scale_sums(factor: float, sums: RegressionSums) -> RegressionSums:
    """The sums with every observation weighted ``factor`` times as much."""
    return RegressionSums(*(factor * array for array in sums))


def add_sums(a: RegressionSums, b: RegressionSums) -> RegressionSums:
    """The sums over the observations of both, arm by arm."""
    return RegressionSums(*(x + y for x, y in zip(a, b, strict=True)))


def concatenate_sums(a: RegressionSums, b: RegressionSums) -> RegressionSums:
    """The sums of the arms of ``a``, followed by those of ``b`` as other arms."""
    return RegressionSums(*(np.concatenate(pair) for pair in zip(a, b, strict=True)))


def align_sums(sums: RegressionSums, theirs: Sequence[str], ours: Sequence[str]) -> RegressionSums:
    """The sums of the arms ``theirs``, reordered to the arms ``ours``; an arm without sums gets zeros."""
    rows = [theirs.index(arm) if arm in theirs else len(theirs) for arm in ours]
    return RegressionSums(*(append_zeros(array, 1)[rows] for array in sums))


def project_sums(sums: RegressionSums, transform: FloatArray) -> RegressionSums:
    """The sums of the features φ = T x, for a transform T (D, d)."""
    k, d = sums.cross.shape
    second = transform @ (sums.second.reshape(k * d, d) @ transform.T).reshape(k, d, len(transform))
    return RegressionSums(second, sums.cross @ transform.T, sums.square, sums.weight)


def centre_sums(sums: RegressionSums, offset: FloatArray) -> RegressionSums:
    """The sums of y − offset_a, for an offset of each arm (K,); the first feature is 1."""
    ones = sums.second[:, 0]  # Σ w φ
    square = sums.square - 2.0 * offset * sums.cross[:, 0] + offset**2 * ones[:, 0]
    return RegressionSums(sums.second, sums.cross - offset[:, None] * ones, square, sums.weight)


def find_unusable_sums(sums: RegressionSums) -> npt.NDArray[np.bool_]:
    """Whether the sums of each arm (K,) are not finite, or weigh less than 0 beyond rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        second = np.array([np.abs(matrix).sum() for matrix in sums.second])
        size = second + np.abs(sums.cross).sum(axis=1) + np.abs(sums.square)
    return np.asarray(~np.isfinite(size) | (sums.weight < -_ROUNDING))


def clear_sums(sums: RegressionSums, arms: npt.NDArray[np.bool_]) -> RegressionSums:
    """The sums with zeros for the marked arms (K,)."""
    return RegressionSums(
        *(np.where(arms.reshape(-1, *[1] * (array.ndim - 1)), 0.0, array) for array in sums)
    )


def append_zeros(array: npt.NDArray[_Number], rows: int) -> npt.NDArray[_Number]:
    """The array with so many rows of zeros behind it."""
    longer = np.zeros((len(array) + rows, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
