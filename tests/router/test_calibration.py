"""A router compares what came with what it had expected, and warns of an arm that drifted."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.learning.drift import CalibrationReport, calibrate
from bandit_router.router import Router
from tests.router.conftest import OpenRouter


def play(
    router: Router,
    rounds: int,
    quality: float,
    arm: str = "large",
    learn_every: int = 1,
    tasks: Sequence[str | None] = (None,),
) -> None:
    """So many decisions for an arm with this reward on average, in thumbs, learned so many at a time.

    The tasks take turns.
    """
    for i in range(rounds):
        made = router.route(f"query {i % 7}", arms=[arm], task=tasks[i % len(tasks)])
        up = math.floor((i + 1) * quality) > math.floor(i * quality)
        router.feedback(made.id, quality=float(up), cost_usd=made.expected_costs_usd[0] * 1.5)
        if (i + 1) % learn_every == 0:
            router.learn()


def test_rewards_and_costs_are_compared_with_what_decisions_expected(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    play(router, 45, 0.8)
    found = router.calibration()
    large = found.arms["large"]
    assert large.reward is not None
    assert large.cost is not None
    assert 5 <= large.reward.rewards <= 15  # 30 had to be known; of the newest more may be heard yet
    assert large.reward.mean_reward == pytest.approx(0.8, abs=0.1)
    assert (large.cost.calls, found.arms["small"].reward) == (45, None)
    assert large.cost.ratio > 0.9
    assert found.alarms == ()
    few = router.calibration(last=5).arms["large"].reward
    assert few is not None
    assert few.rewards <= 5


def test_an_arm_that_drifts_is_warned_of_once_and_a_reset_ends_it(
    open_router: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    router = open_router(posterior={"on_drift": "alarm"})
    play(router, 150, 0.9, learn_every=5)
    play(router, 60, 0.1)
    assert router.calibration().alarms == ("large",)
    with caplog.at_level(logging.WARNING, logger="bandit_router.learning.drift_watch"):
        for _ in range(3):
            router._drift_watch.next_check_at = -math.inf
            router._round()
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "bandit_router.learning.drift_watch"]
    assert "'large' is not what it was" in warning
    assert "arms reset large" in warning
    router.reset_arm("large")
    found = router.calibration()
    assert (found.alarms, found.arms["large"].reward) == ((), None)


@pytest.mark.parametrize(("on_drift", "apart_s"), [("alarm", 60.0), ("reset", 5.0)])
def test_it_looks_once_in_a_while(
    open_router: OpenRouter, monkeypatch: pytest.MonkeyPatch, on_drift: str, apart_s: float
) -> None:
    router = open_router(posterior={"on_drift": on_drift})
    looked: list[float] = []

    def look() -> CalibrationReport:
        looked.append(time.monotonic())
        return calibrate([], [], {})

    for version, now in enumerate((1000.0, 1001.0, 999.9 + apart_s, 1000.0 + apart_s, 1001.0 + apart_s)):
        with monkeypatch.context() as then:
            then.setattr("bandit_router.learning.drift_watch.time.monotonic", lambda now=now: now)
            router._drift_watch.check(look, version)
    assert looked == [1000.0, 1000.0 + apart_s]


def test_it_reads_nothing_while_nothing_new_is_counted(open_router: OpenRouter) -> None:
    router = open_router()
    looked: list[int] = []

    def look() -> CalibrationReport:
        looked.append(router.snapshot)
        return calibrate([], [], {})

    for version in (1, 1, 2, 2, 2, 1):
        router._drift_watch.next_check_at = -math.inf
        router._drift_watch.check(look, version)
    assert len(looked) == 3


@pytest.mark.parametrize("last", [0, -1, 20_001, 2.5, True, "many"])
def test_the_number_of_rewards_is_checked(router: Router, last: int) -> None:
    with pytest.raises(InvalidInput, match="last"):
        router.calibration(last)
