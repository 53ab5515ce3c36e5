"""The comparison of a rollout: its estimates on paper, its coverage under daily peeking, and its power."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bandit_router.evaluation.confidence_sequence import bounded_intervals
from bandit_router.evaluation.rollout_sample import (
    SCALE,
    RolloutSample,
    compare_branches,
    sum_cost,
    sum_quality,
    sum_utility,
    utility_bound,
)
from tests.evaluation.rollout_worlds import World, make_sample, play_requests, play_users

ALPHA = 0.05

KINDS = pytest.mark.parametrize(("play", "by_block"), [(play_requests, False), (play_users, True)])


@KINDS
def test_at_most_one_run_in_twenty_misses_the_truth_at_any_daily_look(
    play: Callable[..., World], by_block: bool
) -> None:
    runs, missed, missed_fixed = 1_000, 0, 0
    for seed in range(runs):
        world = play(np.random.default_rng(seed))
        sums = sum_quality(world.sample, by_block=by_block)
        weights = np.diff(sums.weight, prepend=0.0)
        truth = (np.cumsum(weights * world.truth) / sums.weight)[world.looks]
        at = sums.take(world.looks)
        found = bounded_intervals(at, SCALE, ALPHA)
        missed += bool(((truth < found.low) | (truth > found.high)).any())
        half = 1.96 * np.sqrt(at.variance) / at.weight
        missed_fixed += bool((np.abs(found.value - truth) > half).any())
    assert missed <= ALPHA * runs
    assert missed_fixed >= 0.25 * runs  # 95% intervals for a fixed n, looked at on thirty days


@pytest.mark.parametrize(("agreement", "requests"), [(0.0, 50_000), (0.8, 10_000)])
def test_a_difference_of_two_hundredths_is_found(agreement: float, requests: int) -> None:
    """Half of the traffic each; where the two agree on most requests, far fewer are needed."""
    found = 0
    for seed in range(40):
        comparison = compare_branches(
            play_two_arms(np.random.default_rng(seed), requests, agreement), by_block=False, alpha=ALPHA
        )
        assert comparison.quality is not None
        found += comparison.quality.low > 0.0
    assert found >= 36


def play_two_arms(rng: np.random.Generator, n: int, agreement: float) -> RolloutSample:
    """Rewards of .7, and .02 more on average where the candidate decides; s = 0.5."""
    agrees, is_candidate = rng.random(n) < agreement, rng.random(n) < 0.5
    arm = np.where(agrees, 0, is_candidate.astype(int))
    return make_sample(
        share=np.full(n, 0.5),
        block=np.arange(n),
        is_candidate=is_candidate,
        incumbent_p=(arm == 0).astype(float),
        candidate_p=np.where(agrees, 1.0, arm == 1),
        quality_gain=np.zeros(n),
        expected_quality=np.full(n, 0.7),
        reward=(rng.random(n) < 0.7 + 0.02 / (1.0 - agreement) * arm).astype(float),
    )


def test_each_difference_is_the_one_on_paper() -> None:
    sample = RolloutSample(
        share=np.array([0.2, 0.2, 0.5]),
        block=np.array([0, 0, 1]),
        is_candidate=np.array([True, True, False]),
        incumbent_p=np.array([0.0, 1.0, 1.0]),
        candidate_p=np.array([0.5, 0.25, 0.0]),
        quality_gain=np.array([0.1, -0.1, 0.3]),
        cost_gain_usd=np.array([0.01, 0.02, 0.03]),
        expected_quality=np.array([0.6, 0.5, 0.4]),
        expected_cost_usd=np.array([0.01, 0.03, 0.05]),
        most_cost_usd=np.array([0.05, 0.05, 0.05]),
        reward=np.array([1.0, 0.0, 1.0]),
        cost_usd=np.array([0.02, 0.02, 0.02]),
        cost_weight=np.array([10.0, 0.0, 10.0]),
    )
    ratio = np.array([0.5 / (0.2 * 0.5), -0.75 / (0.8 + 0.2 * 0.25), -1.0 / 0.5])
    quality = sample.quality_gain + ratio * np.array([0.4, -0.5, 0.6])
    cost = sample.cost_gain_usd + ratio * np.array([0.01, -0.01, -0.03])
    overlap = np.array([0.16, 0.16, 0.25])
    expected = {sum_quality: quality, sum_cost: cost, sum_utility: quality - sample.cost_weight * cost}
    for sums, differences in expected.items():
        assert np.diff(sums(sample, by_block=False).total, prepend=0.0) == pytest.approx(
            overlap * differences
        )
    blocks = sum_quality(sample, by_block=True)
    assert blocks.total / overlap[[0, 2]] == pytest.approx(
        [0.5 / 0.2, (0.16 * 0.5 / 0.2 - 0.25 * (1.0 - 0.5) / 0.5) / 0.25]
    )


@KINDS
def test_no_difference_is_beyond_the_scale(play: Callable[..., World], by_block: bool) -> None:
    sample = play(np.random.default_rng(3)).sample
    for sums, bound in ((sum_quality, 1.0), (sum_utility, utility_bound(sample))):
        found = sums(sample, by_block=by_block)
        assert np.sqrt(np.diff(found.variance, prepend=0.0)).max() <= bound * SCALE


def test_what_is_not_rated_is_not_judged_but_for_its_cost() -> None:
    sample = play_requests(np.random.default_rng(3)).sample
    rewards = np.where(np.arange(len(sample)) % 10 == 0, sample.reward, np.nan)
    few = RolloutSample(**{**{n: getattr(sample, n) for n in sample.__slots__}, "reward": rewards})
    comparison = compare_branches(few, by_block=False, alpha=ALPHA)
    assert comparison.quality is not None
    assert comparison.cost_usd is not None
    assert (comparison.quality.n, comparison.cost_usd.n) == (len(sample) // 10, len(sample))
    assert comparison.candidate.rated + comparison.incumbent.rated == len(sample) // 10
    nothing = compare_branches(few.take(np.zeros(len(few), bool)), by_block=True, alpha=ALPHA)
    assert (nothing.quality, nothing.cost_usd, nothing.utility) == (None, None, None)


@pytest.mark.parametrize(("cost_weight", "bound"), [(0.0, 1.0), (1.0, 1.2), (10.0, 2.0), (1e9, 2.0)])
def test_a_priced_cost_widens_the_interval_by_what_it_may_be(cost_weight: float, bound: float) -> None:
    sample = play_requests(np.random.default_rng(3)).sample
    n = len(sample)
    priced = {"cost_weight": np.full(n, cost_weight), "most_cost_usd": np.full(n, 0.05)}
    costs = {"cost_usd": np.full(n, 9.0), "expected_cost_usd": np.full(n, 0.05)}
    columns = {name: getattr(sample, name) for name in sample.__slots__}
    dear = RolloutSample(**{**columns, **priced, **costs})
    assert utility_bound(dear) == pytest.approx(bound)
    found = sum_utility(dear, by_block=False)
    assert np.sqrt(np.diff(found.variance, prepend=0.0)).max() <= bound * SCALE
