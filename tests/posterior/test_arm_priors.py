"""What the settings say of arms before any feedback."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.posterior.arm_priors import (
    REFERENCE_USD_PER_MTOK,
    expected_reward_at_price,
    make_arm_prior,
)
from bandit_router.settings.arms import ArmSection
from bandit_router.settings.learning import PosteriorSection


def expected(section: PosteriorSection, usd: float, expected_quality: float | None = None) -> float:
    section_of_arm = ArmSection(name="one", input_usd_per_mtok=usd / 4, output_usd_per_mtok=usd * 3 / 4)
    prior = make_arm_prior(section, 3, section_of_arm.arm(), expected_quality)
    np.testing.assert_array_equal(prior.mean[1:], 0.0)
    return float(prior.mean[0])


def test_a_model_of_the_usual_price_is_expected_to_be_as_good_as_the_prior_says() -> None:
    assert expected(PosteriorSection(price_slope=0.1), REFERENCE_USD_PER_MTOK) == pytest.approx(0.7)


@pytest.mark.parametrize("slope", [0.05, -0.1])
def test_ten_times_the_price_is_one_slope_better(slope: float) -> None:
    section = PosteriorSection(price_slope=slope)
    assert expected(section, 6.0) - expected(section, 0.6) == pytest.approx(slope)


def test_a_configured_expectation_is_what_is_expected() -> None:
    assert expected(PosteriorSection(price_slope=0.1), 30.0, expected_quality=0.2) == 0.2


def test_what_is_free_has_no_place_in_the_order() -> None:
    assert expected(PosteriorSection(price_slope=0.5), 0.0) == 0.7


def test_unless_asked_for_there_is_no_order() -> None:
    assert expected(PosteriorSection(), 30.0) == 0.7


@given(st.floats(0.0, 1.0), st.floats(-1.0, 1.0), st.floats(0.0, 1e300))
def test_no_price_makes_it_expect_what_cannot_be(mean: float, slope: float, usd: float) -> None:
    assert 0.0 <= expected_reward_at_price(PosteriorSection(prior_mean=mean, price_slope=slope), usd) <= 1.0
