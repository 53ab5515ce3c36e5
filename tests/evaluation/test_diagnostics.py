"""Diagnostics against their definitions, their merge, and their rate of false alarms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.diagnostics import CLIPS, FALSE_ALARM, NEEDS, Diagnostics
from bandit_router.evaluation.estimators import prepare
from bandit_router.evaluation.estimators.doubly_robust import DM, DR
from bandit_router.evaluation.estimators.weighting import ClippedIPS
from bandit_router.types import FloatArray, IntArray
from tests.contracts.estimator import run
from tests.evaluation.passes import diagnostics_of
from tests.evaluation.worlds import always, an_ordinary_log, make_world

LOG = an_ordinary_log(seed=12, n=600, missing=0.2)
ROWS = np.arange(len(LOG))
WEIGHT = LOG.target[ROWS, LOG.action] / LOG.propensity


def numbers(value: Any) -> list[float]:
    """Every number in nested tuples and mappings, None as −1."""
    if value is None:
        return [-1.0]
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, str):
        return []
    parts = value.values() if hasattr(value, "values") else value
    return [number for part in parts for number in numbers(part)]


def flat(found: Diagnostics) -> list[float]:
    return numbers([getattr(found, name) for name in Diagnostics.__dataclass_fields__])


FOUND = diagnostics_of(LOG)


@settings(max_examples=20)
@given(parts=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
def test_any_split_of_the_log_gives_the_same_diagnostics(parts: int, seed: int) -> None:
    part: IntArray = np.random.default_rng(seed).integers(parts, size=len(LOG))
    split = diagnostics_of(*[LOG.take(np.flatnonzero(part == p)) for p in range(parts + 1)])
    np.testing.assert_allclose(flat(split), flat(FOUND), rtol=1e-11, atol=1e-14)


def test_every_number_is_finite() -> None:
    assert np.isfinite(flat(FOUND)).all()


def test_weights_are_summed_up_as_defined() -> None:
    assert FOUND.rows == 600
    assert FOUND.mean_weight == pytest.approx(WEIGHT.mean(), rel=1e-12)
    assert FOUND.smallest_propensity == LOG.propensity.min()
    seen = ~np.isnan(LOG.outcomes[:, 0])
    share = np.array([seen[LOG.action == a].mean() for a in range(4)])[LOG.action]
    w = np.where(seen, WEIGHT / share, 0.0)
    reward = FOUND.outcomes["reward"]
    assert reward.rows == seen.sum()
    assert reward.missing == pytest.approx(1 - seen.mean())
    assert reward.ess == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-12)
    assert reward.ess_share == pytest.approx(reward.ess / 600, rel=1e-12)
    assert reward.largest_weight == pytest.approx(w.max(), rel=1e-12)
    assert reward.largest_share == pytest.approx(w.max() / w.sum(), rel=1e-12)


def test_the_mean_weight_is_measured_in_its_own_standard_error() -> None:
    second = (LOG.target**2 / LOG.logged).sum(axis=1)  # E[w² | x], whatever was drawn
    z = (WEIGHT.sum() - 600) / np.sqrt((second - 1).sum())
    assert FOUND.mean_weight_z == pytest.approx(z, rel=1e-9)


def test_a_target_that_is_the_behaviour_policy_has_weights_that_cannot_vary() -> None:
    found = diagnostics_of(LOG.with_target(LOG.logged))
    assert found.mean_weight == pytest.approx(1.0)
    assert found.mean_weight_z is None
    assert found.mean_weight_misfit == pytest.approx(0.0, abs=1e-9)


def test_each_arm_is_compared_with_what_its_pmf_promised() -> None:
    for k, (name, arm) in enumerate(FOUND.arms.items()):
        mine = LOG.action == k
        assert name == LOG.arms[k]
        assert arm.rows == mine.sum()
        assert arm.chosen == pytest.approx(mine.mean())
        assert arm.claimed == pytest.approx(LOG.logged[:, k].mean())
        spread = np.sqrt((LOG.logged[:, k] * (1 - LOG.logged[:, k])).sum())
        assert arm.excess_z == pytest.approx((mine.sum() - LOG.logged[:, k].sum()) / spread, rel=1e-9)
        assert arm.target == pytest.approx(LOG.target[:, k].mean())
        assert arm.unsupported == 0.0
        for m, outcome in enumerate(OUTCOMES):
            gone = np.isnan(LOG.outcomes[mine, m])
            assert arm.missing[outcome] == pytest.approx(gone.mean())
            assert arm.observed[outcome] == pytest.approx(np.nanmean(LOG.outcomes[mine, m]))


def test_the_reward_model_is_calibrated_on_rows_it_has_not_seen() -> None:
    nuisance = prepare(LOG, NEEDS).fit()
    assert nuisance.folds is not None
    q = nuisance.folds.predict(LOG.x, LOG.fold)
    for k, arm in enumerate(FOUND.arms.values()):
        seen = (LOG.action == k) & ~np.isnan(LOG.outcomes[:, 0])
        assert arm.predicted["reward"] == pytest.approx(q[seen, k, 0].mean(), rel=1e-12)


def test_model_bias_is_what_parts_dr_from_dm() -> None:
    dr, dm = run(DR(), [LOG]), run(DM(), [LOG])
    for outcome in OUTCOMES:
        bias, corrected, model = FOUND.outcomes[outcome].model_bias, dr[outcome], dm[outcome]
        assert bias is not None
        assert corrected is not None
        assert model is not None
        assert bias.value == pytest.approx(corrected.value - model.value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("clip", CLIPS)
def test_sensitivity_to_clipping_is_clipped_ips(clip: float) -> None:
    found = run(ClippedIPS(clip), [LOG])
    for outcome in OUTCOMES:
        assert FOUND.outcomes[outcome].clipped[clip] == pytest.approx(found[outcome], rel=1e-12)


def test_target_mass_without_support_is_found() -> None:
    logged = np.where(np.arange(4) == 2, 0.0, LOG.logged)
    logged /= logged.sum(axis=1, keepdims=True)
    rows = np.flatnonzero(LOG.action != 2)
    log = replace(LOG, logged=logged, propensity=np.ones(600)).take(rows)
    found = diagnostics_of(replace(log, propensity=log.logged[np.arange(len(rows)), log.action]))
    mass = log.target[:, 2].mean()
    assert found.arms["large"].unsupported == pytest.approx(mass)
    assert found.outcomes["reward"].unsupported == pytest.approx(mass)


def test_an_arm_without_any_feedback_supports_nothing() -> None:
    outcomes = LOG.outcomes.copy()
    outcomes[LOG.action == 1, 1] = np.nan
    found = diagnostics_of(replace(LOG, outcomes=outcomes))
    assert found.outcomes["quality"].unsupported == pytest.approx(LOG.target[:, 1].mean())
    assert found.outcomes["reward"].unsupported == pytest.approx(0.0, abs=1e-12)
    assert found.arms["medium"].missing["quality"] == 1.0
    assert found.arms["medium"].observed["quality"] is None


def test_gaps_between_propensity_pmf_and_uniform_are_measured() -> None:
    assert FOUND.propensity_gap == pytest.approx(0.0, abs=1e-12)
    assert FOUND.uniform_gap == pytest.approx(np.abs(LOG.logged - 0.25).max())
    claimed = diagnostics_of(replace(LOG, propensity=np.full(600, 0.25)))
    at_action = LOG.logged[ROWS, LOG.action]
    assert claimed.propensity_gap == pytest.approx(np.abs(at_action / 0.25 - 1).max())


def test_uniform_means_over_the_eligible_arms() -> None:
    eligible = np.ones((600, 4), dtype=np.bool_)
    eligible[ROWS[::2], (LOG.action[::2] + 1) % 4] = False
    uniform = eligible / eligible.sum(axis=1, keepdims=True)
    log = replace(
        LOG, eligible=eligible, logged=uniform, target=uniform, propensity=uniform[ROWS, LOG.action]
    )
    assert diagnostics_of(log).uniform_gap == pytest.approx(0.0, abs=1e-12)


def freedman(step: FloatArray, variance: FloatArray, tests: int) -> FloatArray:
    """The x > 0 for which 2 · tests · exp(−x² / (2 (V + b x / 3))) is the rate of false alarms."""
    level = np.log(2 * tests / FALSE_ALARM)
    roots = [
        np.roots([1.0, -2 * level * b / 3, -2 * level * v]).max() for b, v in zip(step, variance, strict=True)
    ]
    return np.array(roots)


def test_misfits_are_measured_in_bounds_of_freedman() -> None:
    z = np.column_stack([np.ones(600), LOG.x])
    chosen = (LOG.action[:, None] == np.arange(4)).astype(float)
    worst = {
        arm: (
            np.abs((chosen - LOG.logged)[:, k] @ z)
            / freedman(np.abs(z).max(axis=0), (LOG.logged * (1 - LOG.logged))[:, k] @ z**2, z.shape[1] * 4)
        ).max()
        for k, arm in enumerate(LOG.arms)
    }
    assert FOUND.misfit == pytest.approx(max(worst.values()), rel=1e-9)
    assert FOUND.misfit_arm == max(worst, key=worst.__getitem__)
    ratio = LOG.target / LOG.logged
    variance = (LOG.target * ratio).sum() - 600
    bound = freedman(ratio.max(keepdims=True).ravel(), np.array([variance]), 1)
    assert FOUND.mean_weight_misfit == pytest.approx(abs(WEIGHT.sum() - 600) / bound.item(), rel=1e-9)


def test_the_checks_of_the_log_leave_right_logs_alone() -> None:
    """Independent rows and learning policies alike; the bound allows one false alarm in 500,000."""
    rng = np.random.default_rng(13)
    world = make_world(rng, contexts=4, d=2)
    learning = (world.thompson_log(rng, 400, always(0, 4), floor=0.02, batch=20) for _ in range(50))
    for log in [*(an_ordinary_log(seed=s, n=400) for s in range(50)), *learning]:
        found = diagnostics_of(log)
        assert found.misfit < 1.0
        assert found.mean_weight_misfit < 1.0
