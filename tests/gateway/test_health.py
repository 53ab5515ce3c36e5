"""Breakers open on failures, let one probe through, and close again; on a clock that tests move."""

from __future__ import annotations

import pytest

from bandit_router.gateway.health import FIRST_COOLING_S, LEAST_FAILURES, LONGEST_COOLING_S, Health


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


def fail_often(health: Health, arm: str = "a", times: int = LEAST_FAILURES) -> None:
    for _ in range(times):
        health.begin(arm)
        health.fail(arm, "upstream answered 500")


def test_an_arm_cools_after_five_failures_and_says_why(health: Health) -> None:
    fail_often(health, times=LEAST_FAILURES - 1)
    assert health.find_cooling() == {}
    fail_often(health, times=1)
    assert health.find_cooling() == {"a": "cooling: upstream answered 500"}
    assert health.retry_after_s() == FIRST_COOLING_S


def test_failures_among_many_answers_cool_no_arm(health: Health) -> None:
    for _ in range(20):
        health.succeed("a")
    fail_often(health, times=9)
    assert health.find_cooling() == {}
    fail_often(health, times=1)  # half of the newest twenty
    assert list(health.find_cooling()) == ["a"]


def test_half_open_lets_one_probe_through(health: Health, clock: Clock) -> None:
    fail_often(health)
    clock.time += FIRST_COOLING_S
    assert health.find_cooling() == {}
    health.begin("a")
    assert list(health.find_cooling()) == ["a"]
    health.succeed("a")
    assert health.find_cooling() == {}
    fail_often(health, times=LEAST_FAILURES - 1)  # it is as new
    assert health.find_cooling() == {}


def test_a_probe_that_fails_cools_twice_as_long_up_to_a_minute(health: Health, clock: Clock) -> None:
    fail_often(health)
    expected = FIRST_COOLING_S
    for _ in range(10):
        assert health.retry_after_s() == expected
        clock.time += expected
        health.begin("a")
        health.fail("a", "again")
        expected = min(2 * expected, LONGEST_COOLING_S)


def test_a_probe_whose_client_left_frees_the_place_for_another(health: Health, clock: Clock) -> None:
    fail_often(health)
    clock.time += FIRST_COOLING_S
    health.begin("a")
    health.leave("a")
    assert health.find_cooling() == {}


def test_retry_after_cools_at_once_and_is_never_shortened(health: Health, clock: Clock) -> None:
    health.fail("a", "upstream answered 429", 30.0)
    clock.time += 1.0
    health.fail("a", "upstream answered 500")
    assert health.retry_after_s() == 29.0
    clock.time += 29.0
    assert health.find_cooling() == {}


def test_arms_cool_apart(health: Health) -> None:
    fail_often(health)
    health.fail("b", "no", 60.0)
    assert sorted(health.find_cooling()) == ["a", "b"]
    assert health.retry_after_s() == FIRST_COOLING_S
