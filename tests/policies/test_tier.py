"""The tier policy: who asks decides."""

from __future__ import annotations

from typing import Any

import pytest

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import check_named_arms, list_computed_signals, make_policy, parse_policy
from bandit_router.types import Reason, Scores, Signals
from tests.contracts.policy import check_spec, make_scores, take

SPEC = "tier:premium=a2,free=a0,standard=[epsilon-greedy:epsilon=0.3],else=[fixed:a1,epsilon=0.0]"
POLICY = parse_policy(SPEC)


def scores_of(tier: str | float | None, arms: tuple[int, ...] = (0, 1, 2)) -> Scores:
    signals = {} if tier is None else {"tier": tier}
    return take(make_scores([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], signals=signals), arms)


@pytest.mark.parametrize(
    ("tier", "pmf", "reason"),
    [
        ("premium", [0.0, 0.0, 1.0], Reason.TIER),
        ("free", [1.0, 0.0, 0.0], Reason.TIER),
        ("standard", [0.1, 0.1, 0.8], Reason.POLICY),
        ("unheard of", [0.0, 1.0, 0.0], Reason.POLICY),
        ("else", [0.0, 1.0, 0.0], Reason.POLICY),
        (1.0, [0.0, 1.0, 0.0], Reason.POLICY),
        (None, [0.0, 1.0, 0.0], Reason.POLICY),
    ],
)
def test_a_tier_has_an_arm_or_a_policy(tier: str | float | None, pmf: list[float], reason: Reason) -> None:
    scores = scores_of(tier)
    assert POLICY.pmf(scores) == pytest.approx(pmf)
    assert POLICY.reason(scores) is reason


def test_where_its_arm_is_not_eligible_a_tier_gets_what_the_others_get() -> None:
    scores = scores_of("premium", (0, 1))
    assert POLICY.pmf(scores) == [0.0, 1.0]
    assert POLICY.reason(scores) is Reason.POLICY


def test_where_that_is_not_eligible_either_all_are_alike_which_explores() -> None:
    policy, scores = parse_policy("tier:premium=a2,else=a1"), scores_of("premium", (0,))
    assert policy.pmf(scores) == [1.0]
    assert policy.reason(scores) is Reason.POLICY
    assert policy.pmf(scores_of("premium", (1, 0))) == [1.0, 0.0]
    assert policy.reason(scores_of("premium", (1, 0))) is Reason.TIER


def test_tiers_may_be_nested_and_say_what_all_of_them_go_by() -> None:
    spec = "tier:team=[tier:x=a1,else=[heuristic:cheap=a0,expensive=a2]],else=a0"
    policy = parse_policy(spec)
    check_spec(policy)
    assert policy.arms == ("a0", "a1", "a2")
    assert policy.reads == ("tier", "complexity")
    assert list_computed_signals(policy) == ("complexity",)
    assert not policy.learns
    assert parse_policy("tier:team=[thompson],else=a0").learns
    assert policy.reason(scores_of("team")) is Reason.POLICY


@pytest.mark.parametrize(
    ("signals", "verdict"),
    [
        ({"tier": "team", "complexity": 0.9}, "complex"),
        ({"tier": "team"}, "uncertain"),
        ({"tier": "premium", "complexity": 0.9}, None),
        ({"complexity": 0.1}, None),
    ],
)
def test_what_it_makes_of_a_query_is_up_to_the_policy_of_the_tier(
    signals: Signals, verdict: str | None
) -> None:
    policy = parse_policy("tier:premium=a2,team=[heuristic:cheap=a0,expensive=a2],else=[uniform]")
    assert policy.verdict(signals) == verdict


def test_a_table_of_settings_is_the_same_policy() -> None:
    table = {"premium": "a2", "free": "a0", "standard": "[epsilon-greedy:epsilon=0.3]", "else": "[fixed:a1]"}
    assert make_policy("tier", {"tiers": table}) == make_policy("tier", {"tiers": SPEC[5:]}) == POLICY


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ("premium=a2", "policy tier: else: is missing; say what"),
        ("", "policy tier: else: is missing"),
        ("premium,else=a", "'premium' is not key=value"),
        ("else=a,else=b", "else is given twice"),
        ("else=[thompson", "unmatched bracket"),
        ("else=thompson]", "unmatched bracket"),
        ("else=]a[", "unmatched bracket"),
        ("else=a[b]", "policy tier: else: is 'a"),
        ("else=[nope]", "no policy 'nope'"),
        ("else=", "policy tier: else: is ''"),
        ("else=thompson:v=1", "policy tier: else: is 'thompson:v=1'"),
        ({"else": 3}, "policy.tiers.else: 3 is not text"),
        ({"a=b": "x", "else": "y"}, "name of a tier: is 'a=b'"),
        (3, r"policy.tiers: 3 is not a table; write \[policy.tiers\]"),
    ],
)
def test_what_makes_no_sense_is_refused(tiers: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_policy("tier", {"tiers": tiers})


def test_an_arm_that_is_not_there_is_named_at_any_depth() -> None:
    nested = parse_policy("tier:x=[heuristic:cheap=a,expensive=gone],else=a")
    with pytest.raises(InvalidInput, match="'gone' is not an arm; use one of a, b"):
        check_named_arms({"mine": nested}, ["a", "b"])


def test_a_policy_without_its_brackets_is_told_how_to_write_them() -> None:
    with pytest.raises(InvalidInput, match=r"'tempered' is not an arm; .* is written \[tempered\]"):
        check_named_arms({"mine": parse_policy("tier:else=tempered")}, ["a", "b"])
