"""What an arm earned before it changed is forgotten, once, and verifiably; with "alarm" it is not."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bandit_router.learning.learner import Learner
from bandit_router.posterior.state import decode_state
from bandit_router.router import Router
from tests.databases import Keep, MakeUrl
from tests.router.conftest import settings_of
from tests.router.test_calibration import play
from tests.router.test_learned_tasks import sums_of
from tests.router.test_warm_start import labels
from tests.store.forced import wait_until_one_waits

TASKS = ("invoices", None, "support")

MakeDriftedUrl = Callable[..., str]
"""Makes a database of a router one of whose arms drifted; ``warm``: that had a warm start before."""


def look(router: Router) -> None:
    """A round of upkeep that looks after drift, as one does every few seconds."""
    router._drift_watch.next_check_at = -math.inf
    router._round()


def drift(router: Router) -> None:
    """One of the arms is good for 300 decisions, and bad for the last 60."""
    play(router, 300, 0.9, learn_every=5, tasks=TASKS)
    play(router, 60, 0.1, learn_every=5, tasks=TASKS)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Which database; a test that uses it runs once for each kind, or for the one that it names."""
    return request.param


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, bool], str]:
    """The databases with an arm that drifted: which kind, and whether it had a warm start before."""
    return {}


@pytest.fixture
def make_drifted_url(
    kind: str, kept: dict[tuple[str, bool], str], keep: Keep, request: pytest.FixtureRequest
) -> MakeDriftedUrl:
    make_url: MakeUrl = request.getfixturevalue(f"make_{kind}_url")

    def make(*, warm: bool = False) -> str:
        if (kind, warm) not in kept:
            url = make_url(migrated=True)
            with open_router(url) as router:
                if warm:
                    router.warm_start(labels(router))
                drift(router)
            kept[kind, warm] = keep(url)
        return make_url(like=kept[kind, warm])

    return make


def open_router(url: str, **sections: Any) -> Router:
    return Router.open(settings_of(url, **sections), rng=np.random.default_rng(0))


def test_an_arm_that_drifted_is_learned_anew_from_the_newest_of_its_rewards(
    make_drifted_url: MakeDriftedUrl, caplog: pytest.LogCaptureFixture
) -> None:
    with open_router(make_drifted_url()) as router:
        with caplog.at_level(logging.WARNING, logger="bandit_router.learning.drift_watch"):
            look(router)
        assert "learned anew" in caplog.text
        kept = router.counts()["large"]
        assert 12 <= kept <= 25  # a quarter of the newest 50 or 100
        quality = router.route("query 1", arms=["large"]).expected_quality
        assert quality < 0.4
        newest, live = [TASKS[i % 3] for i in range(60 - kept, 60)], sums_of(router)
        large = [arm.name for arm in router.arms].index("large")
        assert live[4][large, :, 0].tolist() == [newest.count("invoices"), newest.count("support")]  # Σ w
        assert router.verify().ok
        assert router.rebuild() == kept
        for rebuilt, summed in zip(sums_of(router), live, strict=True):
            np.testing.assert_allclose(rebuilt, summed, atol=1e-9)
        assert router.route("query 1", arms=["large"]).expected_quality == pytest.approx(quality)
        look(router)  # the predictions of before say nothing of the arm as it is
        assert router.counts()["large"] == kept


@pytest.mark.parametrize("before", [True, False])
def test_a_warm_start_is_forgotten_with_what_is_older_than_the_drift_and_no_other(
    make_drifted_url: MakeDriftedUrl, before: bool
) -> None:
    with open_router(make_drifted_url(warm=before)) as router:
        if not before:
            router.warm_start(labels(router))
        look(router)
        assert router.counts()["large"] < 60
        for _ in range(2):
            warm = decode_state(router._store.published()[2]).rewards.warm
            assert warm is not None
            assert warm.sums.weight.tolist() == [0.0 if before else 60.0, 60.0]
            assert router.verify().ok
            router.rebuild()


def test_another_worker_that_saw_the_same_drift_resets_nothing_more(make_drifted_url: MakeDriftedUrl) -> None:
    url = make_drifted_url()
    with open_router(url) as router, open_router(url) as other:
        look(router)
        version = router.snapshot
        assert other._learner.reset_drifted() is None
        other.refresh()
        assert other.snapshot == version


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_router_that_only_warns_resets_nothing(make_drifted_url: MakeDriftedUrl) -> None:
    with open_router(make_drifted_url(), posterior={"on_drift": "alarm"}) as router:
        look(router)
        assert router.counts()["large"] == 360


def test_an_arm_that_does_as_expected_is_left_alone(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_router(sqlite_url) as router:
        play(router, 150, 0.9, learn_every=5)
        monkeypatch.setattr(Learner, "reset_drifted", lambda _: pytest.fail("took the lock for nothing"))
        look(router)
        assert router.counts()["large"] == 150


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_reset_waits_for_its_turn(make_drifted_url: MakeDriftedUrl) -> None:
    url = make_drifted_url()
    with open_router(url) as router, open_router(url) as other, ThreadPoolExecutor(1) as thread:
        with other._store.learner_transaction():
            waiting = thread.submit(look, router)
            wait_until_one_waits(url)
            assert router.counts()["large"] == 360
        waiting.result()
        assert router.counts()["large"] < 100
