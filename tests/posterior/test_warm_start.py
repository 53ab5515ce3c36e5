"""Evidence from elsewhere: what it is worth, and how it is told apart by arm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.regression_sums import align_sums
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStart, WarmStartEvidence, evidence_from_labels
from bandit_router.types import FloatArray
from tests.posterior.sums import make_sums

HYPER = Hyperprior(level_std=0.3, arm_std=0.15, common_variance=0.02, arm_variance=0.005, noise_std=0.3)


def statistics_of(arms: tuple[str, ...], hyperprior: Hyperprior | None, dim: int = 3) -> SufficientStatistics:
    prior = Prior(mean=np.full(dim, 0.5), precision=np.full(dim, 2.0))
    return SufficientStatistics.empty(
        dict.fromkeys(arms, prior), schema_id="s", noise_variance=0.09, hyperprior=hyperprior
    )


def labels(seed: int, n: int = 40, k: int = 3) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Contexts (n, 3), rewards (n, k) and roots of costs (n, k), some of which are unknown."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    roots = np.where(rng.random((n, k)) < 0.2, np.nan, rng.random((n, k)))
    return x, rng.random((n, k)), roots


def evidence(seed: int = 0, arms: tuple[str, ...] = ("a", "b", "c")) -> WarmStartEvidence:
    x, reward, root = labels(seed, k=len(arms))
    return evidence_from_labels(arms, "s", x, reward, root, "labels")


def test_labelled_queries_are_the_sums_of_every_arm_on_every_query() -> None:
    x, reward, root = labels(1)
    found = evidence_from_labels(("a", "b", "c"), "s", x, reward, root, "labels")
    for k, arm in enumerate(found.arms):
        alone = statistics_of(("a", "b", "c"), None)
        alone.observe_many(arm, x, reward[:, k], np.zeros(len(x)))
        np.testing.assert_allclose(found.rewards.second[k], alone.second[k])
        np.testing.assert_allclose(found.rewards.cross[k], alone.cross[k])
        np.testing.assert_allclose(found.rewards.square[k], alone.square[k])
        known = ~np.isnan(root[:, k])
        np.testing.assert_allclose(found.costs.second[k], x[known].T @ x[known])
        np.testing.assert_allclose(found.costs.cross[k], root[known, k] @ x[known])
        assert (found.rewards.weight[k], found.costs.weight[k]) == (40, known.sum())


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5])
def test_a_label_is_worth_more_the_more_the_answers_have_in_common(rho: float) -> None:
    """The variance of the difference of two arms is that of as many more rows of a log."""
    rng, n = np.random.default_rng(3), 20_000
    common = math.sqrt(rho) * rng.standard_normal((n, 1))
    reward = common + math.sqrt(1 - rho) * rng.standard_normal((n, 4))
    x = np.ones((n, 1))
    worth = evidence_from_labels("abcd", "s", x, reward, np.full((n, 4), np.nan), "labels").worth
    assert worth == pytest.approx(1 / (1 - rho), rel=0.03)  # four standard errors of ρ
    unpaired = 2.0 / worth
    assert np.var(reward[:, 0] - reward[:, 1]) == pytest.approx(unpaired, rel=0.05)


def test_one_arm_one_query_and_equal_answers_are_worth_themselves() -> None:
    nan = np.full((5, 1), np.nan)
    assert evidence_from_labels("a", "s", np.ones((5, 1)), np.ones((5, 1)), nan, "").worth == 1.0
    assert evidence_from_labels("ab", "s", np.ones((1, 1)), np.ones((1, 2)), np.ones((1, 2)), "").worth == 1.0
    assert evidence_from_labels("ab", "s", np.ones((5, 1)), np.ones((5, 2)), np.ones((5, 2)), "").worth == 1.0


def test_trust_bounds_how_many_queries_the_evidence_counts_for() -> None:
    found = evidence()
    assert found.weight(None) == found.worth
    assert found.weight(1000.0) == found.worth
    assert found.weight(10.0) == pytest.approx(found.worth / 4)
    assert found.weight(0.0) == 0.0


@given(st.permutations(["a", "b", "c", "new"]))
def test_sums_follow_their_arms(ours: list[str]) -> None:
    sums = evidence().rewards
    found = align_sums(sums, ("a", "b", "c"), ours)
    for mine, theirs in zip(found, sums, strict=True):
        for k, arm in enumerate(ours):
            expected = np.zeros_like(theirs[0]) if arm == "new" else theirs["abc".index(arm)]
            np.testing.assert_array_equal(mine[k], expected)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([None, HYPER]), st.integers(0, 10**6), st.floats(0.01, 2.0))
def test_a_warm_start_predicts_as_if_its_rows_had_been_seen(
    hyper: Hyperprior | None, seed: int, weight: float
) -> None:
    arms, x = ("a", "b", "c"), labels(seed)[0][0]
    sums = evidence(seed).rewards
    warm, seen = statistics_of(arms, hyper), statistics_of(arms, hyper)
    warm.warm = WarmStart(sums, weight, 0.0)
    seen.second, seen.cross, seen.square = (weight * part for part in sums[:3])
    for mine, theirs in zip(warm.solve().predict(x), seen.solve().predict(x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    assert warm.count.tolist() == [0, 0, 0]


@pytest.mark.parametrize("hyper", [None, HYPER])
def test_a_warm_start_stays_through_copies_and_new_arms(hyper: Hyperprior | None) -> None:
    statistics = statistics_of(("a", "b"), hyper)
    statistics.warm = WarmStart(evidence(arms=("a", "b")).rewards, 1.0, 0.0)
    statistics.observe("b", np.array([1.0, 0.5, 0.5]), 0.25, 5.0)
    x = np.array([1.0, -0.5, 2.0])
    before = statistics.solve().predict(x)[0]
    assert statistics.copy().solve().predict(x)[0].tolist() == before.tolist()
    blank = statistics.without_evidence()
    assert statistics.warm.equals(blank.warm)
    more = statistics.with_arms({"c": Prior(mean=np.full(3, 0.5), precision=np.full(3, 2.0))})
    assert more.warm is not None
    np.testing.assert_array_equal(more.warm.sums.cross[2], 0.0)
    if hyper is None:
        np.testing.assert_allclose(more.solve().predict(x)[0][:2], before)
    merged = statistics.merge(statistics.without_evidence())
    np.testing.assert_allclose(merged.solve().predict(x)[0], before)


def test_posteriors_of_different_warm_starts_do_not_merge() -> None:
    one, other = statistics_of(("a", "b"), HYPER), statistics_of(("a", "b"), HYPER)
    one.warm = WarmStart(evidence(arms=("a", "b")).rewards, 1.0, 0.0)
    with pytest.raises(ValueError, match="merge like with like"):
        one.merge(other)
    with pytest.raises(ValueError, match="merge like with like"):
        other.merge(one)


def test_with_a_half_life_a_warm_start_fades_from_when_it_was_loaded() -> None:
    warm = WarmStart(make_sums(*(np.ones((1,) * n) for n in (3, 2, 1, 1))), 2.0, 100.0)
    for as_of, expected in ((-math.inf, 2.0), (50.0, 2.0), (100.0, 2.0), (110.0, 1.0), (130.0, 0.25)):
        assert warm.scale_to(as_of, 10.0).weight.tolist() == [pytest.approx(expected)]
    assert warm.scale_to(1e9, None).weight.tolist() == [2.0]
