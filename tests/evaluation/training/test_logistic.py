"""Logistic regression against scikit-learn, its gradient against differences, and what wraps it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from bandit_router.evaluation.training.logistic import (
    FOLDS,
    Labelled,
    _penalised,
    assign_folds,
    fit_penalty_path,
    fit_platt_scaling,
    train_regression,
)
from bandit_router.types import FloatArray


def some(seed: int = 0, n: int = 400, d: int = 6, *, weighted: bool = True, signal: float = 1.0) -> Labelled:
    """Labels of a logistic model with a bias column, features of different scales, and weights."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, d)) * np.geomspace(0.1, 10, d) + 3.0])
    logit = signal * (x[:, 1:] - 3.0) / np.geomspace(0.1, 10, d) @ rng.normal(size=d) - 0.5
    weight = rng.choice([0.5, 1.0, 4.0], size=n) if weighted else np.ones(n)
    return Labelled(x, rng.random(n) < expit(logit), weight)


@pytest.mark.parametrize("penalty", [10.0, 0.1, 1e-4])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_fit_is_that_of_scikit_learn(penalty: float, weighted: bool) -> None:
    data = some(weighted=weighted)
    ours = fit_penalty_path(data, (10.0, penalty))[-1]
    z = (data.x - ours.mean) / ours.scale
    theirs = LogisticRegression(C=1.0 / (penalty * data.weight.sum()), tol=1e-10, max_iter=10_000)
    theirs.fit(z, data.complex, sample_weight=data.weight)
    assert ours.coefficients == pytest.approx(theirs.coef_[0], abs=2e-5)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=2e-5)
    assert ours.logit(data.x) == pytest.approx(theirs.decision_function(z), abs=1e-4)


def test_the_gradient_is_that_of_the_objective() -> None:
    data, rng = some(), np.random.default_rng(5)
    arguments = (data.x, data.complex, data.weight / data.weight.sum(), 0.3)
    theta = rng.normal(size=1 + data.x.shape[1]) * 0.1

    def value(at: FloatArray) -> float:
        return _penalised(at, *arguments)[0]

    assert _penalised(theta, *arguments)[1] == pytest.approx(approx_fprime(theta, value, 1e-7), abs=1e-5)


def test_standardised_features_have_mean_0_and_spread_1_and_a_constant_says_nothing() -> None:
    data = some()
    fitted = fit_penalty_path(data, (0.01,))[0]
    z = (data.x - fitted.mean) / fitted.scale
    share = data.weight / data.weight.sum()
    assert share @ z == pytest.approx(np.zeros(z.shape[1]), abs=1e-9)
    assert np.sqrt(share @ z**2)[1:] == pytest.approx(np.ones(z.shape[1] - 1))
    assert (fitted.scale[0], fitted.coefficients[0]) == (1.0, pytest.approx(0.0, abs=1e-9))


def test_a_weight_of_3_is_three_rows() -> None:
    data = some(weighted=False)
    times = np.random.default_rng(1).integers(1, 4, size=len(data.x))
    heavy = Labelled(data.x, data.complex, times.astype(float))
    often = data.take(np.repeat(np.arange(len(data.x)), times))
    one, other = fit_penalty_path(heavy, (0.05,))[0], fit_penalty_path(often, (0.05,))[0]
    assert one.logit(data.x) == pytest.approx(other.logit(data.x), abs=1e-4)


def test_calibration_finds_slope_and_intercept() -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(size=200_000) * 2.0
    data = Labelled(logit[:, None], rng.random(logit.size) < expit(0.5 * logit - 1.0), np.ones(logit.size))
    found = fit_platt_scaling(logit, data)
    assert found == pytest.approx((0.5, -1.0), abs=0.03)  # standard errors are about 0.004 and 0.006


def test_a_slope_below_0_is_none() -> None:
    rng = np.random.default_rng(4)
    logit = rng.normal(size=2_000)
    data = Labelled(logit[:, None], rng.random(logit.size) < expit(-logit), np.ones(logit.size))
    found = fit_platt_scaling(logit, data)
    assert found.slope == 0.0
    assert expit(found.intercept) == pytest.approx(data.complex.mean(), abs=1e-5)


def test_equal_contexts_are_held_out_together_and_labels_spread() -> None:
    data = some(n=300)
    twice = data.take(np.tile(np.arange(300), 2))
    twice = twice._replace(weight=np.where(np.arange(600) % 7 == 0, 0.0, twice.weight))
    fold = assign_folds(twice, np.random.default_rng(0))
    np.testing.assert_array_equal(fold[:300], fold[300:])
    assert set(fold) == set(range(FOLDS))
    complex_ = [int(data.complex[fold[:300] == f].sum()) for f in range(FOLDS)]
    assert max(complex_) - min(complex_) <= 30  # unlabelled rows are dealt apart
    plain = assign_folds(data, np.random.default_rng(0))
    counts = [int(data.complex[plain == f].sum()) for f in range(FOLDS)]
    assert max(counts) - min(counts) <= 1


def test_training_finds_what_there_is() -> None:
    data = some(n=4_000, signal=1.0)
    trained = train_regression(data, np.random.default_rng(0))
    fresh = some(n=4_000, signal=1.0)  # the same queries' probabilities, and the same seed's weights
    rng = np.random.default_rng(0)
    rng.normal(size=(4_000, 6))
    truth = expit((fresh.x[:, 1:] - 3.0) / np.geomspace(0.1, 10, 6) @ rng.normal(size=6) - 0.5)
    assert np.abs(trained.p_complex(fresh.x) - truth).mean() < 0.03


def test_training_on_noise_gives_the_base_rate() -> None:
    data = some(n=1_000, d=60, signal=0.0, weighted=False)
    p = train_regression(data, np.random.default_rng(0)).p_complex(data.x)
    assert p.std() < 0.03
    assert p.mean() == pytest.approx(data.complex.mean(), abs=0.01)
