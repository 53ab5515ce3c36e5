"""The heuristic policy: which arm for which score."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.policies.heuristic import Heuristic, Verdict
from bandit_router.types import Reason, Signals
from tests.contracts.policy import make_scores, take

POLICY = Heuristic(cheap="a0", expensive="a2", epsilon=0.0)


def chosen(signals: Signals, arms: tuple[int, ...] = (0, 1, 2), policy: Heuristic = POLICY) -> str:
    scores = take(make_scores([0.5, 0.6, 0.7], [0.1, 0.1, 0.1], signals=signals), arms)
    pmf = policy.pmf(scores)
    assert max(pmf) == 1.0
    return scores.arms[pmf.index(1.0)]


@pytest.mark.parametrize(
    ("score", "verdict", "arm"),
    [
        (0.0, Verdict.SIMPLE, "a0"),
        (math.nextafter(0.2, 0.0), Verdict.SIMPLE, "a0"),
        (0.2, Verdict.UNCERTAIN, "a0"),
        (0.5, Verdict.UNCERTAIN, "a0"),
        (0.8, Verdict.UNCERTAIN, "a0"),
        (math.nextafter(0.8, 1.0), Verdict.COMPLEX, "a2"),
        (1.0, Verdict.COMPLEX, "a2"),
        (1, Verdict.COMPLEX, "a2"),
        (math.nan, Verdict.UNCERTAIN, "a0"),
        ("0.9", Verdict.UNCERTAIN, "a0"),
    ],
)
def test_only_what_is_above_the_upper_threshold_is_expensive(
    score: float | str, verdict: Verdict, arm: str
) -> None:
    assert POLICY.verdict({"complexity": score}) is verdict
    assert chosen({"complexity": score}) == arm


def test_without_a_score_it_is_the_cheap_arm_and_uncertain() -> None:
    assert POLICY.verdict({"tier": "premium"}) is Verdict.UNCERTAIN
    assert chosen({}) == "a0"


def test_where_its_arm_is_not_eligible_it_is_the_other_one() -> None:
    assert chosen({"complexity": 0.9}, (0, 1)) == "a0"
    assert chosen({"complexity": 0.1}, (2, 1)) == "a2"


def test_where_neither_is_eligible_all_are_alike() -> None:
    scores = make_scores([0.1, 0.2], [0.1, 0.1], signals={"complexity": 0.9})
    assert Heuristic(cheap="x", expensive="y", epsilon=0.0).pmf(scores) == [0.5, 0.5]


def test_the_floor_is_spread_over_all() -> None:
    policy = Heuristic(cheap="a0", expensive="a2", epsilon=0.3)
    scores = make_scores([0.5, 0.6, 0.7], [0.1, 0.1, 0.1], signals={"complexity": 0.9})
    assert policy.pmf(scores) == pytest.approx([0.1, 0.1, 0.8])


def test_it_says_what_it_goes_by() -> None:
    assert not POLICY.learns
    assert POLICY.arms == ("a0", "a2")
    assert POLICY.reads == ("complexity",)
    assert POLICY.reason(make_scores([0.5], [0.1])) is Reason.POLICY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cheap": ""}, "heuristic: cheap"),
        ({"expensive": "a,b"}, "heuristic: expensive"),
        ({"expensive": "a0"}, "is the cheap arm too"),
        ({"low": 0.9}, r"high: is 0.8; give a number in \[0.9, 1\]"),
        ({"low": -0.1}, "low"),
        ({"high": math.nan}, "high"),
        ({"epsilon": 2.0}, "epsilon"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Heuristic(**{"cheap": "a0", "expensive": "a2", **change})
