"""What a confidence is worth is learned, whatever the raw number says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.posterior.arm_priors import make_hyperprior, make_level_prior
from bandit_router.posterior.confidence import CONFIDENCE_FEATURES, append_confidence, empty_calibrators
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.settings.learning import PosteriorSection

DIM = 4


def rewards(mean: float = 0.7) -> SufficientStatistics:
    section = PosteriorSection(prior_mean=mean)
    return SufficientStatistics.empty(
        dict.fromkeys(("cheap", "dear"), make_level_prior(section, DIM)),
        schema_id="s",
        noise_variance=section.noise_std**2,
        half_life_s=30.0,
        hyperprior=make_hyperprior(section),
    )


@given(st.floats(0.0, 1.0))
def test_the_features_of_a_confidence_stand_behind_the_context(confidence: float) -> None:
    x = np.array([1.0, 0.5, -2.0, 3.0])
    z = append_confidence(x, confidence)
    np.testing.assert_array_equal(z[:DIM], x)
    assert z[DIM] == confidence
    within = min(max(confidence, 0.01), 0.99)
    assert z[DIM + 1] == pytest.approx(math.log(within / (1 - within)) / math.log(99), abs=1e-9)
    assert z.size == DIM + CONFIDENCE_FEATURES


def test_before_any_feedback_a_confidence_says_nothing_and_the_rewards_prior_counts() -> None:
    blank = empty_calibrators(rewards(0.6))
    assert blank.arms == ("cheap", "dear")
    assert blank.half_life_s == 30.0
    posterior = blank.solve()
    for confidence in (0.0, 0.5, 1.0):
        mean, std = posterior.predict(append_confidence(np.ones(DIM), confidence))
        assert mean == pytest.approx([0.6, 0.6])
        assert (std > 0).all()


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_an_overconfident_model_is_calibrated_whatever_the_scale_of_x(scale: float) -> None:
    """P(good) is 2c − 1 for c in [0.7, 1]: raw, it errs by up to 0.3."""
    rng = np.random.default_rng(5)
    calibrators = empty_calibrators(rewards())
    c = rng.uniform(0.7, 1.0, size=4_000)
    x = np.column_stack([np.ones(c.size), scale * rng.standard_normal((c.size, DIM - 1))])
    good = (rng.random(c.size) < 2 * c - 1).astype(float)
    z = np.array([append_confidence(*row) for row in zip(x, c.tolist(), strict=True)])
    calibrators.observe_many("cheap", z, good, np.zeros(c.size))
    posterior = calibrators.solve()
    for confidence in (0.72, 0.8, 0.9, 0.97):
        mean, _ = posterior.predict(append_confidence(np.eye(DIM)[0], confidence))
        assert mean[0] == pytest.approx(2 * confidence - 1, abs=0.06)  # the curve of z bends a little
