"""A reward that was accepted with less weight counts that much less in estimates, as it does in folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import OUTCOMES, REWARD, TargetBlock
from bandit_router.evaluation.estimators import ESTIMATORS, EstimatorInputs, prepare
from bandit_router.evaluation.estimators.sums import Estimate
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.reward_model import ModelSums
from bandit_router.evaluation.targets import learn_folds
from bandit_router.store.tables import feedback
from tests.databases import sql
from tests.evaluation.blocks import a_prior
from tests.evaluation.logs import export_of, play, read_all
from tests.evaluation.passes import diagnostics_of
from tests.evaluation.worlds import an_ordinary_log, draw, make_block

N = 20_000
GOOD = np.array([0.9, 0.8])
TARGET = np.array([0.3, 0.7])
WEIGHT = 0.25


@pytest.fixture(scope="module")
def poisoned() -> TargetBlock:
    """Four in ten rewards come with a capped key, which flips them."""
    rng = np.random.default_rng(7)
    logged = np.tile([0.6, 0.4], (N, 1))
    action, capped = draw(rng, logged), rng.random(N) < 0.4
    reward = (rng.random(N) < GOOD[action]).astype(np.float64)
    outcomes = np.full((N, len(OUTCOMES)), 0.5)
    outcomes[:, REWARD] = np.where(capped, 1.0 - reward, reward)
    x, target = np.ones((N, 1)), np.tile(TARGET, (N, 1))
    log = make_block(x=x, logged=logged, action=action, outcomes=outcomes, target=target)
    return replace(log, reward_weight=np.where(capped, WEIGHT, 1.0))


def estimate(log: TargetBlock, name: str) -> Estimate:
    estimator = ESTIMATORS[name]()
    inputs = EstimatorInputs(log, prepare(log, estimator.needs).fit())
    return estimator.estimate(estimator.collect(inputs))


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_a_capped_key_moves_an_estimate_by_what_it_weighs(poisoned: TargetBlock, name: str) -> None:
    honest, flipped = float(TARGET @ GOOD), float(TARGET @ (1.0 - GOOD))
    weighed, full = (estimate(log, name) for log in (poisoned, replace(poisoned, reward_weight=())))
    assert weighed["reward"] is not None
    assert full["reward"] is not None
    share = 0.4 * WEIGHT / (0.6 + 0.4 * WEIGHT)
    assert weighed["reward"].value == pytest.approx((1.0 - share) * honest + share * flipped, abs=0.015)
    assert full["reward"].value == pytest.approx(0.6 * honest + 0.4 * flipped, abs=0.015)
    assert weighed["cost_usd"] == full["cost_usd"]


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_a_reward_without_weight_is_one_that_is_missing(name: str) -> None:
    log = an_ordinary_log(missing=0.2)
    silenced = np.random.default_rng(3).random(len(log)) < 0.3
    outcomes = log.outcomes.copy()
    outcomes[silenced, REWARD] = np.nan
    weightless = replace(log, reward_weight=np.where(silenced, 0.0, 1.0))
    missing = replace(log, outcomes=outcomes)
    assert estimate(weightless, name) == estimate(missing, name)
    assert diagnostics_of(weightless) == diagnostics_of(missing)


def test_sums_of_models_and_posteriors_are_those_of_rows_that_are_there_as_often() -> None:
    """A row of weight 1 beside one of 1/2 is twice the first and once the second, both of weight 1/2."""
    log = an_ordinary_log()
    half = np.random.default_rng(5).random(len(log)) < 0.5
    weighed = replace(log, reward_weight=np.where(half, 0.5, 1.0))
    repeated = log.take(np.repeat(np.arange(len(log)), np.where(half, 1, 2)))
    ours, theirs = (ModelSums.of(block, block.fold).groups for block in (weighed, repeated))
    for fold, gram in ours.items():
        np.testing.assert_allclose(2.0 * gram.second[:, REWARD], theirs[fold].second[:, REWARD], atol=1e-9)
        np.testing.assert_allclose(2.0 * gram.cross[:, REWARD], theirs[fold].cross[:, REWARD], atol=1e-9)
    prior = a_prior(log.x.shape[1])
    for mine, other in zip(
        learn_folds(weighed, prior).folds, learn_folds(repeated, prior).folds, strict=True
    ):
        np.testing.assert_allclose(2.0 * mine.second, other.second, atol=1e-9)
        np.testing.assert_allclose(2.0 * mine.cross, other.cross, atol=1e-9)


def test_a_log_is_read_with_the_weights_of_its_rewards(sqlite_url: str, tmp_path: Path) -> None:
    ids = play(sqlite_url)
    capped = set(ids[::3])
    with sql(sqlite_url) as connection:
        less = update(feedback).where(feedback.c.decision_id.in_(capped)).values(weight=WEIGHT)
        connection.execute(less)
    export_of(sqlite_url, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        block = read_all(log)
    has_reward = ~np.isnan(block.outcomes[:, REWARD])
    expected = np.array([WEIGHT if id in capped else 1.0 for id in ids])
    assert np.array_equal(block.reward_weights()[has_reward], expected[has_reward])
    assert {WEIGHT, 1.0} == set(block.reward_weights()[has_reward])


@pytest.mark.parametrize("weight", [-0.1, 1.1, np.nan])
def test_a_weight_outside_its_range_is_named(weight: float) -> None:
    log = an_ordinary_log()
    weights = np.ones(len(log))
    weights[4] = weight
    with pytest.raises(InvalidInput, match=r"reward_weight: is not in \[0, 1\] in row 4"):
        replace(log, reward_weight=weights)
