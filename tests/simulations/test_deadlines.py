"""What the figures about deadlines are made of, on a world small enough to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.simulation.simulate import Plan
from simulations.deadlines import (
    CASES,
    DEADLINE_S,
    FIXED,
    KNOWING,
    ROUTER,
    Late,
    Played,
    deadlines_grid,
    missed_bars,
    play_case,
    shares_in_time,
    with_timed_calls,
)
from tests.simulations.worlds import ARMS, an_easy_stream

LEVEL = 0.9


def a_plan(n: int = 600) -> Plan:
    """Large is the best of three whatever the query, then medium; small is the worst."""
    stream = replace(an_easy_stream(n), quality=np.tile([0.2, 0.6, 0.9], (n, 1)))
    return Plan(stream=stream, cost_weight=0.0, seeds=1)


def test_cases_say_how_often_the_best_and_the_worst_are_late() -> None:
    stream = a_plan().stream
    found = shares_in_time(stream, 0.0, Late(1.25, 0.3, 0.1), LEVEL)
    np.testing.assert_allclose(found, [0.99, 0.97, 0.875])
    assert shares_in_time(stream, 0.0, Late(30.0, 0.3, 0.1), LEVEL)[2] == pytest.approx(0.1)
    for late in CASES.values():
        assert (shares_in_time(stream, 0.0, late, 0.99) >= 0.99).any()


def test_latencies_are_in_time_as_often_as_said() -> None:
    """Four standard errors of 20,000 calls; another seed has other latencies of the same queries."""
    shares = np.array([0.99, 0.9, 0.5])
    stream = with_timed_calls(a_plan(20_000).stream, shares, 0)
    assert stream.latency_s is not None
    found = (stream.latency_s <= DEADLINE_S).mean(axis=0)
    assert (np.abs(found - shares) < 4 * np.sqrt(shares * (1 - shares) / 20_000)).all()
    again = with_timed_calls(stream, shares, 1).latency_s
    assert again is not None
    assert not np.array_equal(again, stream.latency_s)


def test_everyone_plays_the_same_calls_and_who_knows_never_asks_who_is_late() -> None:
    """Where the best arm misses the level, medium is the best that is left, for those who know at once."""
    found = play_case(a_plan(), np.array([0.99, 0.97, 0.3]), LEVEL, 0)
    assert set(found) == {ROUTER, KNOWING, FIXED}
    assert found[FIXED].quality == pytest.approx(0.6)
    assert found[KNOWING].quality == pytest.approx(0.6, abs=0.05)
    assert found[KNOWING].in_time >= 0.95
    assert found[ROUTER].in_time >= LEVEL
    assert found[ROUTER].quality > 0.5


def test_without_a_deadline_the_same_world_is_late() -> None:
    """The negative control: told that everybody is in time, the router takes the best and is late."""
    found = play_case(a_plan(), np.array([0.99, 0.97, 0.3]), 0.2, 0)
    assert found[ROUTER].in_time < LEVEL - 0.3


def test_what_is_missed_is_named_and_what_is_met_is_not() -> None:
    good = {ROUTER: Played(0.7, 0.8, 0.91), KNOWING: Played(0.7, 0.8, 0.95), FIXED: Played(0.6, 0.7, 0.95)}
    late = good | {ROUTER: Played(0.7, 0.8, 0.89)}
    worse = good | {ROUTER: Played(0.69, 0.8, 0.91)}
    assert list(missed_bars(LEVEL, {"a": [good, good]})) == []
    assert list(missed_bars(LEVEL, {"a": [late, late]})) == ["90%, a: 0.8900 in time"]
    assert list(missed_bars(LEVEL, {"a": [worse]})) == [
        "90%, a: 0.0100 below the router that knows who is in time"
    ]
    (row,) = deadlines_grid("easy", LEVEL, {"a": [good, late]}).rows
    assert row.cells[:3] == ("a", "0.9000 ±0.0141", "0.8900")


def test_arms_of_the_stream_keep_their_names() -> None:
    assert with_timed_calls(a_plan().stream, np.full(3, 0.9), 0).arms == ARMS
