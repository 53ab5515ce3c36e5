"""The inputs of estimators: sums of a first pass over the log, weights and predictions in the second.

**Missing feedback.** A row without feedback on an outcome gets weight 0 there; it is never a reward of
0. To make up for it, the other rows of the same arm weigh 1/ρ more, with ρ the share of that arm's
rows that have feedback. That is right when feedback is missing at random given the arm: whether it
comes may depend on which model answered, but not on the query or on how good the answer was. If
dissatisfied users write more, no estimator here can know. ρ is treated as known, which makes the
intervals slightly too wide.

Where a coin with a logged probability q decided beforehand which answers are judged, feedback comes more
often on those it chose, and q may differ between rows. Then ρ = q ρ₁ + (1 − q) ρ₀ of each row, where ρ₁ and
ρ₀ are the shares of the arm's rows with feedback among those that the coin chose, and among the others.

**Capped keys.** A reward that was accepted with a weight ω below 1 counts as ω of a row with feedback, as it
does where the router learns: it weighs ω/ρ, and ρ is the sum of ω over the arm's rows, by their number.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import Block, TargetBlock
from bandit_router.evaluation.reward_model import ModelSums, RewardModel
from bandit_router.evaluation.splits import assign_stages
from bandit_router.types import JUDGED_PROBABILITY, WILL_BE_JUDGED, BoolArray, FloatArray, IntArray

Grouping = Literal["folds", "stages"]
"""The groups a reward model is held out by: cross-fitting folds, or stages of time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSums:
    """The first pass: rows per arm (K,), those with feedback (K, M), and reward model sums.

    ``heard`` (K, M) is what feedback weighs. ``drawn_rows`` and ``drawn_heard`` are of the rows that a coin
    chose to have judged. Nothing here depends on the target policy.
    """

    arms: tuple[str, ...]
    rows: FloatArray
    observed: FloatArray
    heard: FloatArray
    drawn_rows: FloatArray
    drawn_heard: FloatArray
    folds: ModelSums
    stages: ModelSums

    def __add__(self, other: LogSums) -> LogSums:
        if self.arms != other.arms:
            raise InvalidInput("arms", "differ between blocks", "list every arm of the log in each")
        return LogSums(
            arms=self.arms,
            rows=self.rows + other.rows,
            observed=self.observed + other.observed,
            heard=self.heard + other.heard,
            drawn_rows=self.drawn_rows + other.drawn_rows,
            drawn_heard=self.drawn_heard + other.drawn_heard,
            folds=self.folds + other.folds,
            stages=self.stages + other.stages,
        )

    def fit(self) -> Nuisance:
        """The quantities of the whole log that the second pass needs. InvalidInput for an empty log."""
        if not self.rows.any():
            raise empty_log_error()
        return Nuisance(
            arms=self.arms,
            rows=self.rows,
            observed=self.observed,
            heard=self.heard,
            drawn_rows=self.drawn_rows,
            drawn_heard=self.drawn_heard,
            folds=self.folds.cross_fit() if self.folds.groups else None,
            stages=self.stages.fit_on_past() if self.stages.groups else None,
        )


def prepare(block: Block, needs: Collection[Grouping]) -> LogSums:
    """The first pass over one block, with sums for the reward models that are needed."""
    k = len(block.arms)
    chosen = block.action[:, None] == np.arange(k)
    drawn, weights = chosen & read_coins(block).drawn[:, None], block.outcome_weights()
    nothing = ModelSums({})
    return LogSums(
        arms=block.arms,
        rows=chosen.sum(axis=0).astype(np.float64),
        observed=chosen.T.astype(np.float64) @ (weights > 0.0),
        heard=chosen.T.astype(np.float64) @ weights,
        drawn_rows=drawn.sum(axis=0).astype(np.float64),
        drawn_heard=drawn.T.astype(np.float64) @ weights,
        folds=ModelSums.of(block, block.fold) if "folds" in needs else nothing,
        stages=ModelSums.of(block, assign_stages(block.order)) if "stages" in needs else nothing,
    )


class Coins(NamedTuple):
    """What decided which answers are judged: the probability of each row, and whether it fell so (n,)."""

    probability: FloatArray
    drawn: BoolArray


def read_coins(block: Block) -> Coins:
    """The coins of a block; a row without one had no chance."""
    n = len(block)
    if not block.signals:
        return Coins(np.zeros(n), np.zeros(n, dtype=np.bool_))
    pairs = [(s.get(JUDGED_PROBABILITY, 0.0), s.get(WILL_BE_JUDGED, 0.0)) for s in block.signals]
    probability, coin = np.array(pairs, dtype=np.float64).T
    return Coins(probability, coin == 1.0)


def empty_log_error() -> InvalidInput:
    """The error for a log without rows."""
    return InvalidInput("log", "has no rows", "log decisions whose reason is 'policy'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nuisance:
    """The results of the first pass: rows per arm (K,), those with feedback (K, M), and reward models.

    ``heard`` (K, M) is what feedback weighs. ``drawn_rows`` and ``drawn_heard`` are of the rows that a coin
    chose to have judged.
    """

    arms: tuple[str, ...]
    rows: FloatArray
    observed: FloatArray
    heard: FloatArray
    drawn_rows: FloatArray
    drawn_heard: FloatArray
    folds: RewardModel | None = None
    stages: RewardModel | None = None

    @property
    def feedback_share(self) -> FloatArray:
        """ρ (K, M): the weight of feedback by the rows of its arm; 0 for an arm never chosen."""
        return _divide_by_rows(self.heard, self.rows)

    def find_feedback_share(self, action: IntArray, coins: Coins) -> FloatArray:
        """ρ of each row (n, M), given its action (n,) and its coin."""
        drawn = _divide_by_rows(self.drawn_heard, self.drawn_rows)
        others = _divide_by_rows(self.heard - self.drawn_heard, self.rows - self.drawn_rows)
        q = coins.probability[:, None]
        share: FloatArray = q * drawn[action] + (1.0 - q) * others[action]
        return share


def _divide_by_rows(heard: FloatArray, rows: FloatArray) -> FloatArray:
    share: FloatArray = heard / np.maximum(rows, 1.0)[:, None]
    return share


class Prediction(NamedTuple):
    """Outcomes a reward model predicts, both (n, M): under the target policy, and of the logged action."""

    target: FloatArray
    action: FloatArray


@dataclass(frozen=True)
class EstimatorInputs:
    """One block with its weights and predictions, as estimators read it. All properties are cached.

    ``scale`` (n, M) multiplies every outcome and prediction, row by row: with λ in the column of the cost,
    costs become λ · cost.
    """

    block: TargetBlock
    nuisance: Nuisance
    scale: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.block.arms != self.nuisance.arms:
            raise InvalidInput("arms", "differ from those of the first pass", "run both over one log")

    @cached_property
    def target_at_action(self) -> FloatArray:
        """π(a|x) of the logged action, (n,)."""
        return self.block.target[np.arange(len(self.block)), self.block.action]

    @cached_property
    def weight(self) -> FloatArray:
        """w = π(a|x) / propensity, (n,)."""
        return self.target_at_action / self.block.propensity

    @cached_property
    def observed(self) -> BoolArray:
        """Whether there is feedback that weighs anything, (n, M)."""
        return self.outcome_weights > 0.0

    @cached_property
    def outcome_weights(self) -> FloatArray:
        """ω, the weight of each outcome, 0 where there is no feedback (n, M)."""
        return self.block.outcome_weights()

    @cached_property
    def feedback_weight(self) -> FloatArray:
        """ω/ρ, which is 0 where there is no feedback, (n, M): its expectation is 1."""
        share = self.nuisance.find_feedback_share(self.block.action, read_coins(self.block))
        where = self.observed & (share > 0.0)
        return np.divide(self.outcome_weights, share, out=np.zeros_like(share), where=where)

    @cached_property
    def informative(self) -> BoolArray:
        """Whether there is feedback on an action the target could take, (n, M)."""
        return self.observed & (self.weight > 0)[:, None]

    @cached_property
    def outcomes(self) -> FloatArray:
        """The outcomes (n, M), with 0 where missing: always multiply by ``feedback_weight``."""
        outcomes = np.where(self.observed, self.block.outcomes, 0.0)
        return outcomes if self.scale is None else outcomes * self.scale

    @cached_property
    def stage(self) -> IntArray:
        """The stage of each row, (n,)."""
        return assign_stages(self.block.order)

    @cached_property
    def cross_fitted(self) -> Prediction:
        """By the model trained on the other folds."""
        return self._predict("folds", self.nuisance.folds, self.block.fold)

    @cached_property
    def sequential(self) -> Prediction:
        """By the model trained on the earlier stages."""
        return self._predict("stages", self.nuisance.stages, self.stage)

    def _predict(self, kind: Grouping, model: RewardModel | None, group: IntArray) -> Prediction:
        if model is None:
            raise InvalidInput("needs", f"did not have {kind!r} in the first pass", "prepare with it")
        q = model.predict(self.block.x, group, self.block.tasks())
        if self.scale is not None:
            q = q * self.scale[:, None, :]
        direct = np.einsum("nk,nkm->nm", self.block.target, q)
        return Prediction(direct, q[np.arange(len(q)), self.block.action])
