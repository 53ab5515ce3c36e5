"""The registry of estimators: a new one is one file and one line here."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from bandit_router.evaluation.block import TargetBlock
from bandit_router.evaluation.estimators.base import Estimator
from bandit_router.evaluation.estimators.doubly_robust import DM, DR, DRos, SwitchDR
from bandit_router.evaluation.estimators.inputs import (
    EstimatorInputs,
    LogSums,
    Nuisance,
    empty_log_error,
    prepare,
)
from bandit_router.evaluation.estimators.stabilised import StabilisedDR
from bandit_router.evaluation.estimators.sums import Estimate, Figure
from bandit_router.evaluation.estimators.weighting import IPS, SNIPS, ClippedIPS

ESTIMATORS: Mapping[str, Callable[..., Estimator[Any]]] = {
    "ips": IPS,
    "clipped-ips": ClippedIPS,
    "snips": SNIPS,
    "dm": DM,
    "dr": DR,
    "switch-dr": SwitchDR,
    "dros": DRos,
    "stabilised-dr": StabilisedDR,
}

__all__ = [
    "ESTIMATORS",
    "Estimate",
    "Estimator",
    "EstimatorInputs",
    "Figure",
    "LogSums",
    "Nuisance",
    "estimate",
    "prepare",
]


def estimate(blocks: Sequence[TargetBlock], estimators: Mapping[str, Estimator[Any]]) -> dict[str, Estimate]:
    """Estimate the target policy by each estimator: two passes over the blocks, in one process.

    A reference for drivers that spread the work: only ``reduce`` would change.
    """
    if not blocks:
        raise empty_log_error()
    needs = {grouping for estimator in estimators.values() for grouping in estimator.needs}
    nuisance = reduce(operator.add, (prepare(block, needs) for block in blocks)).fit()
    passes = (
        {name: estimator.collect(inputs) for name, estimator in estimators.items()}
        for inputs in (EstimatorInputs(block, nuisance) for block in blocks)
    )
    sums = reduce(lambda total, block: {name: total[name] + block[name] for name in total}, passes)
    return {name: estimator.estimate(sums[name]) for name, estimator in estimators.items()}
