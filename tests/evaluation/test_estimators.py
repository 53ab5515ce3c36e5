"""The contract suite, run for every entry of the registry, and proof that it can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators import (
    ESTIMATORS,
    Estimate,
    Estimator,
    EstimatorInputs,
    estimate,
    prepare,
)
from bandit_router.evaluation.estimators.doubly_robust import DR
from bandit_router.evaluation.estimators.sums import RatioSums, add_fields, make_figure
from bandit_router.types import FloatArray
from tests.contracts import estimator as contract
from tests.evaluation.worlds import an_ordinary_log

LOG = an_ordinary_log()
GAPPY = an_ordinary_log(seed=1, missing=0.3)
estimators = pytest.mark.parametrize(
    "estimator", [made() for made in ESTIMATORS.values()], ids=list(ESTIMATORS)
)


# -- the contract ----------------------------------------------------------------------------------


@estimators
@pytest.mark.parametrize("log", [LOG, GAPPY], ids=["complete", "gappy"])
@settings(max_examples=20)
@given(parts=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_any_split_of_the_log_gives_the_same_figures(
    estimator: Estimator[Any], log: Any, parts: int, seed: int
) -> None:
    contract.check_blocks(estimator, log, np.random.default_rng(seed).integers(parts, size=len(log)))


@estimators
def test_one_row_at_a_time_gives_the_same_figures(estimator: Estimator[Any]) -> None:
    rows = np.arange(120)
    contract.check_blocks(estimator, GAPPY.take(rows), rows)


@estimators
def test_sums_can_be_grouped_at_will(estimator: Estimator[Any]) -> None:
    contract.check_grouping(estimator, GAPPY)


@estimators
def test_the_order_of_the_arms_does_not_matter(estimator: Estimator[Any]) -> None:
    contract.check_arm_order(estimator, LOG, np.array([2, 0, 3, 1]))


@estimators
def test_units_do_not_matter(estimator: Estimator[Any]) -> None:
    contract.check_units(estimator, LOG, 1e-6)


@estimators
@pytest.mark.parametrize("log", [LOG, GAPPY], ids=["complete", "gappy"])
def test_figures_are_finite_and_centred_in_their_interval(estimator: Estimator[Any], log: Any) -> None:
    contract.check_interval(estimator, log)


@estimators
def test_missing_feedback_is_never_a_zero(estimator: Estimator[Any]) -> None:
    gone = np.random.default_rng(2).random(len(LOG)) < np.array([0.1, 0.9, 0.5, 0.0])[LOG.action]
    contract.check_missing_is_not_zero(estimator, LOG, np.flatnonzero(gone))


@estimators
def test_an_outcome_without_feedback_has_no_figure(estimator: Estimator[Any]) -> None:
    contract.check_missing_outcome(estimator, LOG)


@estimators
def test_one_row_is_not_enough_for_a_figure(estimator: Estimator[Any]) -> None:
    assert set(contract.run(estimator, [LOG.take(np.arange(1))]).values()) == {None}


@pytest.mark.parametrize("name", ["ips", "clipped-ips", "snips", "stabilised-dr"])
def test_without_a_row_the_target_agrees_with_there_is_no_figure(name: str) -> None:
    log = LOG.take(np.flatnonzero(LOG.action == 0))
    apart = log.with_target(np.tile([0.0, 1.0, 0.0, 0.0], (len(log), 1)))
    assert set(contract.run(ESTIMATORS[name](), [apart]).values()) == {None}


@estimators
def test_the_behaviour_policy_is_worth_what_the_log_earned(estimator: Estimator[Any]) -> None:
    contract.check_on_policy(estimator, LOG)


@estimators
def test_the_input_is_left_alone(estimator: Estimator[Any]) -> None:
    contract.check_input_unchanged(estimator, GAPPY)


# -- the contract catches what it should -----------------------------------------------------------


@dataclass(frozen=True)
class MeanSums:
    total: FloatArray
    parts: float

    def __add__(self, other: MeanSums) -> MeanSums:
        return add_fields(self, other)


@dataclass(frozen=True)
class MeanOfMeans:
    """Averages the blocks' averages."""

    needs: ClassVar[tuple[Any, ...]] = ()

    def collect(self, inputs: EstimatorInputs) -> MeanSums:
        u = inputs.weight[:, None] * inputs.outcomes
        return MeanSums(u.mean(axis=0) if len(u) else np.zeros(3), float(len(u) > 0))

    def estimate(self, sums: MeanSums) -> Estimate:
        return {o: make_figure(v, 0.1, 1) for o, v in zip(OUTCOMES, sums.total / sums.parts, strict=True)}


@dataclass(frozen=True)
class ZeroForMissing:
    """IPS that counts a missing outcome as 0."""

    needs: ClassVar[tuple[Any, ...]] = ()

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        u = inputs.weight[:, None] * inputs.outcomes
        return RatioSums.of(u, np.ones_like(u), np.ones_like(u, dtype=np.bool_))

    def estimate(self, sums: RatioSums) -> Estimate:
        return sums.estimate()


def test_a_mean_of_means_fails_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_blocks(MeanOfMeans(), LOG, np.arange(len(LOG)) // 400)


def test_zeros_for_missing_feedback_fail_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_missing_is_not_zero(ZeroForMissing(), LOG, np.arange(100))


# -- the driver and the parameters -----------------------------------------------------------------


def test_one_call_runs_every_estimator_over_the_blocks() -> None:
    parts = [LOG.take(rows) for rows in np.array_split(np.arange(len(LOG)), 5)]
    found = estimate(parts, {name: made() for name, made in ESTIMATORS.items()})
    assert list(found) == list(ESTIMATORS)
    contract.assert_same(found["dr"], contract.run(DR(), [LOG]))


def test_an_empty_log_is_an_error() -> None:
    for parts in ([], [LOG.take(np.arange(0))]):
        with pytest.raises(InvalidInput, match="log: has no rows"):
            estimate(parts, {"dr": DR()})


def test_a_model_that_was_not_prepared_is_an_error() -> None:
    inputs = EstimatorInputs(LOG, prepare(LOG, ()).fit())
    with pytest.raises(InvalidInput, match="needs: did not have 'folds'"):
        DR().collect(inputs)


def test_blocks_with_different_arms_do_not_merge() -> None:
    other = LOG.take(np.arange(5))
    object.__setattr__(other, "arms", ("a", "b", "c", "d"))
    with pytest.raises(InvalidInput, match="arms"):
        estimate([LOG, other], {"dr": DR()})


@pytest.mark.parametrize(
    ("name", "parameter"), [("clipped-ips", "clip"), ("switch-dr", "threshold"), ("dros", "shrinkage")]
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_parameter_must_be_a_positive_number(name: str, parameter: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=f"estimator {name}: {parameter}"):
        ESTIMATORS[name](**{parameter: value})
