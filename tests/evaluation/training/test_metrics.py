"""Metrics against scikit-learn, and calibration error against brute force and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from bandit_router.evaluation.training.metrics import (
    BINS,
    accuracy,
    auc,
    brier_score,
    calibration_error,
    chance_calibration_error,
    log_loss,
    reliability_curve,
)
from bandit_router.types import BoolArray, FloatArray


def some(seed: int, *, ties: bool) -> tuple[FloatArray, BoolArray, FloatArray]:
    rng = np.random.default_rng(seed)
    p = rng.random(500)
    if ties:
        p = np.round(p, 1)
    return p, rng.random(500) < p, rng.choice([0.5, 1.0, 3.0], size=500)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    p, y, w = some(seed, ties=ties)
    assert auc(p, y, w) == pytest.approx(sk.roc_auc_score(y, p, sample_weight=w))
    assert brier_score(p, y, w) == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w))
    assert accuracy(p, y, w) == pytest.approx(sk.accuracy_score(y, p > 0.5, sample_weight=w))
    inside = np.clip(p, 1e-15, 1 - 1e-15)
    assert log_loss(inside, y, w) == pytest.approx(sk.log_loss(y, inside, sample_weight=w))


def test_auc_needs_both_kinds() -> None:
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True]), np.ones(2)))


def test_a_certain_error_costs_a_finite_loss() -> None:
    assert np.isfinite(log_loss(np.array([0.0, 1.0]), np.array([True, False]), np.ones(2)))


def test_calibration_error_by_brute_force() -> None:
    p, y, w = some(7, ties=False)
    parts = np.array_split(np.argsort(p), BINS)
    gaps = [abs(np.average(p[b], weights=w[b]) - np.average(y[b], weights=w[b])) * w[b].sum() for b in parts]
    assert calibration_error(p, y, w) == pytest.approx(sum(gaps) / w.sum())


def test_one_probability_for_all_is_one_bin() -> None:
    found = reliability_curve(np.full(50, 0.3), np.arange(50) < 20, np.ones(50))
    assert (found.predicted.tolist(), found.rows.tolist()) == ([pytest.approx(0.3)], [50])
    assert found.observed.tolist() == [0.4]
    assert found.error[0] == pytest.approx(np.sqrt(0.4 * 0.6 / 50))


def test_chance_error_is_what_true_probabilities_come_to() -> None:
    rng = np.random.default_rng(0)
    p = 0.1 + 0.8 * rng.random(1_000)
    simulated = [calibration_error(p, rng.random(p.size) < p, np.ones(p.size)) for _ in range(300)]
    exact = reliability_curve(p, p > 2, np.ones(p.size))._replace(
        observed=reliability_curve(p, p > 2, p).predicted
    )
    spread = np.std(simulated) / np.sqrt(len(simulated))
    assert chance_calibration_error(exact, p.size) == pytest.approx(np.mean(simulated), abs=5 * spread)
