"""The bound on a loss: its sums against a dense oracle, and the share that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from bandit_router.learning.safety import (
    SafetyBook,
    add_decisions,
    bound_loss,
    find_share,
    predict_loss,
    settle_loss,
)
from bandit_router.objective.safety import SafetyGoal
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import NO_TASK, SAFETY_SHARE, Decision, FloatArray, Reason

ARMS, DIM = ("small", "middle", "large"), 3
GOAL = SafetyGoal(baseline="large", at_most=0.02)
HIERARCHY = Hyperprior(
    level_std=0.3,
    arm_std=0.17,
    common_variance=0.01,
    arm_variance=0.01,
    noise_std=0.4,
    arm_variance_known=True,
)


def solve(seed: int, rewards: int, hyperprior: Hyperprior | None = None) -> Posterior:
    """The posterior after so many rewards, large better than the others."""
    rng = np.random.default_rng(seed)
    prior = Prior(mean=np.array([0.6, 0.0, 0.0]), precision=np.array([20.0, 100.0, 100.0]))
    statistics = SufficientStatistics.empty(
        dict.fromkeys(ARMS, prior), schema_id="s", noise_variance=0.16, hyperprior=hyperprior
    )
    for i in range(rewards):
        arm = ARMS[rng.integers(3)]
        reward = float(rng.random() < 0.5 + 0.3 * (arm == "large"))
        statistics.observe(arm, a_context(rng), reward, float(i), task=int(rng.integers(-1, 3)))
    return statistics.solve()


def a_context(rng: np.random.Generator) -> FloatArray:
    return np.array([1.0, *rng.normal(size=DIM - 1)])


def decide(rng: np.random.Generator, arms: Sequence[str] = ARMS, share: float | None = 0.3) -> Decision:
    """A decision with any PMF in which the baseline has at least what the policy has not."""
    pmf = (1.0 if share is None else share) * rng.dirichlet(np.ones(len(arms)))
    if "large" in arms:
        pmf[arms.index("large")] += 1.0 - pmf.sum()
    return Decision(
        id="d",
        decided_at=0.0,
        x=a_context(rng),
        schema_id="s",
        eligible=tuple(arms),
        pmf=tuple(pmf),
        expected_costs_usd=tuple(0.01 * rng.random(len(arms))),
        arm=arms[0],
        propensity=float(pmf[0]),
        reason=Reason.POLICY,
        policy="tempered",
        snapshot=1,
        cost_weight=3.0,
        expected_quality=0.5,
        expected_cost_usd=0.01,
        list_cost_usd=0.01,
        signals={} if share is None else {SAFETY_SHARE: share},
        task=int(rng.integers(-1, 3)),
    )


def some_decisions(n: int, seed: int = 0, share: float = 0.3) -> list[Decision]:
    rng = np.random.default_rng(seed)
    return [decide(rng, share=share) for _ in range(n)]


def book_of(decisions: Sequence[Decision], posterior: Posterior) -> SafetyBook:
    return add_decisions(SafetyBook.empty(ARMS, DIM), decisions, posterior, GOAL)


@pytest.mark.parametrize("hyperprior", [None, HIERARCHY])
def test_the_loss_is_what_every_decision_is_expected_to_have_lost(hyperprior: Hyperprior | None) -> None:
    posterior, decisions, expected = solve(0, 200, hyperprior), some_decisions(50), 0.0
    for decision in decisions:
        mean, _ = posterior.predict(decision.x, decision.task)
        utility = mean - decision.cost_weight * np.array(decision.expected_costs_usd)
        expected += float(utility[2] - np.dot(decision.pmf, utility))
    assert predict_loss(book_of(decisions, posterior), posterior).mean == pytest.approx(expected)


def test_the_variance_is_that_of_the_effects_and_of_the_noise() -> None:
    posterior, decisions = solve(0, 200), some_decisions(50)
    variance = 0.0
    for k in range(3):
        apart = [float(k == 2) - decision.pmf[k] for decision in decisions]
        total = sum(weight * decision.x for weight, decision in zip(apart, decisions, strict=True))
        variance += total @ posterior.covariance[k] @ total  # type: ignore[attr-defined]
        variance += float(np.square(apart).sum() * posterior.residual_variance[k])
    assert predict_loss(book_of(decisions, posterior), posterior).std == pytest.approx(variance**0.5)


@given(
    counts=st.lists(st.sampled_from([0, 1, 3, 10, 30, 100, 1000]), min_size=2, max_size=8),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_hierarchy_knows_a_difference_of_levels_as_well_as_their_joint_density(
    counts: list[int], seed: int
) -> None:
    rng, k = np.random.default_rng(seed), len(counts)
    arms = tuple(f"a{i}" for i in range(k))
    statistics = SufficientStatistics.empty(
        dict.fromkeys(arms, Prior(mean=np.array([0.6]), precision=np.array([20.0]))),
        schema_id="s",
        noise_variance=0.16,
        hyperprior=HIERARCHY,
    )
    for arm, count in zip(arms, counts, strict=True):
        for i in range(count):
            statistics.observe(arm, np.ones(1), float(rng.random() < 0.6), float(i))
    posterior = statistics.solve()
    weight = -rng.dirichlet(np.ones(k))
    weight[0] -= weight.sum()
    ours = posterior.predict_sum(weight[:, None], np.zeros((k, 65)))[1]
    exact = joint_std(np.array(counts), posterior.residual_variance, weight)
    assert 0.95 < ours**2 / exact**2 < 1.25


def joint_std(counts: FloatArray, noise: FloatArray, weight: FloatArray) -> float:
    """The standard deviation of Σ weight · level from the dense precision of θ_0 and all levels."""
    own, k = HIERARCHY.arm_std**-2.0, len(counts)
    precision = np.diag([HIERARCHY.level_std**-2.0 + k * own, *(counts / noise + own)])
    precision[0, 1:] = precision[1:, 0] = -own
    covariance = np.linalg.inv(precision)[1:, 1:]
    return float(np.sqrt(weight @ covariance @ weight))


def test_the_order_of_decisions_changes_no_sum() -> None:
    posterior, decisions = solve(0, 50), some_decisions(20)
    one, other = book_of(decisions, posterior), book_of(decisions[::-1], posterior)
    assert one.decisions == other.decisions == 20
    assert one.earned == pytest.approx(other.earned)
    for name in ("x", "by_task", "squares", "cost"):
        np.testing.assert_allclose(getattr(one.past, name), getattr(other.past, name), atol=1e-12)


@given(
    n=st.integers(0, 60), rewards=st.integers(0, 60), share=st.floats(0.001, 1.0), seed=st.integers(0, 999)
)
def test_more_is_decided_where_more_may_be_lost_and_less_where_it_has_to_be_surer(
    n: int, rewards: int, share: float, seed: int
) -> None:
    posterior = solve(seed, rewards, HIERARCHY)
    book = book_of(some_decisions(n, seed, share), posterior)
    found = find_share(book, posterior, GOAL)
    assert GOAL.least_share <= found <= 1.0
    assert find_share(book, posterior, replace(GOAL, probability=0.999)) <= found
    assert find_share(book, posterior, replace(GOAL, at_most=0.2)) >= found


def test_the_first_share_is_where_the_bound_meets_what_may_be_lost() -> None:
    posterior = solve(0, 40)
    apart = np.array([-0.5, -0.5, 1.0])
    mean, std = posterior.predict(np.array([1.0, 0.0, 0.0]))
    variance = np.square(apart) @ (np.square(std) + posterior.residual_variance / 16.0)
    expected = 0.02 * mean[2] / (apart @ mean + norm.isf(0.025) * variance**0.5)
    found = find_share(SafetyBook.empty(ARMS, DIM), posterior, GOAL)
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_router_that_knows_nothing_begins_with_little() -> None:
    posterior = solve(0, 0, HIERARCHY)
    share = find_share(SafetyBook.empty(ARMS, DIM), posterior, GOAL)
    assert GOAL.least_share < share < 0.1
    assert find_share(SafetyBook.empty(ARMS, DIM), posterior, replace(GOAL, at_most=0.05)) > 2.0 * share


def test_it_decides_more_when_it_is_known_to_lose_nothing_and_hardly_when_it_lost_all_it_may() -> None:
    rng = np.random.default_rng(0)
    better, worse = (solve_levels({"small": level, "middle": level, "large": 0.6}) for level in (0.9, 0.3))
    decisions = [decide(rng, share=0.3) for _ in range(200)]
    assert find_share(book_of(decisions, better), better, GOAL) == 1.0
    assert find_share(book_of(decisions, worse), worse, GOAL) == GOAL.least_share


def solve_levels(levels: dict[str, float]) -> Posterior:
    """The posterior after two thousand rewards of these means for each arm."""
    prior = Prior(mean=np.array([0.6, 0.0, 0.0]), precision=np.array([20.0, 100.0, 100.0]))
    statistics = SufficientStatistics.empty(
        dict.fromkeys(ARMS, prior), schema_id="s", noise_variance=0.16, hyperprior=HIERARCHY
    )
    for arm, level in levels.items():
        for i in range(2000):
            statistics.observe(arm, np.array([1.0, 0.0, 0.0]), float(i % 10 < 10 * level), 0.0)
    return statistics.solve()


def test_the_bound_errs_with_the_stated_probability_over_all_doublings() -> None:
    levels = [1.0 - norm.cdf(GOAL.count_deviations(2**k - 1)) for k in range(60)]
    assert levels[0] == pytest.approx(0.025)
    assert sum(levels) == pytest.approx(0.05 * 60 / 61)


def test_a_decision_without_the_baseline_is_not_compared() -> None:
    rng, posterior = np.random.default_rng(0), solve(0, 50)
    assert book_of([decide(rng, ("small", "middle"))], posterior).decisions == 0


def test_what_something_else_decided_counts_as_lost_and_tells_nothing_of_the_policy() -> None:
    posterior = solve(0, 50)
    book = book_of([decide(np.random.default_rng(0), share=None)], posterior)
    assert (book.decisions, book.recent_weight) == (1, 0.0)
    assert book.past.x.any()


def test_what_was_settled_stays_lost() -> None:
    posterior = solve(0, 50)
    book = book_of(some_decisions(30), posterior)
    settled = settle_loss(book, bound_loss(predict_loss(book, posterior), book.decisions, GOAL))
    assert predict_loss(settled, posterior) == (settled.settled, 0.0)
    assert (settled.decisions, settled.earned) == (book.decisions, book.earned)
    assert find_share(settled, posterior, GOAL) <= find_share(book, posterior, GOAL)


def test_a_task_counts_by_itself() -> None:
    decisions = [replace(decision, task=1) for decision in some_decisions(5)]
    posterior = solve(0, 200, HIERARCHY)
    by_task = book_of(decisions, posterior).past.by_task
    assert by_task[:, 1].any()
    assert not np.delete(by_task, 1, axis=1).any()
    without = book_of([replace(decision, task=NO_TASK) for decision in decisions], posterior)
    assert not without.past.by_task.any()
