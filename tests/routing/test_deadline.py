"""Who may be asked under a deadline: shown the timings, and played on worlds whose quantiles are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from bandit_router.errors import NoEligibleArm
from bandit_router.posterior.latency import Latencies
from bandit_router.routing.deadline import Deadline, exclude_late_arms
from bandit_router.routing.eligibility import Limits, filter_arms
from bandit_router.types import Arm

X = np.ones(1)
ON_TIME, TOO_LATE, DEADLINE = 1.0, 5.0, 2.0


def timed(**calls: tuple[int, int]) -> Latencies:
    """Latencies of arms with so many calls in time, and so many late."""
    latencies = Latencies.empty(tuple(calls))
    for arm, (early, missed) in calls.items():
        for latency, n in ((ON_TIME, early), (TOO_LATE, missed)):
            latencies.observe_many(arm, np.ones((n, 1)), np.full(n, latency), np.zeros(n))
    return latencies


def asked(latencies: Latencies, level: float = 0.9) -> set[str]:
    return set(latencies.arms) - set(exclude_late_arms(latencies, latencies.arms, Deadline(DEADLINE, level)))


def test_an_arm_that_was_never_timed_may_be_asked() -> None:
    assert asked(timed(new=(0, 0))) == {"new"}


def test_an_arm_that_is_late_too_often_may_not() -> None:
    assert asked(timed(good=(95, 5), bad=(50, 50))) == {"good"}


def test_a_little_bad_luck_excludes_nobody_while_calls_as_a_whole_are_in_time() -> None:
    assert asked(timed(good=(100, 0), unlucky=(8, 4))) == {"good", "unlucky"}


def test_when_they_are_not_only_arms_may_be_asked_that_are_in_time_themselves() -> None:
    assert asked(timed(fair=(90, 10), unlucky=(8, 4))) == {"fair"}
    assert asked(timed(fair=(90, 10), new=(0, 1))) == {"fair", "new"}  # a first late call is forgiven


def test_when_none_is_in_time_itself_all_that_are_not_ruled_out_may_be_asked() -> None:
    assert asked(timed(below=(85, 15), unlucky=(8, 4), bad=(10, 90))) == {"below", "unlucky"}


def test_when_all_are_ruled_out_each_is_named_with_its_numbers() -> None:
    latencies = timed(slow=(10, 90), slower=(0, 30))
    found = exclude_late_arms(latencies, latencies.arms, Deadline(DEADLINE, 0.9))
    assert found == {
        "slow": "10.0% of 100 calls took at most deadline_s = 2, deadline_level is 0.9",
        "slower": "0.0% of 30 calls took at most deadline_s = 2, deadline_level is 0.9",
    }


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_an_arm_is_ruled_out_by_the_likelihood_of_its_timings(level: float) -> None:
    """The oracle: e⁻⁷ is the likelihood of the timings at the level, over that at their own share."""
    for n in (1, 3, 10, 40, 300):
        for missed in range(n + 1):
            early = n - missed
            p = early / n
            own = (early * math.log(p) if early else 0.0) + (missed * math.log(1 - p) if missed else 0.0)
            unlikely = early * math.log(level) + missed * math.log(1 - level) - own < -7.0
            assert (not asked(timed(a=(early, missed)), level)) == (unlikely and p < level)


def test_guards_exclude_what_is_late_and_only_of_those_that_are_eligible_otherwise() -> None:
    def arm(name: str, **changes: bool) -> Arm:
        prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}
        return Arm(name=name, provider="p", model=name, **prices, **changes)  # type: ignore[arg-type]

    latencies = timed(good=(90, 10), below=(85, 15), bad=(0, 50))
    costs = dict.fromkeys(latencies.arms, 1.0)
    limits = Limits(input_tokens=1, deadline=Deadline(DEADLINE, 0.9))
    eligible, excluded = filter_arms([arm("good"), arm("below"), arm("bad")], limits, costs, latencies)
    assert [one.name for one in eligible] == ["good"]
    assert set(excluded) == {"below", "bad"}
    eligible, excluded = filter_arms([arm("good", enabled=False), arm("below")], limits, costs, latencies)
    assert [one.name for one in eligible] == ["below"]
    assert excluded == {"good": "disabled"}
    with pytest.raises(NoEligibleArm, match=r"good: disabled; bad: 0.0% of 50 calls") as nothing:
        filter_arms([arm("good", enabled=False), arm("bad")], limits, costs, latencies)
    assert set(nothing.value.excluded) == {"good", "bad"}


def test_without_a_deadline_nothing_is_late() -> None:
    arm = Arm(name="bad", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    eligible, _ = filter_arms([arm], Limits(input_tokens=1), {"bad": 1.0}, timed(bad=(0, 50)))
    assert eligible == [arm]


# -- played ----------------------------------------------------------------------------------------

Rule = Callable[[Latencies, Deadline], set[str]]


def ours(latencies: Latencies, deadline: Deadline) -> set[str]:
    return set(latencies.arms) - set(exclude_late_arms(latencies, latencies.arms, deadline))


def by_mean(latencies: Latencies, deadline: Deadline) -> set[str]:
    """The negative control: whoever is in time often enough so far."""
    shares = {arm: latencies.share_in_time(arm, deadline.seconds) for arm in latencies.arms}
    return {arm for arm, share in shares.items() if share is None or share >= deadline.level}


def play(p: Mapping[str, float], level: float, rule: Rule, n: int, seed: int) -> tuple[float, float]:
    """Always ask the last arm that may be asked; the share in time, and that of the last arm."""
    rng, latencies = np.random.default_rng(seed), Latencies.empty(tuple(p))
    in_time = last = 0
    for _ in range(n):
        may = rule(latencies, Deadline(DEADLINE, level))
        arm = [one for one in p if one in may][-1]
        early = rng.random() < p[arm]
        latencies.observe(arm, X, ON_TIME if early else TOO_LATE)
        in_time += early
        last += arm == list(p)[-1]
    return in_time / n, last / n


def test_a_good_arm_is_not_shut_out_by_bad_luck() -> None:
    """Just above the level, with another to fall back on: asked for nine calls of ten by every one of 20
    seeds. A rule that goes by the mean shuts it out for good in more than half."""
    p = {"safe": 0.995, "best": 0.93}
    found = [play(p, 0.9, ours, 1_500, seed)[1] for seed in range(20)]
    assert min(found) > 0.9
    control = [play(p, 0.9, by_mean, 1_500, seed)[1] for seed in range(20)]
    assert np.median(control) < 0.5


@pytest.mark.parametrize("best", [0.88, 0.6, 0.0])
def test_the_share_in_time_is_kept_although_the_best_arm_is_below_the_level(best: float) -> None:
    """By at most two calls in 1,000, in each of 20 seeds: what a rule owes that is checked every call."""
    found = [play({"safe": 0.995, "best": best}, 0.9, ours, 1_000, seed)[0] for seed in range(20)]
    assert min(found) >= 0.9 - 0.002
    always = [play({"safe": 0.995, "best": best}, 0.9, lambda *_: {"best"}, 1_000, s)[0] for s in range(20)]
    assert np.mean(always) < 0.9 - 0.002


def test_the_only_arm_is_not_refused_for_being_close_to_the_level() -> None:
    for seed in range(20):
        assert play({"only": 0.91}, 0.9, ours, 1_000, seed)[1] == 1.0
