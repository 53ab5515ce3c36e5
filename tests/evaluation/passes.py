"""Both passes over a log, for diagnostics."""

from __future__ import annotations

import operator
from functools import reduce

from bandit_router.evaluation.block import TargetBlock
from bandit_router.evaluation.diagnostics import NEEDS, Diagnostics, collect_diagnostics, diagnose
from bandit_router.evaluation.estimators import EstimatorInputs, prepare


def diagnostics_of(*parts: TargetBlock) -> Diagnostics:
    """What the blocks of one log amount to."""
    nuisance = reduce(operator.add, [prepare(part, NEEDS) for part in parts]).fit()
    sums = reduce(operator.add, [collect_diagnostics(EstimatorInputs(part, nuisance)) for part in parts])
    return diagnose(sums, nuisance)
