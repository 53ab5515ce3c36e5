"""The value of the logged policy less that of others, estimated on the same rows.

Both values are doubly robust (:class:`~bandit_router.evaluation.estimators.doubly_robust.DR`), and their
difference is the mean of the differences row by row::

    D = Σ [Γ_i(e) − Γ_i(π)] / n,    Γ_i(π) = q̂(x, π) + π(a|x)/p · (ȳ − q̂(x, a))
    se² = Σ (Γ_i(e) − Γ_i(π) − D)² / n(n − 1)

with e the logged PMF. Whatever makes a query dear or easy under both policies cancels, so that the interval
is narrower than two independent ones would give.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from bandit_router.evaluation.block import Block
from bandit_router.evaluation.estimators import Estimate, EstimatorInputs, Nuisance, prepare
from bandit_router.evaluation.estimators.doubly_robust import DR, corrected_terms
from bandit_router.evaluation.estimators.inputs import empty_log_error
from bandit_router.evaluation.estimators.sums import RatioSums
from bandit_router.evaluation.targets import target_pmf
from bandit_router.policies import Policy
from bandit_router.types import FloatArray


def estimate_contrasts(blocks: Sequence[Block], policies: Mapping[str, Policy]) -> dict[str, Estimate]:
    """The logged policy's value less each policy's, by outcome; none of the policies may learn.

    Whether the log can carry these figures is for the gate to say. Raises InvalidInput for an empty log.
    """
    if not blocks:
        raise empty_log_error()
    nuisance = reduce(operator.add, (prepare(block, DR.needs) for block in blocks)).fit()
    return {
        name: reduce(operator.add, (_collect(block, policy, nuisance) for block in blocks)).estimate()
        for name, policy in policies.items()
    }


def _collect(block: Block, policy: Policy, nuisance: Nuisance) -> RatioSums:
    logged, target = block.logged, target_pmf(block, policy, None)
    u = _terms(block, logged, nuisance) - _terms(block, target, nuisance)
    return RatioSums.of(u, np.ones_like(u), ~np.isnan(block.outcomes))


def _terms(block: Block, pmf: FloatArray, nuisance: Nuisance) -> FloatArray:
    inputs = EstimatorInputs(block.with_target(pmf), nuisance)
    return corrected_terms(inputs, inputs.weight)
