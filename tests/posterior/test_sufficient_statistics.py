"""Statistics refuse what would spoil them, and are made, copied and widened by arms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.posterior.codec import encode_statistics
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import FloatArray
from tests.posterior.examples import NOISE, fed, solve_independent, statistics_of, uneven_prior

NAN, INF = math.nan, math.inf


# -- what is refused, and leaves everything as it was ---------------------------------------------

BAD_NUMBERS = [NAN, INF, -INF]


def check_refuses(
    change: Callable[[SufficientStatistics], None], error: type[Exception] = InvalidInput
) -> None:
    """The change raises, and neither the sums nor the predictions nor the clock move."""
    statistics = fed(half_life_s=60.0)
    before, predicted = encode_statistics(statistics), statistics.solve().predict(np.ones(3))
    with pytest.raises(error):
        change(statistics)
    assert encode_statistics(statistics) == before
    np.testing.assert_array_equal(statistics.solve().predict(np.ones(3)), predicted)


@pytest.mark.parametrize("bad", [*BAD_NUMBERS, 1e200])
def test_a_context_that_is_not_finite_or_overflows_is_refused(bad: float) -> None:
    x = np.array([0.1, bad, 0.2])
    check_refuses(lambda p: p.observe("a", x, 0.5, 200.0))
    check_refuses(lambda p: p.retract("a", x, 0.5, 200.0))
    check_refuses(lambda p: p.revise("a", x, 0.5, 0.6, 200.0))
    check_refuses(lambda p: p.observe_many("a", x[None], np.array([0.5]), np.array([200.0])))


@pytest.mark.parametrize("bad", BAD_NUMBERS)
def test_a_reward_that_is_not_finite_is_refused(bad: float) -> None:
    x = np.ones(3)
    check_refuses(lambda p: p.observe("a", x, bad, 200.0))
    check_refuses(lambda p: p.retract("a", x, bad, 200.0))
    check_refuses(lambda p: p.revise("a", x, bad, 0.5, 200.0))
    check_refuses(lambda p: p.revise("a", x, 0.5, bad, 200.0))
    check_refuses(lambda p: p.observe_many("a", x[None], np.array([bad]), np.array([200.0])))


@pytest.mark.parametrize("bad", BAD_NUMBERS)
def test_a_time_that_is_not_finite_is_refused(bad: float) -> None:
    x = np.ones(3)
    check_refuses(lambda p: p.observe("a", x, 0.5, bad))
    check_refuses(lambda p: p.retract("a", x, 0.5, bad))
    check_refuses(lambda p: p.revise("a", x, 0.5, 0.6, bad))
    check_refuses(lambda p: p.observe_many("a", x[None], np.array([0.5]), np.array([bad])))


@pytest.mark.parametrize("bad", [NAN, INF])
def test_the_reference_time_never_becomes_infinite_or_nan(bad: float) -> None:
    check_refuses(lambda p: p.advance(bad))


@pytest.mark.parametrize("x", [np.ones(1), np.ones(2), np.ones(4), np.ones((3, 1)), np.ones((1, 3))])
def test_a_context_of_another_shape_is_refused(x: FloatArray) -> None:
    check_refuses(lambda p: p.observe("a", x, 0.5, 200.0))
    check_refuses(lambda p: p.observe_many("a", x.reshape(1, -1)[:, :2], np.array([0.5]), np.array([200.0])))


@pytest.mark.parametrize(("rewards", "times"), [(2, 1), (1, 2), (3, 3)])
def test_observe_many_refuses_columns_of_different_lengths(rewards: int, times: int) -> None:
    check_refuses(lambda p: p.observe_many("a", np.ones((2, 3)), np.ones(rewards), np.ones(times)))


def test_an_unknown_arm_is_a_key_error() -> None:
    check_refuses(lambda p: p.observe("z", np.ones(3), 0.5, 200.0), KeyError)
    check_refuses(lambda p: p.observe_many("z", np.ones((1, 3)), np.ones(1), np.ones(1)), KeyError)


def test_observing_no_rows_changes_nothing() -> None:
    statistics = fed()
    before = encode_statistics(statistics)
    statistics.observe_many("a", np.empty((0, 3)), np.empty(0), np.empty(0))
    assert encode_statistics(statistics) == before


# -- construction ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "precision"),
    [
        ([0.0], [1.0, 1.0]),
        ([[0.0]], [[1.0]]),
        ([NAN], [1.0]),
        ([0.0], [INF]),
        ([0.0], [0.0]),
        ([0.0], [-1.0]),
    ],
)
def test_a_prior_is_two_finite_vectors_with_positive_precision(
    mean: list[float], precision: list[float]
) -> None:
    with pytest.raises(InvalidInput, match="prior"):
        Prior(mean=np.array(mean), precision=np.array(precision))


@pytest.mark.parametrize("noise_variance", [0.0, -1.0, NAN, INF])
def test_the_noise_variance_is_a_positive_number(noise_variance: float) -> None:
    with pytest.raises(InvalidInput, match="noise_variance"):
        SufficientStatistics.empty({"a": uneven_prior(2)}, schema_id="s1", noise_variance=noise_variance)


@pytest.mark.parametrize("half_life_s", [0.0, -1.0, NAN, INF])
def test_the_half_life_is_a_positive_number_or_none(half_life_s: float) -> None:
    with pytest.raises(InvalidInput, match="half_life_s"):
        statistics_of(2, half_life_s=half_life_s)


def test_priors_of_different_lengths_are_refused() -> None:
    priors = {"a": uneven_prior(2), "b": uneven_prior(3)}
    with pytest.raises(InvalidInput, match="priors"):
        SufficientStatistics.empty(priors, schema_id="s1", noise_variance=NOISE)


def test_a_copy_shares_nothing_with_the_original() -> None:
    statistics = fed()
    before = encode_statistics(statistics)
    twin = statistics.copy()
    twin.observe("a", np.ones(3), 0.5, 500.0)
    twin.prior_mean += 1.0
    twin.prior_precision += 1.0
    assert encode_statistics(statistics) == before


def test_a_new_arm_predicts_its_prior_and_leaves_the_others_alone() -> None:
    statistics, probe = fed(half_life_s=60.0), np.array([0.3, -1.0, 0.5])
    wider = statistics.with_arms({"c": uneven_prior(3)})
    assert (wider.as_of, wider.half_life_s) == (statistics.as_of, 60.0)
    mean, std = wider.solve().predict(probe)
    np.testing.assert_array_equal((mean[:2], std[:2]), statistics.solve().predict(probe))
    assert mean[2] == pytest.approx(uneven_prior(3).mean @ probe, rel=1e-12)
    assert "c" not in statistics


def test_arms_that_are_added_together_are_as_if_added_one_by_one() -> None:
    statistics, priors = fed(), {"c": uneven_prior(3), "d": Prior(mean=np.ones(3), precision=np.ones(3))}
    one_by_one = statistics
    for arm, prior in priors.items():
        one_by_one = one_by_one.with_arms({arm: prior})
    together = statistics.with_arms(priors)
    assert together.arms == ("a", "b", "c", "d")
    assert encode_statistics(together) == encode_statistics(one_by_one)
    assert encode_statistics(statistics.with_arms({})) == encode_statistics(statistics)


def test_a_new_arm_needs_a_new_name_and_a_prior_of_the_right_length() -> None:
    with pytest.raises(InvalidInput, match="'a' exists already"):
        fed().with_arms({"a": uneven_prior(3)})
    with pytest.raises(InvalidInput, match="length 2"):
        fed().with_arms({"c": uneven_prior(2)})


# -- what a revision and a retraction do to the posterior -------------------------------------------


def test_revising_equals_having_counted_the_new_reward() -> None:
    revised, expected = fed(5, half_life_s=60.0), fed(5, half_life_s=60.0)
    x = np.linspace(-1.0, 1.0, 5)
    revised.observe("a", x, 0.2, 30.0)
    revised.solve()
    revised.revise("a", x, 0.2, 0.9, 30.0)
    expected.observe("a", x, 0.9, 30.0)
    np.testing.assert_allclose(
        solve_independent(revised).theta, solve_independent(expected).theta, rtol=1e-9, atol=1e-12
    )


def test_retracting_is_seen_by_the_next_solve() -> None:
    statistics, x = fed(5), np.linspace(-1.0, 1.0, 5)
    before = statistics.solve().predict(x)
    statistics.observe("a", x, 0.2, 100.0)
    assert (statistics.solve().predict(x)[0] != before[0]).any()
    statistics.retract("a", x, 0.2, 100.0)
    np.testing.assert_allclose(statistics.solve().predict(x), before, rtol=1e-9)
