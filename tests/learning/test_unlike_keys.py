"""The alarm for a key whose rewards are unlike the others': who is named, and how often wrongly."""

from __future__ import annotations

import numpy as np

from bandit_router.learning.unlike_keys import LEAST_REWARDS, find_unlike_keys
from bandit_router.store.recent_predictions import PredictedReward

HONEST = tuple(f"honest-{k}" for k in range(7))
MEANS = {"cheap": 0.6, "dear": 0.8}


def make_rewards(
    rng: np.random.Generator,
    n: int = 2_000,
    flipped: float = 0.0,
    expected: float = 0.7,
    honest: tuple[str | None, ...] = HONEST,
) -> list[PredictedReward]:
    """Thumbs up and down, a share of them by a key that says the opposite of what it saw."""
    rewards = []
    for i in range(n):
        arm = ("cheap", "dear")[rng.integers(2)]
        reward, key = float(rng.random() < MEANS[arm]), honest[rng.integers(len(honest))]
        if rng.random() < flipped:
            reward, key = 1.0 - reward, "flipped"
        at = float(i)
        rewards.append(PredictedReward(arm, expected, i, reward, i + 1, at, at, key_id=key))
    return rewards


def test_a_key_that_flips_its_rewards_is_named_and_no_other() -> None:
    for seed in range(10):
        rewards = make_rewards(np.random.default_rng(seed), flipped=0.3)
        (unlike,) = find_unlike_keys(rewards)
        assert unlike.key_id == "flipped"
        assert -0.5 < unlike.difference < -0.3
        assert unlike.z < -10.0
        assert unlike.rewards == sum(reward.key_id == "flipped" for reward in rewards)


def test_keys_that_are_alike_are_not_named_whatever_was_expected() -> None:
    rng = np.random.default_rng(3)
    for expected in (0.2, 0.7, 1.0):
        assert not any(find_unlike_keys(make_rewards(rng, 1_000, expected=expected)) for _ in range(30))


def test_two_keys_are_not_told_apart() -> None:
    rewards = make_rewards(np.random.default_rng(0), flipped=0.5, honest=("one",))
    assert find_unlike_keys(rewards) == ()


def test_a_key_with_few_rewards_and_rewards_without_a_key_are_left_out() -> None:
    rng = np.random.default_rng(0)
    few = make_rewards(rng, LEAST_REWARDS - 1, flipped=1.0)
    assert find_unlike_keys([*make_rewards(rng), *few]) == ()
    assert find_unlike_keys(make_rewards(rng, flipped=0.4, honest=(None,))) == ()


def test_a_key_whose_arms_nobody_else_has_is_not_compared() -> None:
    rewards = [
        reward._replace(arm="own" if reward.key_id == "flipped" else reward.arm)
        for reward in make_rewards(np.random.default_rng(0), flipped=0.3)
    ]
    assert find_unlike_keys(rewards) == ()
