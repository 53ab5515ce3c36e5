"""Estimators that weigh observed outcomes, without a reward model: IPS, clipped IPS and SNIPS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.evaluation.estimators.base import RatioEstimator, require_positive
from bandit_router.evaluation.estimators.inputs import EstimatorInputs
from bandit_router.evaluation.estimators.sums import RatioSums


@dataclass(frozen=True, slots=True)
class IPS(RatioEstimator):
    """Inverse propensity scoring: V = Σ w ȳ / n.

    Unbiased when the propensities are right and every action the target takes could have been logged.
    Its variance grows with E[w²]: near the edge of overlap it is large, and the interval too short.
    The standard error is that of a mean.

    Horvitz & Thompson, A generalization of sampling without replacement, JASA 1952; Strehl et al.,
    Learning from logged implicit exploration data, NeurIPS 2010.
    """

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        u = inputs.weight[:, None] * inputs.feedback_weight * inputs.outcomes
        return RatioSums.of(u, np.ones_like(u), inputs.informative)


@dataclass(frozen=True, slots=True)
class ClippedIPS(RatioEstimator):
    """IPS with bounded weights: V = Σ min(w, clip) ȳ / n.

    Biased towards 0, by Σ (w − clip)₊ ȳ / n on average, for the smaller variance; the interval does
    not cover that bias. Compare several clips, as the diagnostics do.

    Ionides, Truncated importance sampling, J. Comput. Graph. Stat. 2008; Bottou et al.,
    Counterfactual reasoning and learning systems, JMLR 2013, sec. 4.2.
    """

    clip: float = 20.0

    def __post_init__(self) -> None:
        require_positive("clipped-ips", "clip", self.clip)

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        u = np.minimum(inputs.weight, self.clip)[:, None] * inputs.feedback_weight * inputs.outcomes
        return RatioSums.of(u, np.ones_like(u), inputs.informative)


@dataclass(frozen=True, slots=True)
class SNIPS(RatioEstimator):
    """Self-normalised IPS: V = Σ w ȳ / Σ w, the second sum over rows with feedback, each weighing 1/ρ.

    A weighted mean, so it stays within the range of the outcomes. Consistent under the conditions of
    IPS, with a bias of order 1/n. The standard error is that of a ratio, by the delta method:
    se² = Σ w² (y − V)² / (Σ w)².

    Swaminathan & Joachims, The self-normalized estimator for counterfactual learning, NeurIPS 2015;
    Owen, Monte Carlo theory, methods and examples, sec. 9.2.
    """

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        v = inputs.weight[:, None] * inputs.feedback_weight
        return RatioSums.of(v * inputs.outcomes, v, inputs.informative)
