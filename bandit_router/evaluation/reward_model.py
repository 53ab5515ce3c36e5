"""The reward model of direct and doubly robust estimation: one ridge regression per arm and outcome.

For arm a, outcome m and the rows of a training set, with z = [1, x, e] of shape (D,), D = 1 + d + T, where
e is 1 for the query's task and 0 for any other::

    S = Σ z zᵀ,    c = Σ y z,    q̂(x, a) = ȳ + zᵀ (S + R)⁻¹ (c − ȳ S e₀)

where ȳ is the mean outcome of all arms in the training set, e₀ picks the constant, and R is diagonal:
RIDGE for features, ANCHOR for the constant. An arm without rows is therefore predicted to be average, and
an arm with rows is hardly pulled there, because prices differ a hundredfold between arms. Rows without
feedback on an outcome are left out of its sums; a reward of less weight counts that much less in them.

S and c are sums, kept per group of rows. A group's own model is trained on other groups: on all others
(cross-fitting: Chernozhukov et al., Double/debiased machine learning, Econometrics J. 2018, sec. 3) or
on the earlier ones only, which is what a log of a policy that was learning asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import Block
from bandit_router.posterior.regression_sums import mark_tasks
from bandit_router.types import NO_TASK, FloatArray, IntArray

RIDGE = 1.0
"""The penalty on a feature's coefficient, in rows where that feature is 1."""

ANCHOR = 1e-3
"""The weight of the average arm in the constant of an arm, in rows."""


@dataclass(frozen=True, slots=True)
class Gram:
    """The sums of one group: ``second`` S (K, M, D, D) and ``cross`` c (K, M, D)."""

    second: FloatArray
    cross: FloatArray

    def __add__(self, other: Gram) -> Gram:
        dim = max(self.cross.shape[-1], other.cross.shape[-1])
        ours, theirs = self.widen(dim), other.widen(dim)
        return Gram(ours.second + theirs.second, ours.cross + theirs.cross)

    def widen(self, dim: int) -> Gram:
        """The sums with zeros for further tasks, so that D is ``dim``."""
        more = dim - self.cross.shape[-1]
        if not more:
            return self
        rest = (0, 0), (0, 0), (0, more)
        return Gram(np.pad(self.second, (*rest, (0, more))), np.pad(self.cross, rest))

    def solve(self) -> FloatArray:
        """Coefficients (K, M, D) of q̂ over [1, x, e]."""
        count, total = self.second[..., 0, 0].sum(axis=0), self.cross[..., 0].sum(axis=0)
        mean = total / np.maximum(count, 1.0)
        centred = self.cross - mean[:, None] * self.second[..., 0]
        penalty = np.full(self.cross.shape[-1], RIDGE)
        penalty[0] = ANCHOR
        theta: FloatArray = np.linalg.solve(self.second + np.diag(penalty), centred[..., None])[..., 0]
        theta[..., 0] += mean
        return theta


@dataclass(frozen=True, slots=True)
class RewardModel:
    """``theta``: for every group of rows, coefficients (K, M, D) trained without that group."""

    theta: Mapping[int, FloatArray]

    def predict(self, x: FloatArray, group: IntArray, tasks: IntArray | None = None) -> FloatArray:
        """q̂ (n, K, M) at contexts x (n, d) on tasks (n,), each row by the model of its group (n,)."""
        tasks = np.full(len(x), NO_TASK) if tasks is None else tasks
        k, m = next(iter(self.theta.values())).shape[:2]
        predicted = np.empty((len(x), k, m))
        for g in np.unique(group).tolist():
            if g not in self.theta:
                raise InvalidInput("block", f"has a group {g} without a model", "prepare the whole log")
            rows, theta = group == g, self.theta[g]
            z = np.hstack([x[rows], mark_tasks(tasks[rows], theta.shape[-1] - 1 - x.shape[1])])
            flat = z @ theta[..., 1:].reshape(k * m, -1).T
            predicted[rows] = flat.reshape(-1, k, m) + theta[..., 0]
        return predicted


@dataclass(frozen=True, slots=True)
class ModelSums:
    """The sums of every group of rows; they add up in any order."""

    groups: Mapping[int, Gram]

    def __add__(self, other: ModelSums) -> ModelSums:
        groups = dict(self.groups)
        for g, gram in other.groups.items():
            groups[g] = groups[g] + gram if g in groups else gram
        return ModelSums(groups)

    @classmethod
    def of(cls, block: Block, group: IntArray) -> ModelSums:
        """The sums of one block, each row in its group (n,)."""
        tasks, weights = block.tasks(), block.outcome_weights()
        z = np.hstack([np.ones((len(block), 1)), block.x, mark_tasks(tasks)])
        k, m, dim = len(block.arms), block.outcomes.shape[1], z.shape[1]
        groups = {
            g: Gram(np.zeros((k, m, dim, dim)), np.zeros((k, m, dim))) for g in np.unique(group).tolist()
        }
        cell = group * k + block.action
        by_cell = np.argsort(cell, kind="stable")
        starts = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
        for rows in np.split(by_cell, starts[1:]) if len(block) else []:
            gram, arm = groups[int(group[rows[0]])], int(block.action[rows[0]])
            _accumulate(gram.second[arm], gram.cross[arm], z[rows], block.outcomes[rows], weights[rows])
        return cls(groups)

    def cross_fit(self) -> RewardModel:
        """Every group's model trained on all other groups."""
        theta = {}
        for g in self.groups:
            others = (gram for h, gram in sorted(self.groups.items()) if h != g)
            theta[g] = sum(others, start=self._zero()).solve()
        return RewardModel(theta)

    def fit_on_past(self) -> RewardModel:
        """Every group's model trained on the groups of smaller number; the first predicts 0."""
        theta, past = {}, self._zero()
        for g, gram in sorted(self.groups.items()):
            theta[g] = past.solve()
            past = past + gram
        return RewardModel(theta)

    def _zero(self) -> Gram:
        gram = next(iter(self.groups.values()))
        return Gram(np.zeros_like(gram.second), np.zeros_like(gram.cross))


def _accumulate(
    second: FloatArray, cross: FloatArray, z: FloatArray, outcomes: FloatArray, weights: FloatArray
) -> None:
    """Add rows of one arm, z (n, D), outcomes and their weights (n, M), to its S (M, D, D) and c (M, D)."""
    for m in range(outcomes.shape[1]):
        same = next((j for j in range(m) if np.array_equal(weights[:, j], weights[:, m])), None)
        observed = weights[:, m] > 0.0
        with_feedback = z if observed.all() else z[observed]
        weighted, capped = with_feedback, weights[observed, m] < 1.0
        if capped.any():
            weighted = with_feedback * weights[observed, m, None]
        # Most outcomes arrive together and share their second moments.
        second[m] = weighted.T @ with_feedback if same is None else second[same]
        cross[m] = outcomes[observed, m] @ weighted
