"""`judged` stands in for a metric that is missing: never over a human's value, in any order, exactly once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandit_router.errors import ConfigError
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.router import Router
from tests.router.conftest import OpenRouter

JUDGED: dict[str, Any] = {"reward": {"weights": {"quality": 1.0}, "judged_for": "quality"}}


def read_rewards(router: Router) -> SufficientStatistics:
    return decode_state(router._store.published()[2]).rewards


def total_reward(router: Router) -> tuple[int, float]:
    """How many rewards are counted, and Σ r²."""
    rewards = read_rewards(router)
    return int(rewards.count.sum()), float(rewards.square.sum())


def test_a_verdict_counts_until_a_human_speaks(open_on_either: OpenRouter) -> None:
    router = open_on_either(**JUDGED)
    decision = router.route("Why?")
    steps: list[tuple[dict[str, float | None], float | None]] = [
        ({"judged": 0.9}, 0.9),
        ({"quality": 0.2}, 0.2),
        ({"judged": 1.0}, 0.2),
        ({"quality": None}, 1.0),
        ({"judged": None}, None),
        ({"quality": 0.5, "judged": 0.1}, 0.5),
    ]
    for said, reward in steps:
        router.feedback(decision.id, **said)  # type: ignore[arg-type]
        router.learn()
        expected = (0, 0.0) if reward is None else (1, reward**2)
        assert total_reward(router) == pytest.approx(expected)
        assert router.verify().problems == []


def test_what_is_learned_does_not_depend_on_the_order(open_router: OpenRouter) -> None:
    """80 decisions, judged, rated or both, in a random order and with learning in between."""
    router, rng = open_router(**JUDGED), np.random.default_rng(5)
    decisions = [router.route(f"query {i}") for i in range(80)]
    truth: dict[str, float] = {}
    said = []
    for decision in decisions:
        metrics = {name: float(rng.random()) for name in ("judged", "quality") if rng.random() < 0.7}
        truth |= {decision.id: metrics.get("quality", metrics.get("judged", 0.0))} if metrics else {}
        said += [(decision.id, {name: value}) for name, value in metrics.items()]
    for i in rng.permutation(len(said)).tolist():
        decision_id, metrics = said[i]
        router.feedback(decision_id, **metrics)
        if rng.random() < 0.2:
            router.learn()
    router.learn()
    live = read_rewards(router)
    assert (live.count.sum(), live.square.sum()) == pytest.approx(
        (len(truth), sum(value**2 for value in truth.values()))
    )
    router.rebuild()
    rebuilt = read_rewards(router)
    for name in ("count", "second", "cross", "square"):
        np.testing.assert_allclose(getattr(rebuilt, name), getattr(live, name), rtol=0, atol=1e-9)
    assert router.verify().problems == []


def test_without_the_setting_a_verdict_is_only_logged(open_router: OpenRouter) -> None:
    router = open_router()
    decision = router.route("Why?")
    router.feedback(decision.id, judged=1.0)
    router.learn()
    assert total_reward(router) == (0, 0.0)
    assert router.metrics(decision.id) == {"judged": 1.0}


def test_the_setting_may_come_later(open_router: OpenRouter) -> None:
    first = open_router()
    first.feedback(first.route("Why?").id, judged=0.5)
    first.learn()
    later = open_router(**JUDGED)
    later.learn()
    assert total_reward(later) == (1, 0.25)
    assert later.verify().problems == []


def test_a_floor_takes_a_verdict_where_nobody_has_rated(open_router: OpenRouter) -> None:
    router = open_router(**JUDGED, budget={"mean_quality": 0.5})
    one, other = router.route("one"), router.route("other")
    router.feedback(one.id, judged=0.9)
    router.feedback(other.id, judged=0.1, quality=0.7)
    assert router.budget().mean_reward == pytest.approx(0.8)
    router.learn()
    assert router.verify().problems == []


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        (
            {"judged_for": "satisfaction"},
            "judged_for is satisfaction, which has no weight; use one of quality",
        ),
        (
            {"judged_for": "quality", "weights": {"quality": 1.0, "judged": 1.0}},
            "judged_for and a weight of judged count it twice",
        ),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(
    open_router: OpenRouter, reward: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        open_router(reward=reward)
