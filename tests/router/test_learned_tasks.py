"""A router learns each task apart, and what it learned of tasks is what its log says."""

from __future__ import annotations

import numpy as np
import pytest

from bandit_router.evaluation.warm_start import evidence_from_router
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.warm_start import WarmStartEvidence, evidence_from_labels
from bandit_router.router import Router
from bandit_router.types import NO_TASK, FloatArray
from tests.databases import MakeUrl
from tests.router.conftest import OpenRouter, share

GOOD_AT = {"invoices": "small", "support": "large"}


def teach_tasks(router: Router, rounds: int = 60) -> None:
    """Reward 1 for the arm that is good at the task, 0 for the other, and fold it."""
    for i in range(rounds):
        task = ("invoices", "support")[i % 2]
        decision = router.route(f"query {i}", task=task)
        router.feedback(decision.id, quality=float(decision.arm == GOOD_AT[task]))
    router.learn()


def sums_of(router: Router) -> tuple[FloatArray, ...]:
    _, _, snapshot, _ = router._store.published()
    return decode_state(snapshot).rewards.sums


def test_what_is_good_at_one_task_is_not_taken_for_good_at_another(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    teach_tasks(router)
    for task, arm in GOOD_AT.items():
        assert share(router.route("query", task=task), arm) > 0.9
    assert router.verify().ok, router.verify().problems


def test_without_tasks_the_same_queries_teach_nothing_of_the_kind(open_router: OpenRouter) -> None:
    """The control: the same rewards, and nobody says which task."""
    router = open_router()
    for i in range(60):
        decision = router.route(f"query {i}")
        router.feedback(decision.id, quality=float(decision.arm == ("small", "large")[i % 2]))
    router.learn()
    assert max(router.route("query").pmf) < 0.9
    assert sums_of(router)[3].shape[1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_log_rebuilds_what_was_learned_of_tasks(open_on_either: OpenRouter, seed: int) -> None:
    """Ratings that come late, change or are taken back, folds in between, and an arm that begins anew."""
    rng, router, made = np.random.default_rng(seed), open_on_either(seed), []
    for i in range(80):
        task = (None, "invoices", "support", "chat")[rng.integers(4)]
        made.append(router.route(f"query {i}", task=task).id)
        about = made[rng.integers(len(made))]
        quality = None if rng.random() < 0.15 else float(rng.integers(0, 2))
        router.feedback(about, quality=quality, cost_usd=float(rng.random()) / 1_000)
        if rng.random() < 0.2:
            router.learn()
        if i == 50:
            router.reset_arm("small")
    router.learn()
    live = sums_of(router)
    assert live[3].shape[1] == 3
    assert router.verify().ok, router.verify().problems
    router.rebuild()
    for ours, theirs in zip(sums_of(router), live, strict=True):
        width = max(ours.shape[1], theirs.shape[1]) if ours.ndim > 1 else 0
        for array in (ours, theirs):
            assert array.ndim < 2 or array.shape[1] == width
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert router.verify().ok, router.verify().problems


def test_a_decision_is_recomputed_with_its_task(open_router: OpenRouter) -> None:
    """Taken for one of another task, the PMF would not be what is logged."""
    router = open_router()
    teach_tasks(router)
    decision = router.route("query", task="invoices")
    scores, other = router.scores(decision), router.scores(router.route("query", task="support"))
    assert scores is not None
    assert other is not None
    assert scores.mean[0] != other.mean[0]
    assert router.verify().pmfs_recomputed == 62


def labels_of_tasks(router: Router) -> WarmStartEvidence:
    """Queries of two tasks, each answered well by one arm; they are numbered in another order here."""
    n = 80
    task = np.arange(n) % 2
    x = np.tile(np.eye(router.pipeline.dim)[0], (n, 1))
    reward = np.column_stack([task, 1 - task]).astype(np.float64)  # large, small
    root, names = np.ones(reward.shape), ("support", "invoices")
    return evidence_from_labels(
        ("large", "small"), router.pipeline.schema_id, x, reward, root, "us", 1 - task, names
    )


def test_labels_name_their_tasks(open_router: OpenRouter) -> None:
    router = open_router()
    assert router.route("query", task="invoices").task == 0
    router.warm_start(labels_of_tasks(router))
    for task, arm in GOOD_AT.items():
        assert share(router.route("query", task=task), arm) > 0.9
    assert [task.name for task in router.tasks()] == ["invoices", "support"]
    assert router.verify().ok, router.verify().problems


def test_what_another_router_knows_of_a_task_goes_by_its_name(
    open_router: OpenRouter, make_sqlite_url: MakeUrl
) -> None:
    first = open_router()
    teach_tasks(first)
    url = str(first._store._engine.url.render_as_string(hide_password=False))
    second = Router.open(
        first.settings.model_copy(
            update={"store": first.settings.store.model_copy(update={"url": make_sqlite_url(migrated=True)})}
        )
    )
    with second:
        assert second.route("query", task="support").task == 0
        second.warm_start(evidence_from_router(url, "default"))
        for task, arm in GOOD_AT.items():
            assert share(second.route("query", task=task), arm) > 0.8
        assert second.route("query").task == NO_TASK
