"""PMFs of target policies at logged decisions.

A policy that learns is scored by posteriors of the log itself, cross-fitted: a row of one fold is scored
by the posterior of the rewards in all other folds, under the router's own prior. The estimate answers what
the policy would earn from now on with the knowledge in this log, and no posterior judges a row whose reward
it counts. In the log of a policy that was learning, later actions depend on that reward, which leaves a bias
of the order of the posterior's own error: in simulation −0.007 to −0.010 after 150 rows in which no arm was
better, none after a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import REWARD, Block
from bandit_router.evaluation.splits import FOLDS
from bandit_router.policies import Policy, list_computed_signals
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.signals.classifier import P_COMPLEX
from bandit_router.types import BoolArray, FloatArray, IntArray, Scores

_CURE = "have it logged ([[rules]] or [classifier] make it), and evaluate the decisions made since"


@dataclass(frozen=True, slots=True)
class BlindMix(Policy):
    """The same probabilities for every query with the same eligible arms, which are the keys."""

    learns = False
    weights: Mapping[tuple[str, ...], tuple[float, ...]]

    @property
    def spec(self) -> str:
        return "mix"

    def pmf(self, scores: Scores) -> list[float]:
        return list(self.weights[scores.arms])


def is_blind(policy: Policy) -> bool:
    """Whether the policy depends on the set of eligible arms alone."""
    return not policy.learns and not policy.reads


@dataclass(frozen=True, slots=True)
class FoldStatistics:
    """The statistics of the rewards of each fold; they add up in any order."""

    folds: tuple[SufficientStatistics, ...]

    def __add__(self, other: FoldStatistics) -> FoldStatistics:
        return FoldStatistics(tuple(a.merge(b) for a, b in zip(self.folds, other.folds, strict=True)))

    def held_out(self) -> tuple[Posterior, ...]:
        """For each fold the posterior of all others."""
        posteriors = []
        for f in range(FOLDS):
            others = [statistics for g, statistics in enumerate(self.folds) if g != f]
            posteriors.append(reduce(SufficientStatistics.merge, others).solve())
        return tuple(posteriors)


def add_missing_arms(prior: SufficientStatistics, arms: Sequence[str]) -> SufficientStatistics:
    """The prior with every arm of a log in it. A missing arm gets the prior of the first.

    Raises InvalidInput when the prior has no arm.
    """
    missing = [arm for arm in arms if arm not in prior]
    if not missing:
        return prior
    if not prior.arms:
        raise InvalidInput("log", "comes with a posterior of no arm", "export it again")
    like = Prior(mean=prior.prior_mean[0].copy(), precision=prior.prior_precision[0].copy())
    return prior.with_arms(dict.fromkeys(missing, like))


def learn_folds(block: Block, prior: SufficientStatistics) -> FoldStatistics:
    """Count the rewards of a block, each in its fold. ``prior`` is without evidence."""
    folds = tuple(prior.without_evidence() for _ in range(FOLDS))
    reward, weights, tasks = block.outcomes[:, REWARD], block.reward_weights(), block.tasks()
    cell = block.fold * len(block.arms) + block.action
    for rows in _group_rows(np.where(np.isnan(reward), -1, cell)):
        if not np.isnan(reward[rows[0]]):
            arm = block.arms[block.action[rows[0]]]
            at = block.decided_at[rows]
            fold = folds[block.fold[rows[0]]]
            fold.observe_many(arm, block.x[rows], reward[rows], at, weights[rows], tasks[rows])
    return FoldStatistics(folds)


class Beliefs(NamedTuple):
    """Mean and standard deviation of the reward of every arm at every row, both (n, K)."""

    mean: FloatArray
    std: FloatArray


def believe(block: Block, held_out: tuple[Posterior, ...]) -> Beliefs:
    """Predict the rewards of each row by the posterior that does not count its fold."""
    shape = len(block), len(block.arms)
    beliefs, tasks = Beliefs(np.empty(shape), np.empty(shape)), block.tasks()
    for rows in _group_rows(block.fold):
        posterior = held_out[block.fold[rows[0]]]
        columns = [posterior.index(arm) for arm in block.arms]
        predictions = posterior.predict_many(block.x[rows], tasks[rows])
        for believed, predicted in zip(beliefs, predictions, strict=True):
            believed[rows] = predicted[:, columns]
    return beliefs


def target_pmf(
    block: Block, policy: Policy, beliefs: Beliefs | None, cost_weight: float | None = None
) -> FloatArray:
    """The policy's PMF at every row (n, K); 0 where an arm is not eligible.

    ``cost_weight`` replaces the logged one (λ, 1/USD). ``beliefs`` may be None for a policy that does not
    learn. Raises InvalidInput when the policy needs beliefs, or a signal, that are missing.
    """
    pmf = np.zeros(block.eligible.shape)
    names = np.array(block.arms, dtype=object)
    if beliefs is None and policy.learns:
        raise InvalidInput("policy", f"{policy.spec} needs a posterior", "export the log with one")
    _require_signals(block, policy)
    if is_blind(policy):
        for rows, eligible in group_by_eligible(block):
            k = np.flatnonzero(eligible)
            zeros = np.zeros(len(k))
            scores = Scores(tuple(names[k]), block.x[rows[0]], zeros, zeros, zeros, zeros)
            pmf[np.ix_(rows, k)] = policy.pmf(scores)
        return pmf
    beliefs = beliefs or Beliefs(*np.zeros((2, *block.eligible.shape)))
    weight = block.cost_weight if cost_weight is None else np.full(len(block), cost_weight)
    utility = beliefs.mean - weight[:, None] * block.expected_cost_usd
    for rows, eligible in group_by_eligible(block):
        k = np.flatnonzero(eligible)
        arms = tuple(names[k])
        scored = [values[np.ix_(rows, k)] for values in (*beliefs, block.expected_cost_usd, utility)]
        probabilities = [
            policy.pmf(Scores(arms, block.x[i], mean, std, cost, u, block.signals_at(i)))
            for i, mean, std, cost, u in zip(rows.tolist(), *scored, strict=True)
        ]
        pmf[np.ix_(rows, k)] = probabilities
    return pmf


def _require_signals(block: Block, policy: Policy) -> None:
    """Raise InvalidInput when rows lack a signal the policy goes by: it would have acted otherwise live."""
    for name in list_computed_signals(policy):
        if not all(name in block.signals_at(i) for i in range(len(block))):
            problem = f"has rows without the signal {name!r}, which {policy.spec} goes by"
            cure = f"give --classifier FILE, or {_CURE}" if name == P_COMPLEX else _CURE
            raise InvalidInput("log", problem, cure)


def group_by_eligible(block: Block) -> Iterator[tuple[IntArray, BoolArray]]:
    """The rows of every set of eligible arms, and the set."""
    _, pattern = np.unique(block.eligible, axis=0, return_inverse=True)
    for rows in _group_rows(pattern.reshape(-1)):
        yield rows, block.eligible[rows[0]]


def _group_rows(label: IntArray) -> list[IntArray]:
    """The rows of every label, in ascending order."""
    if not len(label):
        return []
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order]))
    return np.split(order, starts + 1)
