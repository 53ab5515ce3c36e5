"""The protocol of estimators: sums over blocks that add up in any order, then an estimate from the sums.

    log = sum of prepare(block, needs)              first pass
    inputs = EstimatorInputs(block, log.fit())
    sums = sum of estimator.collect(inputs)         second pass
    estimate = estimator.estimate(sums)

Notation in the formulas: rows i = 1…n with context x, action a, propensity p and outcome y; π the target
policy; w = π(a|x)/p; q̂ the reward model. ȳ stands for y counted with the weight 1/ρ that makes up for
missing feedback (see ``inputs``), and is 0 where there is none. Each formula holds for each of OUTCOMES.

All intervals are asymptotic and normal; all but the stabilised one take the rows as independent,
which a log of a policy that was learning is not.
"""

from __future__ import annotations

import math
from typing import ClassVar, Protocol, TypeVar

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.estimators.inputs import EstimatorInputs, Grouping
from bandit_router.evaluation.estimators.sums import Addable, Estimate, RatioSums

S = TypeVar("S", bound=Addable)


class Estimator(Protocol[S]):
    """The value of a target policy, from the log of another."""

    needs: ClassVar[tuple[Grouping, ...]]
    """The reward models it reads."""

    def collect(self, inputs: EstimatorInputs) -> S:
        """The sums of one block."""
        ...

    def estimate(self, sums: S) -> Estimate:
        """Value, standard error and 95% interval of every outcome."""
        ...


class RatioEstimator:
    """The base of estimators V = Σu / Σv, whose sums are :class:`RatioSums`."""

    __slots__ = ()
    needs: ClassVar[tuple[Grouping, ...]] = ()

    def estimate(self, sums: RatioSums) -> Estimate:
        return sums.estimate()


def require_positive(estimator: str, name: str, value: float) -> None:
    """InvalidInput unless the parameter is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(f"estimator {estimator}: {name}", f"is {value:g}", "give a number above 0")
