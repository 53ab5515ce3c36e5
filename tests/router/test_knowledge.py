"""What is known of each arm: level and width where the rewarded queries are, and what they rest on."""

from __future__ import annotations

import numpy as np
import pytest

from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.router.knowledge import find_mean_context
from tests.router.conftest import OpenRouter


def test_an_arm_is_known_from_its_rewards(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    unknown = router.knowledge()
    for i in range(40):
        made = router.route(f"query {i % 5}", arms=["large"])
        router.feedback(made.id, quality=0.9)
    router.learn()
    knowledge = router.knowledge()
    large, small = knowledge.arms
    assert [each.arm.name for each in knowledge.arms] == ["large", "small"]
    assert (large.rewards, small.rewards, large.warm_rewards) == (40, 0, 0)
    assert large.level == pytest.approx(0.9, abs=0.05)
    assert large.width < 0.5 * small.width
    assert unknown.arms[0].width > large.width
    assert knowledge.version > unknown.version
    assert knowledge.warm_start is None


def test_the_mean_context_is_that_of_all_rewarded_queries() -> None:
    prior = Prior(mean=np.zeros(3), precision=np.ones(3))
    rewards = SufficientStatistics.empty({"a": prior, "b": prior}, schema_id="s", noise_variance=1.0)
    assert find_mean_context(rewards).tolist() == [1.0, 0.0, 0.0]
    contexts = np.array([[1.0, 2.0, 0.0], [1.0, 4.0, 0.0], [1.0, 0.0, 9.0]])
    for arm, x in zip("aab", contexts, strict=True):
        rewards.observe(arm, x, 0.5)
    assert find_mean_context(rewards) == pytest.approx(contexts.mean(axis=0))
