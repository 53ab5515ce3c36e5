"""The sums over observations that a linear regression of each arm needs, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from bandit_router.types import NO_TASK, FloatArray, IntArray

_ROUNDING = 1e-6  # of a sum of weights that retractions brought back to 0

_Number = TypeVar("_Number", np.float64, np.int64)


class RegressionSums(NamedTuple):
    """Sums over the observations of K arms: S = Σ w x xᵀ (K, d, d), m = Σ w y x (K, d), Σ w y², Σ w (K,).

    ``task_cross``, Σ w y (K, T), and ``task_context``, Σ w x (K, T, d), are those over the observations of
    each task. They are S and m of the tasks as features that are 0 or 1.
    """

    second: FloatArray
    cross: FloatArray
    square: FloatArray
    weight: FloatArray
    task_cross: FloatArray
    task_context: FloatArray

    @property
    def task_weight(self) -> FloatArray:
        """Σ w of each task (K, T); the first feature is 1."""
        weight: FloatArray = self.task_context[:, :, 0]
        return weight


def scale_sums(factor: float, sums: RegressionSums) -> RegressionSums:
    """The sums with every observation weighted ``factor`` times as much."""
    return RegressionSums(*(factor * array for array in sums))


def add_sums(a: RegressionSums, b: RegressionSums) -> RegressionSums:
    """The sums over the observations of both, arm by arm."""
    return RegressionSums(*(x + y for x, y in zip(*_match_tasks(a, b), strict=True)))


def concatenate_sums(a: RegressionSums, b: RegressionSums) -> RegressionSums:
    """The sums of the arms of ``a``, followed by those of ``b`` as other arms."""
    return RegressionSums(*(np.concatenate(pair) for pair in zip(*_match_tasks(a, b), strict=True)))


def widen_tasks(sums: RegressionSums, tasks: int) -> RegressionSums:
    """The sums with zeros for further tasks, so that they have ``tasks`` of them at least."""
    cross, context = (append_tasks(part, tasks) for part in (sums.task_cross, sums.task_context))
    return sums._replace(task_cross=cross, task_context=context)


def drop_tasks(sums: RegressionSums) -> RegressionSums:
    """The sums without those of tasks."""
    return sums._replace(task_cross=sums.task_cross[:, :0], task_context=sums.task_context[:, :0])


def append_tasks(array: FloatArray, tasks: int) -> FloatArray:
    """The array (K, T, …) with zeros behind it, so that T is ``tasks`` at least."""
    if array.shape[1] >= tasks:
        return array
    wider = np.zeros((len(array), tasks, *array.shape[2:]))
    wider[:, : array.shape[1]] = array
    return wider


def mark_tasks(tasks: IntArray, count: int | None = None) -> FloatArray:
    """Tasks (n,) as columns (n, T) that are 1 for the query's task and 0 for any other.

    T is ``count``, or as many as the largest number needs.
    """
    columns = np.arange(int(tasks.max(initial=NO_TASK)) + 1 if count is None else count)
    return np.asarray(tasks[:, None] == columns, dtype=np.float64)


def move_tasks(sums: RegressionSums, numbers: Sequence[int], rest: int) -> RegressionSums:
    """The sums with those of the first tasks at these ``numbers``, and of further ones at ``rest``."""
    given = sums.task_cross.shape[1]
    places = np.array([*numbers, *[rest] * given], dtype=np.int64)[:given]
    moved = widen_tasks(drop_tasks(sums), int(places.max(initial=-1)) + 1)
    for task, place in enumerate(places):
        moved.task_cross[:, place] += sums.task_cross[:, task]
        moved.task_context[:, place] += sums.task_context[:, task]
    return moved


def _match_tasks(a: RegressionSums, b: RegressionSums) -> tuple[RegressionSums, RegressionSums]:
    tasks = max(a.task_cross.shape[1], b.task_cross.shape[1])
    return widen_tasks(a, tasks), widen_tasks(b, tasks)


def align_sums(sums: RegressionSums, theirs: Sequence[str], ours: Sequence[str]) -> RegressionSums:
    """The sums of the arms ``theirs``, reordered to the arms ``ours``; an arm without sums gets zeros."""
    rows = [theirs.index(arm) if arm in theirs else len(theirs) for arm in ours]
    return RegressionSums(*(append_zeros(array, 1)[rows] for array in sums))


def project_sums(sums: RegressionSums, transform: FloatArray) -> RegressionSums:
    """The sums of the features φ = T x, for a transform T (D, d)."""
    k, d = sums.cross.shape
    second = transform @ (sums.second.reshape(k * d, d) @ transform.T).reshape(k, d, len(transform))
    context = sums.task_context @ transform.T
    return sums._replace(second=second, cross=sums.cross @ transform.T, task_context=context)


def centre_sums(sums: RegressionSums, offset: FloatArray) -> RegressionSums:
    """The sums of y − offset_a, for an offset of each arm (K,); the first feature is 1."""
    ones = sums.second[:, 0]  # Σ w φ
    square = sums.square - 2.0 * offset * sums.cross[:, 0] + offset**2 * ones[:, 0]
    return sums._replace(
        cross=sums.cross - offset[:, None] * ones,
        square=square,
        task_cross=sums.task_cross - offset[:, None] * sums.task_weight,
    )


def multiply_second(sums: RegressionSums, theta: FloatArray) -> FloatArray:
    """S θ of features and tasks (K, D + T) for θ (D + T,) or (K, D + T)."""
    d = sums.cross.shape[1]
    each = np.broadcast_to(theta, (len(sums.weight), theta.shape[-1]))
    of_x, of_tasks = each[:, :d], each[:, d:]
    first = sums.second @ of_x[..., None] + sums.task_context.swapaxes(1, 2) @ of_tasks[..., None]
    last = (sums.task_context @ of_x[..., None])[..., 0] + sums.task_weight * of_tasks
    return np.concatenate([first[..., 0], last], axis=1)


def find_unusable_sums(sums: RegressionSums) -> npt.NDArray[np.bool_]:
    """Whether the sums of each arm (K,) are not finite, or weigh less than 0 beyond rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        second = np.array([np.abs(matrix).sum() for matrix in sums.second])
        size = second + np.abs(sums.cross).sum(axis=1) + np.abs(sums.square)
        size += np.abs(sums.task_cross).sum(axis=1) + np.abs(sums.task_context).sum(axis=(1, 2))
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
