"""What an arm earned before it changed is forgotten, once, and verifiably; with "alarm" it is not."""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from bandit_router.learning.learner import Learner
from bandit_router.posterior.state import decode_state
from bandit_router.router import Router
from tests.router.conftest import OpenRouter, settings_of
from tests.router.test_calibration import play
from tests.router.test_warm_start import labels
from tests.store.forced import wait_until_one_waits


def look(router: Router) -> None:
    """A round of upkeep that looks after drift, as one does every few seconds."""
    router._drift_watch.next_check_at = -math.inf
    router._round()


def drifted(open_router: OpenRouter, **posterior: str) -> Router:
    """A router one of whose arms drifted."""
    router = open_router(posterior=posterior)
    drift(router)
    return router


def drift(router: Router) -> None:
    """One of the arms is good for 300 decisions, and bad for the last 60."""
    play(router, 300, 0.9, learn_every=5)
    play(router, 60, 0.1, learn_every=5)


def test_an_arm_that_drifted_is_learned_anew_from_the_newest_of_its_rewards(
    open_on_either: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    router = drifted(open_on_either)
    with caplog.at_level(logging.WARNING, logger="bandit_router.learning.drift_watch"):
        look(router)
    assert "learned anew" in caplog.text
    kept = router.counts()["large"]
    assert 12 <= kept <= 25  # a quarter of the newest 50 or 100
    quality = router.route("query 1", arms=["large"]).expected_quality
    assert quality < 0.4
    assert router.verify().ok
    assert router.rebuild() == kept
    assert router.route("query 1", arms=["large"]).expected_quality == pytest.approx(quality)
    look(router)  # the predictions of before say nothing of the arm as it is
    assert router.counts()["large"] == kept


@pytest.mark.parametrize("kept", [True, False])
def test_a_warm_start_is_forgotten_with_what_is_older_than_the_drift_and_no_other(
    open_on_either: OpenRouter, kept: bool
) -> None:
    router = open_on_either()
    if not kept:
        router.warm_start(labels(router))
    drift(router)
    if kept:
        router.warm_start(labels(router))
    look(router)
    assert router.counts()["large"] < 60
    for _ in range(2):
        warm = decode_state(router._store.published()[2]).rewards.warm
        assert warm is not None
        assert warm.sums.weight.tolist() == [60.0 if kept else 0.0, 60.0]
        assert router.verify().ok
        router.rebuild()


def test_another_worker_that_saw_the_same_drift_resets_nothing_more(open_on_either: OpenRouter) -> None:
    router, other = drifted(open_on_either), open_on_either()
    look(router)
    version = router.snapshot
    assert other._learner.reset_drifted() is None
    other.refresh()
    assert other.snapshot == version


def test_a_router_that_only_warns_resets_nothing(open_router: OpenRouter) -> None:
    router = drifted(open_router, on_drift="alarm")
    look(router)
    assert router.counts()["large"] == 360


def test_an_arm_that_does_as_expected_is_left_alone(
    open_router: OpenRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = open_router()
    play(router, 150, 0.9, learn_every=5)
    monkeypatch.setattr(Learner, "reset_drifted", lambda _: pytest.fail("took the lock for nothing"))
    look(router)
    assert router.counts()["large"] == 150


def test_a_reset_waits_for_its_turn(postgresql_url: str) -> None:
    settings = settings_of(postgresql_url)
    with Router.open(settings) as router, Router.open(settings) as other, ThreadPoolExecutor(1) as thread:
        drift(router)
        with other._store.learner_transaction():
            waiting = thread.submit(look, router)
            wait_until_one_waits(postgresql_url)
            assert router.counts()["large"] == 360
        waiting.result()
        assert router.counts()["large"] < 100
