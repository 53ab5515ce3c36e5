"""Whose settings are in force: a new set is applied, a superseded one or one that only looks is not."""

from __future__ import annotations

import threading
import time

import pytest

from bandit_router.learning.learner import SupersededSettings
from bandit_router.posterior.state import decode_state
from bandit_router.router import Router
from tests.router.conftest import LARGE, SMALL, OpenRouter, teach

MEDIUM = {"name": "medium", "input_usd_per_mtok": 0.4, "output_usd_per_mtok": 1.6}
CASCADE = {
    "cascade": {"enabled": True, "expensive": "large"},
    "policy": {"name": "cascade", "cheap": "small", "expensive": "large"},
}


def weights_of(router: Router) -> dict[str, float]:
    with router._store.learner_transaction() as transaction:
        return dict(transaction.reward_weights)


def test_a_router_that_looks_changes_nothing(
    open_on_either: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    live = open_on_either(apply="new")
    teach(live)
    before = live._store.head()
    assert before is not None
    looking = open_on_either(
        apply="never",
        arms=(SMALL, MEDIUM),
        reward={"weights": {"error": 1.0}},
        posterior={"half_life_s": 60.0},
        budget={"usd_per_day": 1.0},
    )
    after = live._store.head()
    assert after is not None
    assert after._replace(database_time=None) == before._replace(database_time=None)
    assert [arm.name for arm in looking.arms] == ["large", "small"]
    assert looking.settings.reward == live.settings.reward
    assert "applies no settings" in caplog.text
    assert "reward.weights.error: not set -> 1.0" in caplog.text
    assert looking._store.pacing.book is None


def test_a_router_that_looks_by_a_slow_clock_clamps_nothing(open_router: OpenRouter) -> None:
    live = open_router(apply="new")
    teach(live, rounds=5)
    an_hour_ago = open_router(host_time=lambda: time.time() - 3600.0, apply="never")
    assert an_hour_ago.calibration().clamped_stamps == 0
    assert open_router(host_time=lambda: time.time() - 3600.0, apply="new").calibration().clamped_stamps > 0


def test_an_empty_database_adopts_the_file_of_whoever_opens_it(open_on_either: OpenRouter) -> None:
    assert open_on_either(apply="never").route("a").eligible == ("large", "small")
    assert open_on_either(apply="never", arms=(SMALL,)).route("a").eligible == ("large", "small")


def test_new_settings_are_applied_and_said(
    open_on_either: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    old = open_on_either(apply="new")
    new = open_on_either(apply="new", arms=(SMALL, LARGE, MEDIUM), reward={"weights": {"error": 1.0}})
    assert "the settings change for every worker" in caplog.text
    assert "arms.medium.name: not set -> 'medium'" in caplog.text
    assert weights_of(new) == {"error": 1.0}
    caplog.clear()
    old.refresh()
    assert "another worker changed the settings" in caplog.text
    assert "reward.weights.error: not set -> 1.0" in caplog.text
    caplog.clear()
    old.refresh()
    assert caplog.text == ""


def test_a_restarted_replica_with_superseded_settings_runs_with_those_in_force(
    open_on_either: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):  # a rolling deploy: the old one, the new one, and the old one started again
        open_on_either(apply="new").close()
        open_on_either(apply="new", reward={"weights": {"error": 1.0}}).close()
    caplog.clear()
    old = open_on_either(apply="new")
    assert weights_of(old) == {"error": 1.0}
    assert old.settings.reward.weights == {"error": 1.0}
    assert "superseded" in caplog.text
    assert "`bandit-router apply -c FILE` would change reward.weights.error: 1.0 -> not set" in caplog.text


def test_apply_puts_earlier_settings_back_in_force(open_on_either: OpenRouter) -> None:
    open_on_either(apply="new").close()
    open_on_either(apply="new", reward={"weights": {"error": 1.0}}).close()
    assert weights_of(open_on_either(apply="always")) == {"quality": 1.0}
    assert weights_of(open_on_either(apply="new")) == {"quality": 1.0}


def test_workers_that_start_at_once_with_different_settings_agree(open_on_either: OpenRouter) -> None:
    opened: list[Router] = []
    start = threading.Barrier(4)

    def open_one(k: int) -> None:
        start.wait()
        opened.append(open_on_either(apply="new", reward={"weights": {"quality": 1.0 + k, "error": 1.0}}))

    threads = [threading.Thread(target=open_one, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    in_force = opened[0]._store.settings_in_force()
    assert in_force is not None
    assert weights_of(opened[0]) == in_force.settings["reward"]["weights"]
    assert opened[0].verify().problems == []


def test_a_worker_learns_by_the_settings_in_force_and_not_by_its_own(open_on_either: OpenRouter) -> None:
    old = open_on_either(apply="new")
    teach(old, rounds=10)
    new = open_on_either(apply="new", reward={"weights": {"quality": 1.0, "error": 1.0}})
    with pytest.raises(SupersededSettings):
        old._learner.rebuild()
    old.rebuild()
    assert weights_of(new) == {"quality": 1.0, "error": 1.0}
    assert new.verify().problems == []


def test_a_worker_without_a_cascade_keeps_what_others_learned_of_confidences(
    open_on_either: OpenRouter,
) -> None:
    with open_on_either(apply="new", **CASCADE) as cascading:
        for k in range(12):
            decision = cascading.route(f"query {k}")
            cascading.escalate(decision, confidence=0.9)
            cascading.feedback(decision.id, quality=1.0)
        cascading.learn()
    for apply in ("new", "always"):  # settings of its own, and then those of before
        other = open_on_either(apply=apply, posterior={"half_life_s": 1e6})
        other.rebuild()
        state = decode_state(other._store.published()[2])
        assert state.calibrators is not None
        assert state.calibrators.count.sum() == 12
        assert other.verify().problems == []
