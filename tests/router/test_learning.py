"""Feedback, what is learned from it, and threads that share a router."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bandit_router.errors import IdempotencyConflict, InvalidInput, UnknownDecision
from bandit_router.router import Router
from bandit_router.types import Outcome
from tests.router.conftest import OpenRouter, share, teach


def test_what_is_rewarded_is_chosen_more(router: Router) -> None:
    before = share(router.route("query"), "large")
    teach(router)
    assert share(router.route("query"), "large") > before + 0.3


def test_feedback_says_what_became_of_each_metric(router: Router) -> None:
    made = router.route("a").id
    assert router.feedback(made, quality=0.5, cost_usd=0.1) == dict.fromkeys(
        ("quality", "cost_usd"), Outcome.RECORDED
    )
    assert router.feedback(made, quality=0.5) == {"quality": Outcome.DUPLICATE}
    assert router.feedback(made, quality=0.6) == {"quality": Outcome.REVISED}
    assert router.feedback(made, quality=None) == {"quality": Outcome.RETRACTED}
    assert router.metrics(made) == {"cost_usd": 0.1}


def test_learning_counts_each_reward_once_and_takes_it_back(router: Router) -> None:
    made = router.route("a", arms=["small"]).id
    expected = ((0.5, 1), (0.5, 1), (0.9, 1), (None, 0), (None, 0), (0.9, 1))
    for value, counted in expected:
        router.feedback(made, quality=value)
        router.learn()
        assert router.counts() == {"large": 0, "small": counted}
    assert router.verify().ok


def test_feedback_may_arrive_before_during_and_after_other_learning(router: Router) -> None:
    late = router.route("a", arms=["small"]).id
    teach(router)
    before = router.counts()["small"]
    router.feedback(late, quality=1.0)
    assert router.learn() == 1
    assert router.counts()["small"] == before + 1


@pytest.mark.parametrize(
    ("metrics", "field"),
    [
        ({}, "metrics"),
        ({"score": 1.0}, "metrics.score"),
        ({"quality": 1.1}, "metrics.quality"),
        ({"quality": math.nan}, "metrics.quality"),
        ({"quality": 10**400}, "metrics.quality"),
        ({"cost_usd": True}, "metrics.cost_usd"),
        ({"quality": "1"}, "metrics.quality"),
    ],
)
def test_wrong_metrics_are_named(router: Router, metrics: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.feedback(router.route("a").id, **metrics)
    assert caught.value.field == field


@pytest.mark.parametrize("decision_id", ["unknown", "01890a5d-ac96-774b-bcce-b302099a8057"])
def test_an_unknown_decision_is_an_error_everywhere(router: Router, decision_id: str) -> None:
    for ask in (router.decision, router.metrics, lambda i: router.feedback(i, quality=1.0)):
        with pytest.raises(UnknownDecision):
            ask(decision_id)


def test_a_key_makes_route_and_feedback_act_once(router: Router) -> None:
    made = [router.route("a", idempotency_key="r") for _ in range(3)]
    assert len({decision.id for decision in made}) == 1
    told = [router.feedback(made[0].id, idempotency_key="f", quality=0.5) for _ in range(3)]
    assert told == [{"quality": Outcome.RECORDED}] * 3
    for conflict in (
        lambda: router.route("b", idempotency_key="r"),
        lambda: router.feedback(made[0].id, idempotency_key="f", quality=0.6),
        lambda: router.feedback(made[0].id, idempotency_key="r", quality=0.5),
    ):
        with pytest.raises(IdempotencyConflict):
            conflict()


def test_the_background_learner_folds_feedback_on_its_own(open_router: OpenRouter) -> None:
    router = open_router(learner={"interval_s": 0.01})
    router.feedback(router.route("a", arms=["small"]).id, quality=1.0)
    for _ in range(6000):
        if router.counts()["small"] == 1:
            break
        time.sleep(0.01)
    assert router.counts() == {"large": 0, "small": 1}


def test_scores_are_what_the_policy_saw(router: Router) -> None:
    teach(router)
    made = router.route("query", cost_weight=3.0)
    scores = router.scores(made)
    assert scores is not None
    assert scores.arms == made.eligible
    assert tuple(router.policy.pmf(scores)) == pytest.approx(made.pmf, abs=1e-12)
    assert scores.mean[made.eligible.index(made.arm)] == made.expected_quality
    np.testing.assert_allclose(scores.utility, scores.mean - 3.0 * np.array(made.expected_costs_usd))


def test_scores_of_a_pruned_snapshot_are_none(open_router: OpenRouter) -> None:
    router = open_router(store={"keep_snapshots": 1})
    made = router.route("query")
    teach(router, rounds=2)
    assert router.scores(made) is None


def test_many_threads_may_share_a_router(open_on_either: OpenRouter) -> None:
    router = open_on_either(learner={"interval_s": 0.01})

    def work(worker: int) -> list[str]:
        made = [router.route(f"query {worker}.{i}") for i in range(20)]
        for decision in made:
            router.feedback(decision.id, quality=0.5)
        return [decision.id for decision in made]

    with ThreadPoolExecutor(8) as pool:
        ids = [i for some in pool.map(work, range(8)) for i in some]
    router.learn()
    assert len(set(ids)) == 160
    assert sum(router.counts().values()) == 160
    report = router.verify()
    assert report.ok, report.problems
    assert (report.decisions, report.counted["rewards"], report.pending) == (160, 160, 0)


def test_a_replay_is_answered_as_then_even_when_no_arm_is_left(router: Router) -> None:
    made = router.route("a", arms=["small"], idempotency_key="k")
    router.enable_arm("small", False)
    assert router.route("a", arms=["small"], idempotency_key="k").id == made.id
