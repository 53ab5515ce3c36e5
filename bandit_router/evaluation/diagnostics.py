"""Diagnostics of a log: how much it says about a target policy, and whether its propensities can be true.

Everything is a sum (or a largest value) over blocks. Weights W = w/ρ are those of rows with feedback, as
in :mod:`bandit_router.evaluation.estimators.inputs`.

**Checks of the log itself.** If the logged PMF e is what the actions were drawn from, then
1{a was chosen} − e(a|x) has mean 0 given everything before it, and so has its product with any feature.
Summed over the log, such differences stay below Freedman's bound (Freedman, On tail probabilities for
martingales, Ann. Prob. 1975): |Σ| ≤ bL/3 + √((bL/3)² + 2VL) but for a chance of 2 exp(−L), where V is the
sum of conditional variances and b the largest step. It holds in logs of learning policies too.
``misfit`` is the largest |Σ| over its bound, over all arms and features: above 1, the log is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators.inputs import EstimatorInputs, Grouping, Nuisance
from bandit_router.evaluation.estimators.stabilised import stage_weights, sum_by_stage, term_spread
from bandit_router.evaluation.estimators.sums import Figure, Largest, RatioSums, add_fields
from bandit_router.types import FloatArray

NEEDS: Sequence[Grouping] = ("folds",)
"""The reward models that the diagnostics read."""

CLIPS = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""The clips at which sensitivity to clipping is shown."""

FALSE_ALARM = 1e-6
"""The chance that a right log fails the check of its PMF, and again that of its mean weight."""

_NO_VARIANCE = 1e-9  # what rounding leaves of a variance of 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DiagnosticSums:
    """Sums over rows, with D = d + 1 features [1, x] and T stages.

    ``rows`` n, ``weight`` Σ w, ``variance`` Σ Var(w | x), ``target`` Σ π and ``claimed`` Σ e (K,), and
    ``supported`` Σ π where e > 0 (K,); ``weights`` Σ W and ``squares`` Σ W² (M,); ``excess`` Σ (1{a} − e) z
    and its ``doubt`` Σ e(1 − e) z² (K, D); ``clipped`` terms of clipped IPS, (C · M) columns;
    ``residual`` terms w (y − q̂); ``predicted`` Σ q̂ and ``observed`` Σ y by action (K, M); by stage,
    ``spread`` and the rows, ΣW and ΣW² in ``stages`` (T, M, 3). Largest: ``top`` W (M,), ``reach`` |z| (D,),
    ``possible`` any w there could have been, ``least`` minus the propensity, ``gap`` |e(a)/propensity − 1|,
    ``skew`` |e − uniform|.
    """

    rows: float
    weight: float
    variance: float
    target: FloatArray
    claimed: FloatArray
    supported: FloatArray
    weights: FloatArray
    squares: FloatArray
    excess: FloatArray
    doubt: FloatArray
    clipped: RatioSums
    residual: RatioSums
    predicted: FloatArray
    observed: FloatArray
    spread: FloatArray
    stages: FloatArray
    top: Largest
    reach: Largest
    possible: Largest
    least: Largest
    gap: Largest
    skew: Largest

    def __add__(self, other: DiagnosticSums) -> DiagnosticSums:
        return add_fields(self, other)


def collect_diagnostics(inputs: EstimatorInputs) -> DiagnosticSums:
    """The diagnostic sums of one block."""
    block, w = inputs.block, inputs.weight
    n, k = block.logged.shape
    z = np.column_stack([np.ones(n), block.x])
    chosen = (block.action[:, None] == np.arange(k)).astype(np.float64)
    weights = w[:, None] * inputs.feedback_weight
    possible = np.divide(block.target, block.logged, out=np.zeros((n, k)), where=block.logged > 0)
    supported = np.where(block.logged > 0, block.target, 0.0)
    clipped = np.minimum(w[:, None], CLIPS)[:, :, None] * (inputs.feedback_weight * inputs.outcomes)[:, None]
    clipped = clipped.reshape(n, len(CLIPS) * len(OUTCOMES))
    q = inputs.cross_fitted.action
    at_action = block.logged[np.arange(n), block.action]
    uniform = block.eligible / block.eligible.sum(axis=1, keepdims=True)
    return DiagnosticSums(
        rows=float(n),
        weight=float(w.sum()),
        variance=float((possible * block.target).sum() - (supported.sum(axis=1) ** 2).sum()),
        target=block.target.sum(axis=0),
        claimed=block.logged.sum(axis=0),
        supported=supported.sum(axis=0),
        weights=weights.sum(axis=0),
        squares=(weights**2).sum(axis=0),
        excess=(chosen - block.logged).T @ z,
        doubt=(block.logged * (1.0 - block.logged)).T @ z**2,
        clipped=RatioSums.of(clipped, np.ones_like(clipped), np.tile(inputs.informative, len(CLIPS))),
        residual=RatioSums.of(weights * (inputs.outcomes - q), np.ones_like(weights), inputs.informative),
        predicted=chosen.T @ (q * inputs.observed),
        observed=chosen.T @ inputs.outcomes,
        spread=sum_by_stage(term_spread(inputs).sum(axis=1), inputs.stage),
        stages=sum_by_stage(np.stack([np.ones_like(weights), weights, weights**2], axis=-1), inputs.stage),
        top=_largest(weights),
        reach=_largest(np.abs(z)),
        possible=_largest(possible.max(axis=1)),
        least=_largest(-block.propensity),
        gap=_largest(np.abs(at_action / block.propensity - 1.0)),
        skew=_largest(np.abs(block.logged - uniform).max(axis=1)),
    )


def _largest(values: FloatArray) -> Largest:
    return Largest(values.max(axis=0, initial=-1.0))


class ArmDiagnostics(NamedTuple):
    """One arm in the log. Shares are of all rows; mappings are by outcome.

    ``chosen`` is the share of rows that took it and ``claimed`` what the logged PMF promised; ``excess_z`` is
    their difference in standard errors (None where there is no randomness). ``target`` is the share
    the target policy gives it, ``unsupported`` the part of that where the log could not have taken it.
    ``predicted`` and ``observed`` are means over its rows with feedback: they differ where the reward
    model is off.
    """

    rows: int
    chosen: float
    claimed: float
    excess_z: float | None
    target: float
    unsupported: float
    missing: Mapping[str, float]
    predicted: Mapping[str, float | None]
    observed: Mapping[str, float | None]


class OutcomeDiagnostics(NamedTuple):
    """The evidence that the weights leave in the log for one outcome.

    ``rows`` have feedback, ``missing`` is the share that has none; ``ess`` = (ΣW)²/ΣW² and ``stabilised_ess``
    the same under the weights of stabilised DR; ``unsupported`` is the share of the target's decisions
    without support by rows with feedback; ``clipped`` the value of IPS by clip; ``model_bias`` the mean of
    w (y − q̂), which is DR less DM.
    """

    rows: int
    missing: float
    ess: float
    ess_share: float
    stabilised_ess: float
    largest_weight: float
    largest_share: float
    unsupported: float
    clipped: Mapping[float, Figure | None]
    model_bias: Figure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostics:
    """Checks to pass before an estimate is believed.

    ``mean_weight`` should be 1, ``mean_weight_z`` is its distance in standard errors (None when the
    weights cannot vary) and ``mean_weight_misfit`` in Freedman bounds. ``propensity_gap`` is the largest
    |e(a)/propensity − 1|; ``uniform_gap`` the largest |e − 1/eligible|. ``misfit`` is the largest sum of
    1{a} − e, by itself or times a feature, over its bound; ``misfit_arm`` is where.
    """

    rows: int
    mean_weight: float
    mean_weight_z: float | None
    mean_weight_misfit: float
    smallest_propensity: float
    propensity_gap: float
    uniform_gap: float
    misfit: float
    misfit_arm: str
    arms: Mapping[str, ArmDiagnostics]
    outcomes: Mapping[str, OutcomeDiagnostics]


def diagnose(sums: DiagnosticSums, nuisance: Nuisance) -> Diagnostics:
    """The diagnostics of a whole log, from its sums."""
    bound = _freedman_bound(sums.doubt, sums.reach.value, sums.doubt.size)
    misfit = np.divide(np.abs(sums.excess), bound, out=np.zeros_like(bound), where=bound > 0)
    off = sums.weight - float(sums.supported.sum())
    allowed = _freedman_bound(np.array(sums.variance), np.maximum(sums.possible.value, 1.0), 1)
    return Diagnostics(
        rows=int(sums.rows),
        mean_weight=sums.weight / sums.rows,
        mean_weight_z=_z_score(sums.weight - sums.rows, sums.variance),
        mean_weight_misfit=float(abs(off) / allowed),
        smallest_propensity=-float(sums.least.value),
        propensity_gap=float(sums.gap.value),
        uniform_gap=float(sums.skew.value),
        misfit=float(misfit.max()),
        misfit_arm=nuisance.arms[int(misfit.max(axis=1).argmax())],
        arms={arm: _diagnose_arm(sums, nuisance, k) for k, arm in enumerate(nuisance.arms)},
        outcomes={outcome: _diagnose_outcome(sums, nuisance, m) for m, outcome in enumerate(OUTCOMES)},
    )


def _diagnose_arm(sums: DiagnosticSums, nuisance: Nuisance, k: int) -> ArmDiagnostics:
    n, rows, observed = sums.rows, nuisance.rows[k], nuisance.observed[k]
    return ArmDiagnostics(
        rows=int(rows),
        chosen=float(rows / n),
        claimed=float(sums.claimed[k] / n),
        excess_z=_z_score(float(sums.excess[k, 0]), float(sums.doubt[k, 0])),
        target=float(sums.target[k] / n),
        unsupported=float((sums.target[k] - sums.supported[k]) / n),
        missing=_by_outcome(1.0 - observed / max(rows, 1.0)),
        predicted=_means(sums.predicted[k], observed),
        observed=_means(sums.observed[k], observed),
    )


def _diagnose_outcome(sums: DiagnosticSums, nuisance: Nuisance, m: int) -> OutcomeDiagnostics:
    rows = float(nuisance.observed[:, m].sum())
    ess = _effective_rows(float(sums.weights[m]), float(sums.squares[m]))
    h = stage_weights(sums.stages[..., 0], sums.spread)[:, m]
    supported = float(sums.supported @ (nuisance.observed[:, m] > 0))
    clipped = sums.clipped.figures()[m :: len(OUTCOMES)]
    return OutcomeDiagnostics(
        rows=int(rows),
        missing=1.0 - rows / sums.rows,
        ess=ess,
        ess_share=ess / sums.rows,
        stabilised_ess=_effective_rows(float(h @ sums.stages[:, m, 1]), float(h**2 @ sums.stages[:, m, 2])),
        largest_weight=float(sums.top.value[m]),
        largest_share=float(sums.top.value[m] / sums.weights[m]) if sums.weights[m] > 0 else 0.0,
        unsupported=max(0.0, 1.0 - supported / sums.rows),
        clipped=dict(zip(CLIPS, clipped, strict=True)),
        model_bias=sums.residual.figures()[m],
    )


def _freedman_bound(variance: FloatArray, reach: FloatArray, tests: int) -> FloatArray:
    """Freedman's bound on each of ``tests`` sums, exceeded by any with probability FALSE_ALARM at most."""
    level = math.log(2.0 * tests / FALSE_ALARM)
    step = reach * level / 3.0
    return np.asarray(step + np.sqrt(step**2 + 2.0 * variance * level))


def _effective_rows(total: float, squares: float) -> float:
    return total**2 / squares if squares > 0 else 0.0


def _z_score(difference: float, variance: float) -> float | None:
    return difference / math.sqrt(variance) if variance > _NO_VARIANCE else None


def _by_outcome(values: FloatArray) -> dict[str, float]:
    return dict(zip(OUTCOMES, values.tolist(), strict=True))


def _means(totals: FloatArray, counts: FloatArray) -> dict[str, float | None]:
    return {o: float(totals[m] / counts[m]) if counts[m] else None for m, o in enumerate(OUTCOMES)}
