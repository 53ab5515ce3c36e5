"""The registry of estimators: a new one is one file and one line here."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from bandit_router.evaluation.estimators.base import Estimator
from bandit_router.evaluation.estimators.doubly_robust import DM, DR, DRos, SwitchDR
from bandit_router.evaluation.estimators.evidence import Evidence, LogSums, Nuisance, no_rows, prepare
from bandit_router.evaluation.estimators.stabilised import StabilisedDR
from bandit_router.evaluation.estimators.sums import Estimate, Figure
from bandit_router.evaluation.estimators.weighting import IPS, SNIPS, ClippedIPS
from bandit_router.evaluation.partition import Partition

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
    "Evidence",
    "Figure",
    "LogSums",
    "Nuisance",
    "estimate",
    "prepare",
]


def estimate(
    partitions: Sequence[Partition], estimators: Mapping[str, Estimator[Any]]
) -> dict[str, Estimate]:
    """What each estimator says of the target policy. Two passes over the partitions, in one process.

    A reference for drivers that spread the work: only ``reduce`` would change.
    """
    if not partitions:
        raise no_rows()
    needs = {grouping for estimator in estimators.values() for grouping in estimator.needs}
    nuisance = reduce(operator.add, (prepare(partition, needs) for partition in partitions)).fit()
    passes = (
        {name: estimator.collect(evidence) for name, estimator in estimators.items()}
        for evidence in (Evidence(partition, nuisance) for partition in partitions)
    )
    sums = reduce(lambda one, two: {name: one[name] + two[name] for name in one}, passes)
    return {name: estimator.estimate(sums[name]) for name, estimator in estimators.items()}
