"""A posterior that follows each observation: rank-one updates, the direct solve and an oracle agree."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.independent import IndependentPosterior
from bandit_router.posterior.online import OnlinePosterior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.warm_start import WarmStart
from tests.oracles import Row, regress, regress_rows, relative_error
from tests.posterior.examples import NOISE, fed, solve_independent, statistics_of, uneven_prior
from tests.posterior.sums import make_sums


def followed(online: OnlinePosterior) -> IndependentPosterior:
    """The posterior that follows, of independent arms."""
    assert isinstance(online.posterior, IndependentPosterior)
    return online.posterior


def check_rank_one_path(start: Callable[[], OnlinePosterior], *, updates: int) -> None:
    """Observing one by one gives the posterior of the direct solve and of stacked regression."""
    online = start()
    statistics, posterior = online.statistics, followed(online)
    rng = np.random.default_rng(11)
    x = rng.normal(size=(updates, statistics.dim))
    rewards = rng.random(updates)
    for row, reward in zip(x, rewards, strict=True):
        online.observe("a", row, float(reward))
    assert online.posterior is posterior, "it was solved again"
    direct = solve_independent(statistics)
    prior = Prior(mean=statistics.prior_mean[0], precision=statistics.prior_precision[0])
    theta, covariance = regress(prior, statistics.noise_variance, x, rewards, np.ones(updates))
    for other_theta, other_covariance in ((direct.theta[0], direct.covariance[0]), (theta, covariance)):
        assert relative_error(posterior.theta[0], other_theta) < 1e-9
        assert relative_error(posterior.covariance[0], other_covariance) < 1e-9
    assert posterior.count.tolist() == posterior.reward_counts.tolist() == direct.count.tolist() == [updates]


def test_twenty_thousand_rank_one_updates_equal_the_direct_solve() -> None:
    check_rank_one_path(lambda: OnlinePosterior(statistics_of(64)), updates=20_000)


@pytest.mark.parametrize("dim", [1, 2, 20, 150])
def test_rank_one_updates_equal_the_direct_solve_in_other_dimensions(dim: int) -> None:
    check_rank_one_path(lambda: OnlinePosterior(statistics_of(dim)), updates=300)


def test_an_inverse_that_starts_as_a_copy_of_the_precision_fails_the_check() -> None:
    def broken() -> OnlinePosterior:
        online = OnlinePosterior(statistics_of(8))
        followed(online).covariance[0] = np.diag(online.statistics.prior_precision[0])
        return online

    check_rank_one_path(lambda: OnlinePosterior(statistics_of(8)), updates=50)
    with pytest.raises(AssertionError):
        check_rank_one_path(broken, updates=50)


def test_rank_one_updates_with_late_events_weigh_them_by_their_age() -> None:
    online = OnlinePosterior(statistics_of(4, half_life_s=10.0))
    rng = np.random.default_rng(3)
    rows = [Row("a", rng.normal(size=4), rng.random(), 100.0 - 5.0 * i) for i in range(20)]
    online.observe(*rows[0])
    posterior = followed(online)
    for row in rows[1:]:
        online.observe(*row)
    assert online.posterior is posterior, "it was solved again"
    theta, covariance = regress_rows(uneven_prior(4), NOISE, rows, 10.0, now=100.0)
    assert relative_error(posterior.theta[0], theta) < 1e-9
    assert relative_error(posterior.covariance[0], covariance) < 1e-9


def test_an_event_that_makes_older_evidence_decay_is_followed_too() -> None:
    online = OnlinePosterior(statistics_of(4, half_life_s=10.0))
    rng = np.random.default_rng(3)
    rows = [Row("a", rng.normal(size=4), rng.random(), 5.0 * i) for i in range(20)]
    for row in rows:
        online.observe(*row)
    theta, covariance = regress_rows(uneven_prior(4), NOISE, rows, 10.0, now=95.0)
    assert relative_error(followed(online).theta[0], theta) < 1e-9
    assert relative_error(followed(online).covariance[0], covariance) < 1e-9


def test_rewards_are_counted_on_top_of_a_warm_start() -> None:
    statistics = statistics_of(2, "a", "b")
    ones = make_sums(np.ones((2, 2, 2)), np.ones((2, 2)), np.ones(2), np.array([7.0, 0.0]))
    statistics.warm = WarmStart(ones, 1.0, 0.0)
    online = OnlinePosterior(statistics)
    online.observe("b", np.ones(2), 0.5)
    assert online.posterior.count.tolist() == [0, 1]
    assert online.posterior.reward_counts.tolist() == [7, 1]


def test_a_hierarchical_posterior_follows_in_steps_and_stays_as_it_was_between_them() -> None:
    statistics = statistics_of(3, "a", "b")
    statistics.hyperprior = Hyperprior(
        level_std=0.3, arm_std=0.15, common_variance=0.02, arm_variance=0.005, noise_std=0.3
    )
    online, rng, solved_at = OnlinePosterior(statistics), np.random.default_rng(0), [0]
    x = np.array([1.0, -0.5, 2.0])
    for n in range(1, 101):
        before, predicted = online.posterior, online.posterior.predict(x)
        online.observe("a", np.array([1.0, *rng.standard_normal(2)]), rng.random())
        np.testing.assert_array_equal(before.predict(x), predicted)
        if online.posterior is not before:
            solved_at.append(n)
            np.testing.assert_array_equal(online.posterior.predict(x), statistics.solve().predict(x))
    assert solved_at[1:] == [math.ceil(max(n + 1, 1.05 * n)) for n in solved_at[:-1]]
    assert solved_at[-1] > 90


def test_a_solved_posterior_does_not_change_with_its_statistics() -> None:
    statistics, x = fed(5), np.linspace(-1.0, 1.0, 5)
    posterior = statistics.solve()
    predicted, count = posterior.predict(x), posterior.count.tolist()
    OnlinePosterior(statistics).observe("a", x, 0.2, 100.0)
    statistics.forget("b")
    np.testing.assert_array_equal(posterior.predict(x), predicted)
    assert posterior.count.tolist() == posterior.reward_counts.tolist() == count
