"""What every estimator promises. Each check raises AssertionError when its promise is not kept."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.block import OUTCOMES, TargetBlock
from bandit_router.evaluation.estimators import Estimate, Estimator, EstimatorInputs, prepare
from bandit_router.evaluation.estimators.sums import Z95
from bandit_router.types import IntArray

ROUNDING = 1e-12


def run(estimator: Estimator[Any], blocks: Sequence[TargetBlock]) -> Estimate:
    """The two passes, with nothing prepared but what the estimator says it needs."""
    nuisance = reduce(operator.add, [prepare(part, estimator.needs) for part in blocks]).fit()
    sums = [estimator.collect(EstimatorInputs(part, nuisance)) for part in blocks]
    return estimator.estimate(reduce(operator.add, sums))


def assert_same(one: Estimate, two: Estimate, rtol: float = ROUNDING) -> None:
    """The same figures, each number to within ``rtol`` of its size."""
    assert list(one) == list(two) == list(OUTCOMES)
    for outcome in OUTCOMES:
        a, b = one[outcome], two[outcome]
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert a.rows == b.rows
            assert a.value == pytest.approx(b.value, rel=rtol, abs=1e-15)
            assert a.standard_error == pytest.approx(b.standard_error, rel=rtol, abs=1e-15)


def check_blocks(estimator: Estimator[Any], log: TargetBlock, part_of_row: IntArray) -> None:
    """However the rows are dealt to blocks, even empty ones, the figures are the same."""
    parts = [log.take(np.flatnonzero(part_of_row == p)) for p in range(int(part_of_row.max()) + 2)]
    assert_same(run(estimator, parts), run(estimator, [log]))
    assert_same(run(estimator, parts[::-1]), run(estimator, [log]))


def check_grouping(estimator: Estimator[Any], log: TargetBlock) -> None:
    """(a + b) + c is a + (b + c), up to rounding."""
    parts = [log.take(rows) for rows in np.array_split(np.arange(len(log)), [7, 101])]
    nuisance = reduce(operator.add, [prepare(part, estimator.needs) for part in parts]).fit()
    a, b, c = (estimator.collect(EstimatorInputs(part, nuisance)) for part in parts)
    assert_same(estimator.estimate((a + b) + c), estimator.estimate(a + (b + c)))


def check_arm_order(estimator: Estimator[Any], log: TargetBlock, order: IntArray) -> None:
    """An arm's place in the list means nothing."""
    shuffled = replace(
        log,
        arms=tuple(log.arms[k] for k in order),
        eligible=log.eligible[:, order],
        logged=log.logged[:, order],
        target=log.target[:, order],
        action=np.argsort(order)[log.action],
    )
    assert_same(run(estimator, [shuffled]), run(estimator, [log]))


def check_units(estimator: Estimator[Any], log: TargetBlock, factor: float) -> None:
    """Outcomes in other units give the same figures in those units."""
    scaled = run(estimator, [replace(log, outcomes=log.outcomes * factor)])
    for outcome, before in run(estimator, [log]).items():
        after = scaled[outcome]
        assert before is not None
        assert after is not None
        assert after.value == pytest.approx(factor * before.value, rel=1e-9)
        assert after.standard_error == pytest.approx(factor * before.standard_error, rel=1e-9)


def check_interval(estimator: Estimator[Any], log: TargetBlock) -> None:
    """Every figure is finite, and its interval is value ± 1.96 standard errors."""
    for figure in run(estimator, [log]).values():
        assert figure is not None
        assert all(math.isfinite(number) for number in figure)
        assert figure.standard_error > 0
        assert figure.high - figure.value == pytest.approx(Z95 * figure.standard_error)
        assert figure.value - figure.low == pytest.approx(Z95 * figure.standard_error)


def check_missing_is_not_zero(estimator: Estimator[Any], log: TargetBlock, missing: IntArray) -> None:
    """On-policy, where every outcome seen is the same number, the value is that number.

    However much is missing, and however unevenly over the arms, as long as each arm has some: to within
    2%, for a model that has seen nothing yet knows nothing.
    """
    outcomes = np.tile([0.8, 0.5, 3e-4], (len(log), 1))
    outcomes[missing] = np.nan
    constant = replace(log, outcomes=outcomes, target=log.logged)
    for figure, truth in zip(run(estimator, [constant]).values(), (0.8, 0.5, 3e-4), strict=True):
        assert figure is not None
        assert figure.value == pytest.approx(truth, rel=0.02)


def check_missing_outcome(estimator: Estimator[Any], log: TargetBlock) -> None:
    """An outcome without any feedback has no figure, and changes no other."""
    outcomes = log.outcomes.copy()
    outcomes[:, OUTCOMES.index("quality")] = np.nan
    found, whole = run(estimator, [replace(log, outcomes=outcomes)]), run(estimator, [log])
    assert found["quality"] is None
    assert_same({**found, "quality": whole["quality"]}, whole)


def check_on_policy(estimator: Estimator[Any], log: TargetBlock) -> None:
    """The value of the behaviour policy itself is the sample mean, to within the error of that mean."""
    found = run(estimator, [log.with_target(log.logged)])
    allowed = log.outcomes.std(axis=0) / math.sqrt(len(log))
    for figure, mean, error in zip(found.values(), log.outcomes.mean(axis=0), allowed, strict=True):
        assert figure is not None
        assert abs(figure.value - mean) < error


def check_input_unchanged(estimator: Estimator[Any], log: TargetBlock) -> None:
    """An estimator reads its block and no more."""
    before = log.take(np.arange(len(log)))
    run(estimator, [log])
    for name, array in vars(before).items():
        np.testing.assert_array_equal(getattr(log, name), array)
