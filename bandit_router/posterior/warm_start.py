"""Warm start: evidence of the arms from labelled queries, another log or another router.

The sums of a warm start are kept apart from those of the log and count as prior evidence, for as much as
their owner trusts them. How wrong evidence is dropped: :mod:`bandit_router.posterior.warm_start_verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bandit_router.errors import InvalidInput, SchemaMismatch
from bandit_router.posterior.decay import decay_factor
from bandit_router.posterior.regression_sums import (
    RegressionSums,
    align_sums,
    mark_tasks,
    move_tasks,
    scale_sums,
)
from bandit_router.types import OTHER_TASKS, FloatArray, IntArray


class WarmStartEvidence(NamedTuple):
    """Evidence of K arms from elsewhere: sums of rewards, and of cost roots.

    ``schema_id`` names the feature pipeline of the contexts. ``queries`` is the number of queries, ``worth``
    how many rows of a log each row is worth, and ``source`` the origin. ``tasks`` names the tasks of the
    sums, in order; any further ones are of the tasks that share a number.
    """

    arms: tuple[str, ...]
    schema_id: str
    rewards: RegressionSums
    costs: RegressionSums
    queries: float
    worth: float
    source: str
    tasks: tuple[str, ...] = ()

    def weight(self, trust: float | None) -> float:
        """The weight of each row if all together count for at most ``trust`` queries; None for no limit."""
        return self.worth * (1.0 if trust is None else min(1.0, trust / self.queries))


def check_evidence(evidence: WarmStartEvidence, schema_id: str, dim: int, arms: Sequence[str]) -> None:
    """Raise InvalidInput or SchemaMismatch unless the evidence is of these contexts (dim,) and arms."""
    if evidence.schema_id != schema_id or evidence.rewards.second.shape[-1] != dim:
        raise SchemaMismatch(
            "evidence",
            f"is of contexts {evidence.schema_id!r}, this router makes {schema_id!r}",
            "use the [features] settings it was made with",
        )
    if not set(evidence.arms) & set(arms):
        theirs, ours = ", ".join(evidence.arms), ", ".join(arms)
        raise InvalidInput("evidence", f"is of {theirs}", f"name them as the arms are: {ours}")
    sums = *evidence.rewards, *evidence.costs
    if not (all(np.isfinite(part).all() for part in sums) and 0.0 < evidence.queries < math.inf):
        raise InvalidInput(
            "evidence", "is empty or not finite", "give at least one query with finite numbers"
        )


def renumber_tasks(evidence: WarmStartEvidence, numbers: Sequence[int]) -> WarmStartEvidence:
    """The evidence with the numbers that a router gives to its tasks, in the order of ``tasks``."""
    rewards, costs = (move_tasks(sums, numbers, OTHER_TASKS) for sums in (evidence.rewards, evidence.costs))
    return evidence._replace(rewards=rewards, costs=costs)


class WarmStart(NamedTuple):
    """The ``sums`` of evidence, the weight of each row, and the time when it was loaded.

    ``since`` is Unix time, seconds; with a half-life the evidence decays from then on.
    """

    sums: RegressionSums
    weight: float
    since: float

    def scale_to(self, as_of: float, half_life_s: float | None) -> RegressionSums:
        """The sums, weighted and decayed to ``as_of``."""
        fresh = 1.0 if as_of <= self.since else decay_factor(self.since, as_of, half_life_s)
        return scale_sums(self.weight * fresh, self.sums)

    def align(self, theirs: Sequence[str], ours: Sequence[str]) -> WarmStart:
        """A copy reordered to our arms, see :func:`align_sums`."""
        return self._replace(sums=align_sums(self.sums, theirs, ours))

    def without_arm(self, row: int) -> WarmStart:
        """A copy without evidence of the arm in this row."""
        sums = RegressionSums(*(part.copy() for part in self.sums))
        for part in sums:
            part[row] = 0.0
        return self._replace(sums=sums)

    def equals(self, other: WarmStart | None) -> bool:
        """Whether both are equal, exactly."""
        return (
            other is not None
            and self[1:] == other[1:]
            and all(np.array_equal(a, b) for a, b in zip(self.sums, other.sums, strict=True))
        )


def evidence_from_labels(
    arms: Sequence[str],
    schema_id: str,
    x: FloatArray,
    reward: FloatArray,
    root: FloatArray,
    source: str,
    tasks: IntArray | None = None,
    task_names: tuple[str, ...] = (),
) -> WarmStartEvidence:
    """Evidence from n labelled queries: x (n, d), rewards (n, K), cost roots (n, K), numbers of tasks (n,).

    A NaN reward or root is unknown. Answers to one query are good or bad together, which cancels when arms
    are compared, so a row is worth 1/(1 − ρ) rows of a log, where ρ is the mean covariance of arms over
    their mean variance.
    """
    known, rated = ~np.isnan(root), ~np.isnan(reward)
    answered_by_all = rated.all(axis=1)
    return WarmStartEvidence(
        arms=tuple(arms),
        schema_id=schema_id,
        rewards=_sum_known(x, np.where(rated, reward, 0.0), rated, tasks),
        costs=_sum_known(x, np.where(known, root, 0.0), known, tasks),
        queries=float(np.count_nonzero(rated.any(axis=1))),
        worth=1.0 / (1.0 - _estimate_shared_variance(reward[answered_by_all])),
        source=source,
        tasks=task_names,
    )


def _sum_known(
    x: FloatArray, y: FloatArray, known: npt.NDArray[np.bool_], tasks: IntArray | None
) -> RegressionSums:
    second = np.stack([x[rows].T @ x[rows] for rows in known.T])
    named = np.zeros((len(x), 0)) if tasks is None else mark_tasks(tasks)
    return RegressionSums(
        second,
        y.T @ x,
        (y**2).sum(axis=0),
        known.sum(axis=0).astype(np.float64),
        y.T @ named,
        np.stack([named[rows].T @ x[rows] for rows in known.T]),
    )


def _estimate_shared_variance(y: FloatArray) -> float:
    """ρ of outcomes (n, K), in [0, 2/3]."""
    if y.shape[1] < 2 or len(y) < 2:
        return 0.0
    covariance = np.cov(y, rowvar=False)
    variance = float(np.trace(covariance))
    if variance <= 0.0:
        return 0.0
    return float(np.clip((covariance.sum() - variance) / ((y.shape[1] - 1) * variance), 0.0, 2.0 / 3.0))
