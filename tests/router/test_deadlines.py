"""Requests with a deadline, and what is known of latencies."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bandit_router.errors import ConfigError, InvalidInput, NoEligibleArm
from bandit_router.router import Router
from tests.router.conftest import NEW, OpenRouter


def time_calls(router: Router, arm: str, *latencies_s: float) -> None:
    for latency in latencies_s:
        router.feedback(router.route("a", arms=[arm]).id, latency_s=latency)
    router.learn()


def test_an_arm_that_is_too_slow_for_the_deadline_is_not_eligible(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(), open_on_either()
    time_calls(router, "small", *[0.5] * 10)
    time_calls(router, "large", *[3.0] * 10)
    other.refresh()
    for one in (router, other):
        made = one.route("a", deadline_s=1.0)
        assert made.eligible == ("small",)
        assert made.excluded == {
            "large": "0.0% of 10 calls took at most deadline_s = 1, deadline_level is 0.95"
        }
        assert one.route("a", deadline_s=4.0).eligible == ("large", "small")
        assert one.route("a").eligible == ("large", "small")
    assert router.verify().ok


def test_arms_that_were_never_timed_are_tried(router: Router) -> None:
    assert router.route("a", deadline_s=0.001).eligible == ("large", "small")
    time_calls(router, "large", *[3.0] * 10)
    router.put_arm(NEW)
    assert router.route("a", deadline_s=1.0).eligible == ("new", "small")


def test_when_no_arm_can_keep_the_deadline_each_is_named(router: Router) -> None:
    for arm in ("small", "large"):
        time_calls(router, arm, *[3.0] * 10)
    with pytest.raises(NoEligibleArm, match=r"large: 0\.0% of 10 calls.*small: 0\.0% of 10 calls"):
        router.route("a", deadline_s=1.0)


def test_the_level_is_the_request_s_or_else_the_settings(open_router: OpenRouter) -> None:
    router = open_router(router={"deadline_level": 0.5})
    time_calls(router, "small", *[0.5] * 70, *[3.0] * 30)
    time_calls(router, "large", *[0.5] * 100)
    assert router.route("a", deadline_s=1.0).eligible == ("large", "small")
    made = router.route("a", deadline_s=1.0, deadline_level=0.99)
    assert made.excluded == {
        "small": "70.0% of 100 calls took at most deadline_s = 1, deadline_level is 0.99"
    }


def test_a_revised_or_retracted_latency_no_longer_counts(router: Router) -> None:
    made = [router.route("a", arms=["large"]).id for _ in range(10)]
    for decision_id in made:
        router.feedback(decision_id, latency_s=3.0)
    router.learn()
    assert router.route("a", deadline_s=1.0).eligible == ("small",)
    for decision_id in made:
        router.feedback(decision_id, latency_s=0.5)
    router.learn()
    assert router.route("a", deadline_s=1.0).eligible == ("large", "small")
    assert router.latency_s("large", 0.95) == pytest.approx(0.5, rel=0.025)
    for decision_id in made:
        router.feedback(decision_id, latency_s=None)
    router.learn()
    assert router.latency_s("large", 0.95) is None
    report = router.verify()
    assert report.ok, report.problems
    assert (report.in_log["latencies"], report.counted["latencies"]) == (0, 0)


def test_latencies_of_an_arm_are_quantiles_or_unknown(router: Router) -> None:
    time_calls(router, "large", *[float(i) for i in range(1, 21)])
    assert router.latency_s("large", 0.5) == pytest.approx(10.0, rel=0.025)
    assert router.latency_s("large", 0.95) == pytest.approx(19.0, rel=0.025)
    assert router.latency_s("small", 0.5) is None
    with pytest.raises(InvalidInput, match="is not an arm"):
        router.latency_s("huge", 0.5)


def test_a_rebuild_knows_the_same_latencies(router: Router) -> None:
    time_calls(router, "large", 1.0, 2.0, 3.0)
    before = router.latency_s("large", 0.5)
    router.rebuild()
    assert router.latency_s("large", 0.5) == before
    assert router.verify().ok


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": -1.0}, "deadline_s"),
        ({"deadline_s": math.nan}, "deadline_s"),
        ({"deadline_s": math.inf}, "deadline_s"),
        ({"deadline_s": "1"}, "deadline_s"),
        ({"deadline_s": True}, "deadline_s"),
        ({"deadline_s": 1.0, "deadline_level": 0.0}, "deadline_level"),
        ({"deadline_s": 1.0, "deadline_level": 1.0}, "deadline_level"),
        ({"deadline_s": 1.0, "deadline_level": 95}, "deadline_level"),
        ({"deadline_s": 1.0, "deadline_level": math.nan}, "deadline_level"),
        ({"deadline_level": 0.9}, "deadline_level"),
    ],
)
def test_wrong_deadlines_are_named(router: Router, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.route("a", **options)
    assert caught.value.field == field


@pytest.mark.parametrize("level", [0, 1, 1.5, math.nan])
def test_a_wrong_level_in_the_settings_is_named(open_router: OpenRouter, level: float) -> None:
    with pytest.raises(ConfigError, match=r"router\.deadline_level"):
        open_router(router={"deadline_level": level})


@pytest.mark.parametrize("q", [math.nan, -0.1, 2.0])
def test_a_quantile_outside_of_0_and_1_is_refused(router: Router, q: float) -> None:
    with pytest.raises(InvalidInput, match=r"^q: is out of range; give a number in \[0, 1\]"):
        router.latency_s("large", q)
