"""The classifier policy: where the line is, and what it falls back on."""

from __future__ import annotations

import pytest

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import parse_policy
from bandit_router.policies.classifier import ClassifierPolicy
from bandit_router.types import Scores
from tests.contracts.policy import make_scores, take

POLICY = ClassifierPolicy(cheap="a0", expensive="a1", threshold=0.7, epsilon=0.03)


def scores(**signals: float | str) -> Scores:
    return make_scores([0.9, 0.1, 0.5], [0.1, 0.2, 0.3], signals=signals)


@pytest.mark.parametrize(
    ("p", "expensive"), [(0.0, False), (0.7, False), (0.7000001, True), (1.0, True), (1, True)]
)
def test_more_than_the_threshold_is_complex(p: float, expensive: bool) -> None:
    top, floor = pytest.approx(0.98), pytest.approx(0.01)
    wanted = [floor, top, floor] if expensive else [top, floor, floor]
    assert POLICY.pmf(scores(p_complex=p)) == wanted


def test_at_the_ends_every_query_goes_to_one_model() -> None:
    never = ClassifierPolicy(cheap="a0", expensive="a1", threshold=1.0, epsilon=0.0)
    always = ClassifierPolicy(cheap="a0", expensive="a1", threshold=0.0, epsilon=0.0)
    assert never.pmf(scores(p_complex=1.0)) == [1.0, 0.0, 0.0]
    assert always.pmf(scores(p_complex=1e-9)) == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_where_an_arm_is_not_eligible_it_is_the_other(p: float) -> None:
    three = scores(p_complex=p)
    assert POLICY.pmf(take(three, [0, 2])) == pytest.approx([0.985, 0.015])
    assert POLICY.pmf(take(three, [2, 1])) == pytest.approx([0.015, 0.985])
    assert POLICY.pmf(take(three, [2])) == [1.0]
    assert ClassifierPolicy(cheap="x", expensive="y").pmf(three) == pytest.approx([1 / 3] * 3)


def test_a_query_without_the_signal_is_cheap() -> None:
    assert POLICY.pmf(scores()).index(max(POLICY.pmf(scores()))) == 0
    assert POLICY.pmf(scores(p_complex="high"))[0] == pytest.approx(0.98)


def test_what_it_says_of_itself() -> None:
    assert parse_policy("classifier:cheap=a0,expensive=a1,epsilon=0.03") == POLICY
    assert POLICY.spec == "classifier:cheap=a0,expensive=a1,threshold=0.7,epsilon=0.03"
    assert (POLICY.arms, POLICY.reads, POLICY.learns) == (("a0", "a1"), ("p_complex",), False)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("classifier", "policy.cheap: classifier needs it"),
        ("classifier:cheap=a0,expensive=a0", "policy classifier: expensive: is the cheap arm too"),
        ("classifier:cheap=a0,expensive=a1,threshold=1.1", "policy classifier: threshold: is 1.1"),
        ("classifier:cheap=a0,expensive=a1,threshold=nan", "policy classifier: threshold: is nan"),
        ("classifier:cheap=a0,expensive=a1,epsilon=-1", "policy classifier: epsilon: is -1"),
    ],
)
def test_what_makes_no_policy(spec: str, said: str) -> None:
    with pytest.raises((ConfigError, InvalidInput), match=said):
        parse_policy(spec)
