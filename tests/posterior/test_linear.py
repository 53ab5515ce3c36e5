from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.posterior.codec import encode_posterior
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.prior import Prior
from bandit_router.types import FloatArray
from tests.oracles import Row, regress, regress_rows, relative_error

NOISE = 0.09
NAN, INF = math.nan, math.inf


def uneven_prior(dim: int) -> Prior:
    """A prior in which no two directions are alike and no precision is 1."""
    return Prior(mean=np.linspace(-0.5, 0.5, dim), precision=np.geomspace(0.3, 30.0, dim))


def posterior_of(dim: int, *arms: str, half_life_s: float | None = None) -> Posterior:
    priors = {arm: uneven_prior(dim) for arm in arms or ("a",)}
    return Posterior.empty(priors, schema_id="s1", noise_variance=NOISE, half_life_s=half_life_s)


def fed(dim: int = 3, *arms: str, n: int = 30, half_life_s: float | None = None) -> Posterior:
    """A posterior that has seen n random rewards of each arm, and is solved."""
    rng = np.random.default_rng(5)
    posterior = posterior_of(dim, *(arms or ("a", "b")), half_life_s=half_life_s)
    for arm in posterior.arms:
        posterior.observe_many(arm, rng.normal(size=(n, dim)), rng.random(n), rng.random(n) * 100)
    posterior.solve()
    return posterior


# -- rank-one updates, the direct solve and an oracle that shares no code agree --------------------


def check_rank_one_path(start: Callable[[], Posterior], *, updates: int) -> None:
    """Observing one by one gives the posterior of the direct solve and of stacked regression."""
    live = start()
    assert not live._stale, "the rank-one path is only walked from a solved posterior"
    rng = np.random.default_rng(11)
    x = rng.normal(size=(updates, live.dim))
    rewards = rng.random(updates)
    for row, reward in zip(x, rewards, strict=True):
        live.observe("a", row, float(reward))
    assert not live._stale
    direct = live.copy()
    direct.solve()
    prior = Prior(mean=live.prior_mean[0], precision=live.prior_precision[0])
    theta, covariance = regress(prior, live.noise_variance, x, rewards, np.ones(updates))
    for other_theta, other_covariance in ((direct.theta[0], direct.covariance[0]), (theta, covariance)):
        assert relative_error(live.theta[0], other_theta) < 1e-9
        assert relative_error(live.covariance[0], other_covariance) < 1e-9


def solved(dim: int) -> Posterior:
    posterior = posterior_of(dim)
    posterior.solve()
    return posterior


def test_twenty_thousand_rank_one_updates_equal_the_direct_solve() -> None:
    check_rank_one_path(lambda: solved(64), updates=20_000)


@pytest.mark.parametrize("dim", [1, 2, 20, 150])
def test_rank_one_updates_equal_the_direct_solve_in_other_dimensions(dim: int) -> None:
    check_rank_one_path(lambda: solved(dim), updates=300)


def test_an_inverse_that_starts_as_a_copy_of_the_precision_fails_the_check() -> None:
    def broken() -> Posterior:
        posterior = solved(8)
        posterior.covariance[0] = np.diag(posterior.prior_precision[0])
        return posterior

    check_rank_one_path(lambda: solved(8), updates=50)
    with pytest.raises(AssertionError):
        check_rank_one_path(broken, updates=50)


def test_rank_one_updates_with_late_events_weigh_them_by_their_age() -> None:
    posterior = posterior_of(4, half_life_s=10.0)
    rng = np.random.default_rng(3)
    rows = [Row("a", rng.normal(size=4), rng.random(), 100.0 - 5.0 * i) for i in range(20)]
    posterior.observe(*rows[0])
    posterior.predict(np.ones(4))
    for row in rows[1:]:
        posterior.observe(*row)
    assert not posterior._stale
    theta, covariance = regress_rows(uneven_prior(4), NOISE, rows, 10.0, now=100.0)
    assert relative_error(posterior.theta[0], theta) < 1e-9
    assert relative_error(posterior.covariance[0], covariance) < 1e-9


def test_revising_a_solved_posterior_equals_the_direct_solve() -> None:
    posterior = fed(5, half_life_s=60.0)
    x = np.linspace(-1.0, 1.0, 5)
    posterior.observe("a", x, 0.2, 30.0)
    posterior.revise("a", x, 0.2, 0.9, 30.0)
    assert not posterior._stale
    direct = posterior.copy()
    direct.solve()
    assert relative_error(posterior.theta, direct.theta) < 1e-9


def test_retracting_from_a_solved_posterior_is_seen_by_the_next_prediction() -> None:
    posterior, x = fed(5), np.linspace(-1.0, 1.0, 5)
    before = posterior.predict(x)
    posterior.observe("a", x, 0.2, 100.0)
    posterior.retract("a", x, 0.2, 100.0)
    np.testing.assert_allclose(posterior.predict(x), before, rtol=1e-9)


# -- predict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 20, 127, 128, 150])
def test_predict_equals_brute_force_on_both_sides_of_the_symmetric_read(dim: int) -> None:
    rng = np.random.default_rng(dim)
    x, rewards, at = rng.normal(size=(40, dim)), rng.random(40), np.zeros(40)
    posterior = posterior_of(dim, "a", "unseen")
    posterior.observe_many("a", x, rewards, at)
    probe = rng.normal(size=dim)
    mean, std = posterior.predict(probe)
    prior = uneven_prior(dim)
    theta, covariance = regress(prior, NOISE, x, rewards, np.ones(40))
    expected_mean = [theta @ probe, prior.mean @ probe]
    expected_std = np.sqrt([probe @ covariance @ probe, probe**2 @ (1 / prior.precision)])
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(std, expected_std, rtol=1e-9)


def test_predict_leaves_the_context_alone() -> None:
    probe = np.ones(3)
    fed().predict(probe)
    assert probe.tolist() == [1.0, 1.0, 1.0]


def test_a_posterior_without_arms_predicts_empty_vectors() -> None:
    mean, std = Posterior.empty({}, schema_id="s1", noise_variance=NOISE, dim=3).predict(np.ones(3))
    assert mean.shape == std.shape == (0,)


# -- what is refused, and leaves everything as it was ---------------------------------------------

BAD_NUMBERS = [NAN, INF, -INF]


def check_refuses(change: Callable[[Posterior], None], error: type[Exception] = InvalidInput) -> None:
    """The change raises, and neither the sums nor the predictions nor the clock move."""
    posterior = fed(half_life_s=60.0)
    before, predicted = encode_posterior(posterior), posterior.predict(np.ones(3))
    with pytest.raises(error):
        change(posterior)
    assert encode_posterior(posterior) == before
    np.testing.assert_array_equal(posterior.predict(np.ones(3)), predicted)


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
    posterior = fed()
    before = encode_posterior(posterior)
    posterior.observe_many("a", np.empty((0, 3)), np.empty(0), np.empty(0))
    assert encode_posterior(posterior) == before


# -- quarantine ------------------------------------------------------------------------------------


def poison(posterior: Posterior, where: str, value: float) -> None:
    """Spoil the sums of the first arm, as a faulty disk or an older bug might have."""
    (posterior.second if where == "second" else posterior.cross)[0].flat[0] = value


POISONS = [("second", NAN), ("second", INF), ("cross", NAN), ("cross", -INF), ("second", -1e9)]


@pytest.mark.parametrize(("where", "value"), POISONS)
def test_an_arm_with_unusable_sums_predicts_its_prior(where: str, value: float) -> None:
    posterior = fed()
    poison(posterior, where, value)
    posterior.solve()
    probe = np.array([0.3, -1.0, 0.5])
    mean, std = posterior.predict(probe)
    prior = uneven_prior(3)
    assert mean[0] == pytest.approx(prior.mean @ probe, rel=1e-12)
    assert std[0] == pytest.approx(math.sqrt(probe**2 @ (1 / prior.precision)), rel=1e-12)


@pytest.mark.parametrize(("where", "value"), POISONS)
def test_quarantine_leaves_other_arms_as_they_were(where: str, value: float) -> None:
    healthy, posterior = fed(), fed()
    poison(posterior, where, value)
    posterior.solve()
    probe = np.array([0.3, -1.0, 0.5])
    assert [v[1] for v in posterior.predict(probe)] == [v[1] for v in healthy.predict(probe)]


def test_quarantine_is_logged_as_an_error_that_names_the_arm(caplog: pytest.LogCaptureFixture) -> None:
    posterior = fed(3, "good", "bad")
    posterior.cross[1, 0] = NAN
    posterior.solve()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "'bad'" in record.message


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
        Posterior.empty({"a": uneven_prior(2)}, schema_id="s1", noise_variance=noise_variance)


@pytest.mark.parametrize("half_life_s", [0.0, -1.0, NAN, INF])
def test_the_half_life_is_a_positive_number_or_none(half_life_s: float) -> None:
    with pytest.raises(InvalidInput, match="half_life_s"):
        posterior_of(2, half_life_s=half_life_s)


def test_priors_of_different_lengths_are_refused() -> None:
    priors = {"a": uneven_prior(2), "b": uneven_prior(3)}
    with pytest.raises(InvalidInput, match="priors"):
        Posterior.empty(priors, schema_id="s1", noise_variance=NOISE)


def test_a_copy_shares_nothing_with_the_original() -> None:
    posterior = fed()
    before = encode_posterior(posterior)
    twin = posterior.copy()
    twin.observe("a", np.ones(3), 0.5, 500.0)
    twin.prior_mean += 1.0
    twin.prior_precision += 1.0
    assert encode_posterior(posterior) == before


def test_a_new_arm_predicts_its_prior_and_leaves_the_others_alone() -> None:
    posterior, probe = fed(half_life_s=60.0), np.array([0.3, -1.0, 0.5])
    wider = posterior.with_arm("c", uneven_prior(3))
    assert (wider.as_of, wider.half_life_s) == (posterior.as_of, 60.0)
    mean, std = wider.predict(probe)
    np.testing.assert_array_equal((mean[:2], std[:2]), posterior.predict(probe))
    assert mean[2] == pytest.approx(uneven_prior(3).mean @ probe, rel=1e-12)
    assert "c" not in posterior


def test_a_new_arm_needs_a_new_name_and_a_prior_of_the_right_length() -> None:
    with pytest.raises(InvalidInput, match="'a' exists already"):
        fed().with_arm("a", uneven_prior(3))
    with pytest.raises(InvalidInput, match="length 2"):
        fed().with_arm("c", uneven_prior(2))
