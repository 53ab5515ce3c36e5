"""The estimator for logs of a policy that was learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators.inputs import EstimatorInputs, Grouping
from bandit_router.evaluation.estimators.sums import Estimate, Moments, add_fields, make_figure
from bandit_router.evaluation.splits import STAGES
from bandit_router.types import FloatArray, IntArray

_TINY = 1e-300  # a divisor where the quotient is not used

_AVERAGE_ROWS = np.array([5.0, 5.0, 0.0])
"""Rows of the average arm in v_a, by outcome. A rare arm whose few rewards were all 0 is not without noise;
costs are never alike by chance, and those of an average arm say nothing about a cheap one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSums:
    """Sums by stage of time; T = STAGES.

    ``terms`` moments of (Γ, q̂(x, π)) on the grid (T, M); ``spread`` Σ π(a|x)²/(e(a|x) ρ) (T, K, M) over
    the arms that could be seen; ``squares`` Σ π(a|x)(y − q̂)² and ``mass`` Σ π(a|x) of observed rows by action
    (K, M); ``all_squares`` Σ (y − q̂)² and ``observed`` rows, and ``informative`` ones, all (M,).
    """

    terms: Moments
    spread: FloatArray
    squares: FloatArray
    mass: FloatArray
    all_squares: FloatArray
    observed: FloatArray
    informative: FloatArray

    def __add__(self, other: StageSums) -> StageSums:
        return add_fields(self, other)


@dataclass(frozen=True, slots=True)
class StabilisedDR:
    """Doubly robust terms, weighted so that no stage of a learning policy drowns the others.

    For rows in order of time, with e the logged PMF, s(i) the stage of row i, and q̂ trained on earlier
    stages only::

        Γ_i = q̂(x, π) + w (ȳ − q̂(x, a)),     V = Σ h_s(i) Γ_i / Σ h_s(i)
        h_s = 1/√φ_(s−1),                    φ_s = mean over stage s of Σ_a π(a|x)²/(e(a|x) ρ_a)
        se² = max(Σ h² (Γ − V)², Σ h² [var_s q̂(x, π) + Σ_a π(a|x)²/(e(a|x) ρ_a) v_a]) / (Σ h)²

    A learning policy stops trying the arms that lose, so terms of a target that takes such an arm grow
    ever more variable, and depend on the past; their plain mean is far from normal. Weights that are
    known beforehand and make the variance level restore normality: √e for one arm without context
    (Hadad et al. 2021, whose weights these are then), 1/√φ with contexts (StableVar of Zhan et al.
    2021). φ of a stage is forecast by the stage before it, because a log has PMFs at its own contexts
    only.

    The variance is the larger of two estimates: the squared terms that happened (Hadad et al.) and, since
    the PMF is known, those to be expected from it (in the manner of Bibaut et al. 2021), where only
    v_a is estimated: the mean squared residual of arm a where the target takes it, with five rows of the
    average arm added for reward and quality. When a rare arm was drawn a few times, the first alone is
    too often too small; the second alone takes v_a for constant over contexts.

    Unbiased but for the ratio. The interval is right when (1) propensities and PMFs are, with a floor
    that no arm falls below; (2) contexts and outcomes do not drift, for V weighs early rows more;
    (3) the policy changes little from one stage to the next; (4) e or q̂ converges. On logs of a fixed
    policy it is DR with a model that learns from the past alone.

    Hadad, Hirshberg, Zhan, Wager & Athey, Confidence intervals for policy evaluation in adaptive
    experiments, PNAS 2021; Zhan, Hadad, Hirshberg & Athey, Off-policy evaluation via adaptive weighting
    with data from contextual bandits, KDD 2021; Bibaut, Chambaz, Dimakopoulou, Kallus & van der Laan,
    Post-contextual-bandit inference, NeurIPS 2021.
    """

    needs: ClassVar[tuple[Grouping, ...]] = ("stages",)

    def collect(self, inputs: EstimatorInputs) -> StageSums:
        q, block = inputs.sequential, inputs.block
        residual = np.where(inputs.observed, inputs.outcomes - q.action, 0.0)
        gamma = q.target + inputs.weight[:, None] * inputs.feedback_weight * residual
        chosen = (block.action[:, None] == np.arange(len(block.arms))).astype(np.float64)
        mass = chosen * inputs.target_at_action[:, None]
        return StageSums(
            terms=_moments_by_stage(np.stack([gamma, q.target], axis=-1), inputs.stage),
            spread=sum_by_stage(term_spread(inputs), inputs.stage),
            squares=mass.T @ residual**2,
            mass=mass.T @ inputs.observed,
            all_squares=(residual**2).sum(axis=0),
            observed=inputs.observed.sum(axis=0).astype(np.float64),
            informative=inputs.informative.sum(axis=0).astype(np.float64),
        )

    def estimate(self, sums: StageSums) -> Estimate:
        h = stage_weights(sums.terms.n, sums.spread.sum(axis=1))
        total = (h * sums.terms.n).sum(axis=0)
        value = (h * sums.terms.n * sums.terms.mean[..., 0]).sum(axis=0) / np.maximum(total, _TINY)
        variance = np.maximum(_realised_variance(sums, h, value), _conditional_variance(sums, h))
        error = np.sqrt(variance) / np.maximum(total, _TINY)
        rows = sums.informative
        estimable = (total > 0) & (rows > 0) & (sums.terms.n.sum(axis=0) >= 2)
        return {
            outcome: make_figure(float(value[m]), float(error[m]), int(rows[m])) if estimable[m] else None
            for m, outcome in enumerate(OUTCOMES)
        }


def _realised_variance(sums: StageSums, h: FloatArray, value: FloatArray) -> FloatArray:
    """Σ h² (Γ − V)², (M,)."""
    off = sums.terms.mean[..., 0] - value
    squares: FloatArray = (h**2 * (sums.terms.scatter[..., 0, 0] + sums.terms.n * off**2)).sum(axis=0)
    return squares


def _conditional_variance(sums: StageSums, h: FloatArray) -> FloatArray:
    """Σ h² [var_s q̂(x, π) + Σ_a π²/(e ρ_a) v_a], (M,)."""
    average = sums.all_squares / np.maximum(sums.observed, 1.0)
    rows = sums.mass + _AVERAGE_ROWS
    v = (sums.squares + _AVERAGE_ROWS * average) / np.maximum(rows, _TINY)
    expected: FloatArray = (h**2 * (sums.terms.scatter[..., 1, 1] + (sums.spread * v).sum(axis=1))).sum(
        axis=0
    )
    return expected


def term_spread(inputs: EstimatorInputs) -> FloatArray:
    """π(a|x)²/(e(a|x) ρ_a) of every row, arm and outcome (n, K, M); 0 where the arm could not be seen."""
    block = inputs.block
    e = block.logged[:, :, None] * inputs.nuisance.feedback_share
    squared = np.broadcast_to((block.target**2)[:, :, None], e.shape)
    return np.divide(squared, e, out=np.zeros_like(e), where=e > 0)


def sum_by_stage(values: FloatArray, stage: IntArray) -> FloatArray:
    """Sums of values (n, …) over the rows of each stage, (T, …)."""
    sums = np.zeros((STAGES, *values.shape[1:]))
    for s in np.unique(stage):
        sums[s] = values[stage == s].sum(axis=0)
    return sums


def stage_weights(rows: FloatArray, spread: FloatArray) -> FloatArray:
    """h (T, M), from the rows and the summed spread of each stage, both (T, M); 0 for a stage without rows.

    A stage is weighted by the one before it that has rows, the first (three rows) by itself.
    """
    h = np.zeros_like(spread)
    stages = np.flatnonzero(rows[:, 0])
    mean = spread[stages] / rows[stages]
    forecast = np.vstack([mean[:1], mean[:-1]])
    h[stages] = np.divide(1.0, np.sqrt(forecast), out=np.zeros_like(forecast), where=forecast > 0)
    return h


def _moments_by_stage(vectors: FloatArray, stage: IntArray) -> Moments:
    """Moments of vectors (n, M, p) on the grid (T, M)."""
    _, m, p = vectors.shape
    grid = Moments(np.zeros((STAGES, m)), np.zeros((STAGES, m, p)), np.zeros((STAGES, m, p, p)))
    for s in np.unique(stage):
        moments = Moments.of(vectors[stage == s])
        grid.n[s], grid.mean[s], grid.scatter[s] = moments.n, moments.mean, moments.scatter
    return grid
