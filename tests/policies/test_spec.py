"""Policies by name: what a spec or a settings table may say, and what is said back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import POLICIES, make_policy, parse_policy
from bandit_router.policies.bandit import EpsilonGreedy, Fixed, LinUCB, Thompson
from tests.contracts.policy import NEEDS, check_spec


@pytest.mark.parametrize("name", [name for name in POLICIES if name not in NEEDS])
def test_a_policy_without_parameters_has_its_defaults(name: str) -> None:
    assert parse_policy(name) == make_policy(name, {}) == POLICIES[name]()


def test_a_number_may_be_given_as_text() -> None:
    assert make_policy("thompson", {"v": "0.4", "epsilon": "0"}) == Thompson(v=0.4, epsilon=0.0)


def test_a_whole_number_and_its_float_make_one_policy() -> None:
    assert make_policy("linucb", {"alpha": 2}).spec == LinUCB(alpha=2.0).spec == LinUCB(alpha=2).spec


def test_numpy_numbers_leave_no_trace_in_the_spec() -> None:
    check_spec(LinUCB(alpha=np.float64(0.3), epsilon=np.float64(0.1)))


@pytest.mark.parametrize("arm", ["gpt-4o", "anthropic/claude-3:beta", "123", "a@b+c"])
def test_fixed_can_name_any_configured_arm(arm: str) -> None:
    check_spec(Fixed(arm=arm))
    assert parse_policy(f"fixed:{arm}") == parse_policy(f"fixed:arm={arm}") == Fixed(arm=arm)


@pytest.mark.parametrize("arm", ["", "a,b", "a=b"])
def test_fixed_refuses_a_name_that_its_spec_cannot_hold(arm: str) -> None:
    with pytest.raises(InvalidInput, match="policy fixed: arm: is"):
        Fixed(arm=arm)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("ucb", f"policy.name: no policy 'ucb'; use one of {', '.join(POLICIES)}"),
        ("", "policy.name: no policy ''"),
        ("linucb:beta=1", "policy.beta: linucb has no such parameter; it takes alpha, epsilon"),
        ("uniform:epsilon=1", "policy.epsilon: uniform has no such parameter; it takes no parameter"),
        ("linucb:alpha", "policy 'linucb:alpha': 'alpha' is not key=value"),
        ("linucb:alpha=1,alpha=2", "alpha is given twice"),
        ("fixed:a,b", "arm is given twice"),
        ("fixed:", "policy.arm: fixed needs it"),
        ("thompson:v=wide", "policy.v: 'wide' is not a number"),
        ("thompson:v=", "policy.v: '' is not a number"),
        ("thompson:v=-1", r"policy thompson: v: is -1; give a number in \[0, 1e\+06\]"),
        ("thompson:v=nan", "policy thompson: v: is nan"),
        ("thompson:v=inf", "policy thompson: v: is inf"),
        (
            "epsilon-greedy:epsilon=1.01",
            r"policy epsilon-greedy: epsilon: is 1.01; give a number in \[0, 1\]",
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_what_is_allowed(spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_policy(spec)


@pytest.mark.parametrize("value", [True, None, [1.0], 10**400, "1e999x", math.nan, "nan", 2e6])
def test_a_number_parameter_refuses_anything_else_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match=r"policy(\.| linucb: )alpha"):
        make_policy("linucb", {"alpha": value})


@pytest.mark.parametrize("value", [5, 0.5, True, None])
def test_a_text_parameter_refuses_anything_else_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match=r"policy.arm: .* is not text"):
        make_policy("fixed", {"arm": value})


@pytest.mark.parametrize("epsilon", [-0.01, 1.01, math.nan, math.inf])
@pytest.mark.parametrize(
    "policy", [LinUCB(), Thompson(), EpsilonGreedy(), Fixed(arm="a")], ids=lambda p: p.spec
)
def test_an_epsilon_outside_the_unit_interval_is_refused(
    policy: LinUCB | Thompson | EpsilonGreedy | Fixed, epsilon: float
) -> None:
    with pytest.raises(InvalidInput, match="epsilon"):
        replace(policy, epsilon=epsilon)
