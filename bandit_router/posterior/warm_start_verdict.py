"""Whether a warm start is evidence of these arms, of other arms, or of nothing, given the arms' own outcomes.

Evidence from elsewhere is sums W of the same kind as the arms' own sums O. It may be of these very arms; of
*strangers*, K more arms under the same θ_0, which tell how good models are and which queries are hard, but
not which arm is which; or of nothing alike. The verdict is the hypothesis that makes both most probable::

    log p(O, W | same) + PRIOR_LOG_ODDS,    log p(O, W | strangers),    log p(O) + log p(W)

So labels that are wrong, or are of other models under the same names, are dropped at once instead of outcome
by outcome, and what they say of queries is kept. If one model of several is another one, all are treated as
strangers: an arm that is not what it was said to be casts doubt on those that were not tried yet.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from bandit_router.posterior.hierarchical_system import Hyperprior, log_evidence
from bandit_router.posterior.regression_sums import RegressionSums, add_sums, concatenate_sums
from bandit_router.types import FloatArray

PRIOR_LOG_ODDS = 4.0
"""Of a warm start being of these arms, over each alternative; values from 3 to 5 do about as well."""


class WarmStartVerdict(StrEnum):
    """What a warm start counts as evidence of."""

    SAME = "these models"
    STRANGERS = "other models"
    NOTHING = "nothing"


def judge_warm_start(
    own: RegressionSums, other: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior
) -> WarmStartVerdict:
    """The verdict that makes the arms' own outcomes and the ``other`` ones together most probable."""

    def log_density(sums: RegressionSums) -> float:
        noises = np.resize(noise, len(sums.weight))  # a stranger has the noise of the arm of its name
        return log_evidence(sums, noises, mu, hyper)

    log_densities = {
        WarmStartVerdict.SAME: log_density(add_sums(own, other)) + PRIOR_LOG_ODDS,
        WarmStartVerdict.STRANGERS: log_density(concatenate_sums(own, other)),
        WarmStartVerdict.NOTHING: log_density(own) + log_density(other),
    }
    return max(log_densities, key=log_densities.__getitem__)


def combine_with_warm_start(
    own: RegressionSums, other: RegressionSums, verdict: WarmStartVerdict
) -> RegressionSums:
    """The sums to solve: both added for the same arms, side by side for strangers, else the arms' own."""
    if verdict is WarmStartVerdict.SAME:
        return add_sums(own, other)
    return concatenate_sums(own, other) if verdict is WarmStartVerdict.STRANGERS else own
