"""The token bucket, beside its definition: over any time t at most burst + rate · t."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bandit_router.security.rate_limit import fill_bucket, take_one


def test_a_burst_is_answered_at_once_and_then_one_after_another() -> None:
    bucket = fill_bucket(2.0, 3.0, 100.0)
    waits = []
    for _ in range(4):
        bucket, wait_s = take_one(bucket, 100.0)
        waits.append(wait_s)
    assert waits == [0.0, 0.0, 0.0, 0.5]
    bucket, wait_s = take_one(bucket, 100.5)
    assert wait_s == 0.0
    assert take_one(bucket, 100.6)[1] == pytest.approx(0.4)


def test_no_stretch_of_time_has_more_answers_than_it_may_have() -> None:
    rng = np.random.default_rng(7)
    rate, most = 5.0, 4.0
    bucket, now, answered = fill_bucket(rate, most, 0.0), 0.0, []
    for gap in rng.exponential(0.05, 2_000):
        now += float(gap)
        bucket, wait_s = take_one(bucket, now)
        if wait_s == 0.0:
            answered.append(now)
    for first, last in itertools.combinations(range(0, len(answered), 7), 2):
        assert last - first + 1 <= most + rate * (answered[last] - answered[first]) + 1e-6
    assert len(answered) >= rate * now  # and nothing that it may have is refused


def test_a_clock_that_stands_still_or_goes_back_fills_nothing() -> None:
    bucket, _ = take_one(fill_bucket(1.0, 1.0, 10.0), 10.0)
    assert take_one(bucket, 9.0)[1] == pytest.approx(1.0)
