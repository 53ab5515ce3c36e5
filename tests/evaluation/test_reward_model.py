"""The reward model, held against a ridge regression on stacked rows, and against peeking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import TargetBlock
from bandit_router.evaluation.reward_model import ANCHOR, RIDGE, ModelSums
from bandit_router.evaluation.splits import assign_stages
from bandit_router.types import FloatArray
from tests.evaluation.worlds import an_ordinary_log

LOG = an_ordinary_log(seed=3, n=400, missing=0.2)


def ridge(x: FloatArray, y: FloatArray, mean: float) -> FloatArray:
    """Penalised least squares about ``mean``, as ordinary least squares on rows added for the penalty."""
    penalty = np.diag([ANCHOR, *[RIDGE] * x.shape[1]])
    z = np.vstack([np.column_stack([np.ones(len(x)), x]), np.sqrt(penalty)])
    theta: FloatArray = np.linalg.lstsq(z, np.append(y - mean, np.zeros(len(penalty))), rcond=None)[0]
    theta[0] += mean
    return theta


def expected(log: TargetBlock, train: FloatArray, row: int, arm: int, m: int) -> float:
    seen = train & ~np.isnan(log.outcomes[:, m])
    mine = seen & (log.action == arm)
    theta = ridge(log.x[mine], log.outcomes[mine, m], log.outcomes[seen, m].mean() if seen.any() else 0.0)
    return float(theta @ [1.0, *log.x[row]])


@pytest.mark.parametrize("row", [0, 57, 399])
def test_a_row_is_predicted_by_ridge_regression_on_the_other_folds(row: int) -> None:
    q = ModelSums.of(LOG, LOG.fold).cross_fit().predict(LOG.x, LOG.fold)
    for arm in range(4):
        for m in range(3):
            train = LOG.fold != LOG.fold[row]
            assert q[row, arm, m] == pytest.approx(expected(LOG, train, row, arm, m), rel=1e-9)


@pytest.mark.parametrize("row", [0, 2, 57, 399])
def test_a_row_is_predicted_by_ridge_regression_on_earlier_stages(row: int) -> None:
    stage = assign_stages(LOG.order)
    q = ModelSums.of(LOG, stage).fit_on_past().predict(LOG.x, stage)
    for arm in range(4):
        for m in range(3):
            train = stage < stage[row]
            assert q[row, arm, m] == pytest.approx(expected(LOG, train, row, arm, m), rel=1e-9, abs=1e-15)


def test_an_outcome_never_reaches_the_prediction_of_its_own_fold() -> None:
    before = ModelSums.of(LOG, LOG.fold).cross_fit().predict(LOG.x, LOG.fold)
    outcomes = LOG.outcomes.copy()
    outcomes[LOG.fold == 2] += 100.0
    after = ModelSums.of(replace(LOG, outcomes=outcomes), LOG.fold).cross_fit().predict(LOG.x, LOG.fold)
    np.testing.assert_array_equal(after[LOG.fold == 2], before[LOG.fold == 2])
    assert (after[LOG.fold == 1] != before[LOG.fold == 1]).all()


def test_the_future_never_reaches_a_prediction() -> None:
    stage = assign_stages(LOG.order)
    before = ModelSums.of(LOG, stage).fit_on_past().predict(LOG.x, stage)
    outcomes = LOG.outcomes.copy()
    outcomes[stage >= 9] += 100.0
    after = ModelSums.of(replace(LOG, outcomes=outcomes), stage).fit_on_past().predict(LOG.x, stage)
    np.testing.assert_array_equal(after[stage <= 9], before[stage <= 9])
    assert (after[stage > 9] != before[stage > 9]).all()


def test_an_arm_without_feedback_is_predicted_to_be_average() -> None:
    outcomes = LOG.outcomes.copy()
    outcomes[LOG.action == 1] = np.nan
    log = replace(LOG, outcomes=outcomes)
    q = ModelSums.of(log, np.zeros(len(log), dtype=np.int64)) + ModelSums.of(
        log.take(np.arange(1)), np.ones(1, dtype=np.int64)
    )
    predicted = q.cross_fit().predict(log.x[:5], np.ones(5, dtype=np.int64))
    mean = np.nanmean(outcomes, axis=0)
    np.testing.assert_allclose(predicted[:, 1], np.tile(mean, (5, 1)), rtol=1e-12)


def test_a_cheap_arm_seen_once_is_not_predicted_to_cost_what_the_others_do() -> None:
    rows = np.flatnonzero(LOG.action == 3)[:50]
    log = LOG.take(np.append(rows, np.flatnonzero(LOG.action == 0)[0]))
    outcomes = np.ones((51, 3))
    outcomes[-1] = 0.01
    sums = ModelSums.of(replace(log, outcomes=outcomes, x=log.x * 0.0), np.zeros(51, dtype=np.int64))
    other = ModelSums.of(log.take(np.arange(1)), np.ones(1, dtype=np.int64))
    cheap = (sums + other).cross_fit().predict(log.x[:1] * 0.0, np.ones(1, dtype=np.int64))[0, 0]
    np.testing.assert_allclose(cheap, 0.01, atol=0.001)


def test_a_group_the_first_pass_did_not_see_is_an_error() -> None:
    model = ModelSums.of(LOG, LOG.fold).cross_fit()
    with pytest.raises(InvalidInput, match="group 9"):
        model.predict(LOG.x[:1], np.array([9]))
