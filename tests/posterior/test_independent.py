"""Independent arms: what they predict, and the quarantine of those whose sums are unusable."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from tests.oracles import regress
from tests.posterior.examples import NOISE, fed, statistics_of, uneven_prior

NAN, INF = math.nan, math.inf


# -- predict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 20, 127, 128, 150])
def test_predict_equals_brute_force_on_both_sides_of_the_symmetric_read(dim: int) -> None:
    rng = np.random.default_rng(dim)
    x, rewards, at = rng.normal(size=(40, dim)), rng.random(40), np.zeros(40)
    statistics = statistics_of(dim, "a", "unseen")
    statistics.observe_many("a", x, rewards, at)
    probe = rng.normal(size=dim)
    mean, std = statistics.solve().predict(probe)
    prior = uneven_prior(dim)
    theta, covariance = regress(prior, NOISE, x, rewards, np.ones(40))
    expected_mean = [theta @ probe, prior.mean @ probe]
    expected_std = np.sqrt([probe @ covariance @ probe, probe**2 @ (1 / prior.precision)])
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(std, expected_std, rtol=1e-9)


def test_predict_leaves_the_context_alone() -> None:
    probe = np.ones(3)
    fed().solve().predict(probe)
    assert probe.tolist() == [1.0, 1.0, 1.0]


def test_a_posterior_without_arms_predicts_empty_vectors() -> None:
    nobody = SufficientStatistics.empty({}, schema_id="s1", noise_variance=NOISE, dim=3)
    mean, std = nobody.solve().predict(np.ones(3))
    assert mean.shape == std.shape == (0,)


# -- quarantine ------------------------------------------------------------------------------------


def poison(statistics: SufficientStatistics, where: str, value: float) -> None:
    """Spoil the sums of the first arm, as a faulty disk or an older bug might have."""
    (statistics.second if where == "second" else statistics.cross)[0].flat[0] = value


POISONS = [("second", NAN), ("second", INF), ("cross", NAN), ("cross", -INF), ("second", -1e9)]


@pytest.mark.parametrize(("where", "value"), POISONS)
def test_an_arm_with_unusable_sums_predicts_its_prior(where: str, value: float) -> None:
    statistics = fed()
    poison(statistics, where, value)
    probe = np.array([0.3, -1.0, 0.5])
    mean, std = statistics.solve().predict(probe)
    prior = uneven_prior(3)
    assert mean[0] == pytest.approx(prior.mean @ probe, rel=1e-12)
    assert std[0] == pytest.approx(math.sqrt(probe**2 @ (1 / prior.precision)), rel=1e-12)


@pytest.mark.parametrize(("where", "value"), POISONS)
def test_quarantine_leaves_other_arms_as_they_were(where: str, value: float) -> None:
    healthy, statistics = fed(), fed()
    poison(statistics, where, value)
    probe = np.array([0.3, -1.0, 0.5])
    others = ([values[1] for values in s.solve().predict(probe)] for s in (statistics, healthy))
    assert next(others) == next(others)


def test_quarantine_is_logged_as_an_error_that_names_the_arm(caplog: pytest.LogCaptureFixture) -> None:
    statistics = fed(3, "good", "bad")
    statistics.cross[1, 0] = NAN
    statistics.solve()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "'bad'" in record.message
