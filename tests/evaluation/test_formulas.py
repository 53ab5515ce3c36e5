"""Every formula against an oracle: written out row by row, known by theory, or computed by obp."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.block import OUTCOMES, TargetBlock
from bandit_router.evaluation.estimators import (
    ESTIMATORS,
    Estimate,
    Estimator,
    EstimatorInputs,
    Nuisance,
    prepare,
)
from bandit_router.evaluation.estimators.doubly_robust import DM, DR, DRos, SwitchDR
from bandit_router.evaluation.estimators.stabilised import StabilisedDR
from bandit_router.evaluation.estimators.weighting import IPS, SNIPS, ClippedIPS
from bandit_router.evaluation.reward_model import RewardModel
from bandit_router.evaluation.splits import FOLDS, assign_stages
from bandit_router.types import FloatArray
from benchmarks.obp_alone import obp_estimators
from tests.contracts.estimator import assert_same, run
from tests.evaluation.worlds import an_ordinary_log, make_block, softmax

LOG = an_ordinary_log(seed=5, n=500)
ROWS = np.arange(len(LOG))
WEIGHT = LOG.target[ROWS, LOG.action] / LOG.propensity
NUISANCE = prepare(LOG, ("folds", "stages")).fit()


def values(estimate: Estimate) -> FloatArray:
    return np.array([figure.value for figure in estimate.values() if figure is not None])


def errors(estimate: Estimate) -> FloatArray:
    return np.array([figure.standard_error for figure in estimate.values() if figure is not None])


def predictions(log: TargetBlock, nuisance: Nuisance) -> FloatArray:
    assert nuisance.folds is not None
    return nuisance.folds.predict(log.x, log.fold)


# -- known by theory -------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [IPS(), ClippedIPS(), SNIPS()])
def test_on_policy_weighting_is_the_sample_mean(estimator: Estimator[Any]) -> None:
    found = run(estimator, [LOG.with_target(LOG.logged)])
    np.testing.assert_allclose(values(found), LOG.outcomes.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(
        errors(found), LOG.outcomes.std(axis=0, ddof=1) / np.sqrt(len(LOG)), rtol=1e-12
    )


def constant_model(theta: FloatArray) -> Nuisance:
    """A first pass that found this model (K, M, D), whatever the fold or stage."""
    model = RewardModel(dict.fromkeys(range(100), theta))
    return replace(NUISANCE, folds=model, stages=model)


def estimate_with(estimator: Estimator[Any], log: TargetBlock, nuisance: Nuisance) -> Estimate:
    return estimator.estimate(estimator.collect(EstimatorInputs(log, nuisance)))


def test_dr_with_a_zero_model_is_ips() -> None:
    nothing = constant_model(np.zeros((4, 3, 4)))
    assert_same(estimate_with(DR(), LOG, nothing), run(IPS(), [LOG]))


def test_shrinkage_without_end_is_dr_and_shrinkage_to_nothing_is_dm() -> None:
    found = [estimate_with(e, LOG, NUISANCE) for e in (DRos(1e15), DR(), DRos(1e-15), DM())]
    np.testing.assert_allclose(values(found[0]), values(found[1]), rtol=1e-9)
    np.testing.assert_allclose(values(found[2]), values(found[3]), rtol=1e-9)


def test_a_switch_above_every_weight_is_dr_and_below_every_weight_dm() -> None:
    found = [estimate_with(e, LOG, NUISANCE) for e in (SwitchDR(1e9), DR(), SwitchDR(1e-9), DM())]
    np.testing.assert_allclose(values(found[0]), values(found[1]), rtol=1e-13)
    np.testing.assert_allclose(values(found[2]), values(found[3]), rtol=1e-13)


def perfect(rng: np.random.Generator, x: FloatArray) -> tuple[TargetBlock, Nuisance, FloatArray]:
    """A log of outcomes that are exactly linear in x, the model that knows it, and the truth (M,)."""
    theta = np.random.default_rng(7).normal(size=(4, 3, x.shape[1] + 1))
    q = x @ theta[..., 1:].reshape(12, -1).T + theta[..., 0].ravel()
    q = q.reshape(len(x), 4, 3)
    logged, target = (softmax(np.random.default_rng(s).normal(size=(len(x), 4))) for s in (8, 9))
    action = rng.integers(4, size=len(x))
    log = make_block(x=x, logged=logged, action=action, outcomes=q[np.arange(len(x)), action], target=target)
    return log, constant_model(theta), np.einsum("nk,nkm->m", target, q) / len(x)


@pytest.mark.parametrize("estimator", [DR(), SwitchDR(), DRos(), DM()])
def test_with_a_perfect_model_the_actions_drawn_make_no_difference(estimator: Estimator[Any]) -> None:
    x = np.random.default_rng(6).normal(size=(300, 2))
    for seed in range(5):
        log, nuisance, truth = perfect(np.random.default_rng(seed), x)
        np.testing.assert_allclose(values(estimate_with(estimator, log, nuisance)), truth, rtol=1e-12)


@pytest.mark.parametrize("estimator", [DR(), SwitchDR(), DRos(), DM(), StabilisedDR()])
def test_with_a_perfect_model_and_one_query_the_variance_is_zero(estimator: Estimator[Any]) -> None:
    log, nuisance, _ = perfect(np.random.default_rng(0), np.ones((300, 2)))
    log = log.with_target(np.tile(log.target[:1], (300, 1)))
    np.testing.assert_allclose(errors(estimate_with(estimator, log, nuisance)), 0.0, atol=1e-15)


# -- written out -----------------------------------------------------------------------------------


def test_clipped_ips_is_the_mean_of_clipped_terms() -> None:
    terms = np.minimum(WEIGHT, 1.5)[:, None] * LOG.outcomes
    assert (WEIGHT > 1.5).any()
    found = run(ClippedIPS(1.5), [LOG])
    np.testing.assert_allclose(values(found), terms.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(errors(found), terms.std(axis=0, ddof=1) / np.sqrt(len(LOG)), rtol=1e-12)


def test_the_error_of_snips_is_that_of_the_delta_method() -> None:
    found = run(SNIPS(), [LOG])
    off = WEIGHT[:, None] * (LOG.outcomes - values(found))
    n = len(LOG)
    expected = np.sqrt((off**2).sum(axis=0) * n / (n - 1)) / WEIGHT.sum()
    np.testing.assert_allclose(errors(found), expected, rtol=1e-12)


def test_the_error_of_dr_is_that_of_a_mean() -> None:
    q = predictions(LOG, NUISANCE)
    terms = np.einsum("nk,nkm->nm", LOG.target, q)
    terms += WEIGHT[:, None] * (LOG.outcomes - q[ROWS, LOG.action])
    found = run(DR(), [LOG])
    np.testing.assert_allclose(values(found), terms.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(errors(found), terms.std(axis=0, ddof=1) / np.sqrt(len(LOG)), rtol=1e-12)


def test_missing_feedback_counts_as_part_of_the_propensity() -> None:
    gone = (LOG.action == 2) & (ROWS % 3 == 0)
    log = replace(LOG, outcomes=np.where(gone[:, None], np.nan, LOG.outcomes))
    share = np.where(LOG.action == 2, 1.0 - gone[LOG.action == 2].mean(), 1.0)
    terms = np.where(gone, 0.0, WEIGHT / share)[:, None] * LOG.outcomes
    np.testing.assert_allclose(values(run(IPS(), [log])), terms.mean(axis=0), rtol=1e-13)
    found = run(IPS(), [log])["reward"]
    assert found is not None
    assert found.rows == (~gone & (WEIGHT > 0)).sum()


def stabilised_by_hand(log: TargetBlock, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Value and error (M,) of complete feedback, one row at a time."""
    n, (k, m) = len(log), q.shape[1:]
    stage, pi, e = assign_stages(log.order), log.target, log.logged
    average_rows = np.array([5.0, 5.0, 0.0])
    phi = [(pi[i] ** 2 / e[i]).sum() for i in range(n)]
    present = sorted(set(stage.tolist()))
    before = {s: present[max(j - 1, 0)] for j, s in enumerate(present)}
    h = np.array(
        [np.mean([phi[j] for j in range(n) if stage[j] == before[stage[i]]]) ** -0.5 for i in range(n)]
    )
    direct = np.array([pi[i] @ q[i] for i in range(n)])
    residual = np.array([log.outcomes[i] - q[i, log.action[i]] for i in range(n)])
    gamma = direct + np.array([pi[i, a] / e[i, a] * residual[i] for i, a in enumerate(log.action)])
    value = h @ gamma / h.sum()
    realised = (h**2) @ (gamma - value) ** 2
    mine = np.array([[pi[i, a] * (log.action[i] == a) for i in range(n)] for a in range(k)])
    v = (mine @ residual**2 + average_rows * (residual**2).mean(axis=0)) / (
        mine.sum(axis=1)[:, None] + average_rows
    )
    expected = np.zeros(m)
    for i in range(n):
        expected += h[i] ** 2 * ((pi[i] ** 2 / e[i]) @ v)
    for s in present:
        expected += h[stage == s][0] ** 2 * direct[stage == s].var(axis=0) * (stage == s).sum()
    return value, np.sqrt(np.maximum(realised, expected)) / h.sum()


@pytest.mark.parametrize("late", [0.4, 0.03])
def test_stabilised_dr_is_its_formula(late: float) -> None:
    n = 300
    rng = np.random.default_rng(11)
    p = np.linspace(0.4, late, n)  # of the arm that loses
    logged = np.column_stack([p, *[(1 - p) / 3] * 3])
    action = (rng.random(n)[:, None] > logged.cumsum(axis=1)).sum(axis=1)
    outcomes = rng.random((n, 3)) * [1.0, 1.0, 1e-3]
    target = np.tile([0.8, 0.1, 0.05, 0.05], (n, 1))
    log = make_block(
        x=rng.normal(size=(n, 2)), logged=logged, action=action, outcomes=outcomes, target=target
    )
    nuisance = prepare(log, StabilisedDR.needs).fit()
    assert nuisance.stages is not None
    value, error = stabilised_by_hand(log, nuisance.stages.predict(log.x, assign_stages(log.order)))
    found = run(StabilisedDR(), [log])
    np.testing.assert_allclose(values(found), value, rtol=1e-11)
    np.testing.assert_allclose(errors(found), error, rtol=1e-11)


# -- obp -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def obp() -> Any:
    return obp_estimators()


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize(
    ("ours", "theirs", "parameters"),
    [
        (IPS(), "InverseProbabilityWeighting", {}),
        (SNIPS(), "SelfNormalizedInverseProbabilityWeighting", {}),
        (DM(), "DirectMethod", {}),
        (DR(), "DoublyRobust", {}),
        (SwitchDR(1.5), "SwitchDoublyRobust", {"tau": 1.5}),
        (DRos(3.0), "DoublyRobustWithShrinkage", {"lambda_": 3.0}),
    ],
    ids=["ips", "snips", "dm", "dr", "switch-dr", "dros"],
)
def test_the_value_is_that_of_obp(
    obp: Any, ours: Estimator[Any], theirs: str, parameters: dict[str, float], outcome: str
) -> None:
    m = OUTCOMES.index(outcome)
    expected = getattr(obp, theirs)(**parameters).estimate_policy_value(
        reward=LOG.outcomes[:, m],
        action=LOG.action,
        pscore=LOG.propensity,
        action_dist=LOG.target[:, :, None],
        estimated_rewards_by_reg_model=predictions(LOG, NUISANCE)[:, :, m, None],
    )
    found = run(ours, [LOG])[outcome]
    assert found is not None
    assert found.value == pytest.approx(expected, rel=1e-10, abs=0.0)


def test_every_registered_estimator_has_an_oracle_here() -> None:
    """A reminder to whoever adds one: formulas are tested, not only contracts."""
    tested = (IPS, ClippedIPS, SNIPS, DM, DR, SwitchDR, DRos, StabilisedDR)
    assert set(ESTIMATORS.values()) == set(tested)
    assert set(LOG.fold.tolist()) == set(range(FOLDS))
