"""A new arm is tried at once, gets no more than its share until it has rewards, and verify agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.policies import Trial
from bandit_router.router import Router
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import Decision
from tests.router.conftest import NEW, OpenRouter, share, teach

GREEDY = {"name": "epsilon-greedy", "epsilon": 0.0}
EARLY = {"beside": 10}


def reward_new(router: Router, times: int) -> None:
    """Rewards of 1 for "new", folded."""
    for _ in range(times):
        router.feedback(router.route("query", arms=["new"]).id, quality=1.0)
    router.learn()


@pytest.mark.parametrize(("expected_quality", "given"), [(1.0, 0.25), (0.0, 0.05)])
def test_a_new_arm_gets_the_share_or_the_least_of_it_whatever_is_expected_of_it(
    open_on_either: OpenRouter, expected_quality: float, given: float
) -> None:
    with open_on_either(policy=GREEDY, posterior={"model": "independent"}, trial=EARLY) as router:
        for arm in ("small", "large"):
            for i in range(10):
                router.feedback(router.route(f"query {i}", arms=[arm]).id, quality=0.5)
        router.learn()
    expected = {"name": "new", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    arms = (
        {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6},
        {"name": "large", "input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0},
        expected | {"expected_quality": expected_quality},
    )
    router = open_on_either(policy=GREEDY, posterior={"model": "independent"}, trial=EARLY, arms=arms)
    assert share(router.route("query"), "new") == pytest.approx(given)
    assert router.verify().ok


def test_a_new_arm_that_earns_it_is_adopted_with_its_tenth_reward(open_on_either: OpenRouter) -> None:
    router = open_on_either(policy=GREEDY, trial=EARLY)
    teach(router)
    router.put_arm(NEW)
    reward_new(router, 9)
    assert share(router.route("query"), "new") <= 0.25 + 1e-12
    reward_new(router, 1)
    made = router.route("query", arms=["small", "new"])
    assert share(made, "new") == 1.0
    report = router.verify()
    assert report.ok
    assert report.pmfs_recomputed == report.decisions


def test_verify_notices_a_pmf_without_the_trial_its_policy_names(open_router: OpenRouter) -> None:
    router = open_router(trial=EARLY)
    teach(router)
    router.put_arm(NEW)
    assert isinstance(router.policy, Trial)
    decided = router._begin("query", {})
    assert isinstance(decided.payload, Decision)
    claim = replace(decided.payload, policy=replace(router.policy, share=0.01).spec)
    router._writer.write(replace(decided, payload=claim))
    assert "differs" in router.verify().problems[0]


def test_without_trials_the_policy_is_the_inner_one(open_router: OpenRouter) -> None:
    router = open_router(trial={"rewards": 0})
    assert router.policy.spec.startswith("tempered:")
    teach(router)
    router.put_arm(NEW)
    assert router.route("query").policy == router.policy.spec
    assert router.verify().ok


def test_a_simulated_router_has_the_policy_of_a_live_one(router: Router) -> None:
    setting = Setting(
        arms=("a", "b"), dim=3, list_usd=np.ones(2), cost_weight=0.0, rng=np.random.default_rng(0)
    )
    assert RouterMaker("tempered:epsilon=0.005", PosteriorSection())(setting).policy == router.policy
