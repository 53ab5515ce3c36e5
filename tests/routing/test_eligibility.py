from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ArmExcluded, InvalidInput, NoEligibleArm
from bandit_router.routing.eligibility import TOO_DEAR, Limits, exclude_low_quality
from bandit_router.routing.eligibility import filter_arms as narrow_by
from bandit_router.routing.precedence import Pin
from bandit_router.types import Arm, Reason, Scores

SMALL = Arm(
    name="small",
    provider="openai",
    model="small",
    input_usd_per_mtok=0.1,
    output_usd_per_mtok=0.4,
    expected_output_tokens=300,
    context_window=1000,
    capabilities=frozenset({"tools"}),
)
LARGE = replace(SMALL, name="large", context_window=None, capabilities=frozenset({"tools", "vision"}))
PLAIN = replace(SMALL, name="plain", context_window=None, capabilities=frozenset())
ARMS = (SMALL, LARGE, PLAIN)


def filter_arms(arms: Sequence[Arm], **limits: Any) -> list[Arm]:
    costs = {arm.name: arm.expected_cost_usd(1000) for arm in arms}
    eligible, excluded = narrow_by(arms, Limits(**limits), costs)
    assert sorted([arm.name for arm in eligible] + list(excluded)) == sorted(arm.name for arm in arms)
    return eligible


def names(arms: list[Arm]) -> list[str]:
    return [arm.name for arm in arms]


def test_without_conditions_every_arm_is_eligible_in_order() -> None:
    assert filter_arms(ARMS, input_tokens=10) == list(ARMS)


def test_a_disabled_arm_is_never_eligible() -> None:
    arms = [replace(SMALL, enabled=False), LARGE]
    assert names(filter_arms(arms, input_tokens=10, allow=["small", "large"])) == ["large"]


def test_an_arm_that_is_masked_is_excluded_for_the_reason_of_its_mask() -> None:
    costs = {arm.name: 0.1 for arm in ARMS}
    eligible, excluded = narrow_by(ARMS, Limits(10, mask={"large": "cooling: it failed"}), costs)
    assert names(eligible) == ["small", "plain"]
    assert excluded == {"large": "cooling: it failed"}


def test_only_arms_with_every_required_capability_are_eligible() -> None:
    assert names(filter_arms(ARMS, input_tokens=10, require=["tools"])) == ["small", "large"]
    assert names(filter_arms(ARMS, input_tokens=10, require=["vision", "tools"])) == ["large"]


def test_only_arms_the_caller_allows_are_eligible_in_configured_order() -> None:
    assert names(filter_arms(ARMS, input_tokens=10, allow=["plain", "small"])) == ["small", "plain"]


def test_prompt_and_answer_must_fit_the_context_window_to_the_token() -> None:
    assert "small" in names(filter_arms(ARMS, input_tokens=700))
    assert "small" not in names(filter_arms(ARMS, input_tokens=701))


def test_an_arm_without_a_context_window_takes_any_prompt() -> None:
    assert names(filter_arms(ARMS, input_tokens=10**9)) == ["large", "plain"]


def test_allowing_an_arm_that_does_not_exist_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="arms: 'huge' is not an arm; use some of small, large, plain"):
        filter_arms(ARMS, input_tokens=10, allow=["small", "huge"])


def test_when_nothing_is_left_the_error_says_what_excluded_each_arm() -> None:
    arms = [replace(SMALL, enabled=False), LARGE, PLAIN, replace(SMALL, name="tiny", context_window=20)]
    with pytest.raises(NoEligibleArm) as nothing:
        filter_arms(arms, input_tokens=10, require=["tools"], allow=["small", "plain", "tiny"])
    assert nothing.value.excluded == {
        "small": "disabled",
        "large": "not among the arms the caller allows",
        "plain": "lacks tools",
        "tiny": "context window of 20 tokens is smaller than the 310 needed",
    }
    assert "plain: lacks tools" in str(nothing.value)


def test_allowing_no_arm_leaves_nothing() -> None:
    with pytest.raises(NoEligibleArm):
        filter_arms(ARMS, input_tokens=10, allow=[])


def test_without_configured_arms_the_error_says_so() -> None:
    with pytest.raises(NoEligibleArm, match="no arm is configured"):
        filter_arms([], input_tokens=10)


CHEAP, DEAR = replace(SMALL, name="cheap"), replace(LARGE, name="dear", output_usd_per_mtok=4.0)
# For 1,000 tokens in and 300 out they cost 0.00022 and 0.0013 USD.


def test_what_costs_more_than_the_caller_accepts_is_excluded() -> None:
    assert names(filter_arms([CHEAP, DEAR], input_tokens=10, max_cost_usd=0.0013)) == ["cheap", "dear"]
    assert names(filter_arms([CHEAP, DEAR], input_tokens=10, max_cost_usd=0.001)) == ["cheap"]
    with pytest.raises(NoEligibleArm, match=r"cheap: expected to cost 0.00022 USD, more than max_cost_usd"):
        filter_arms([CHEAP, DEAR], input_tokens=10, max_cost_usd=0.0001)


def test_a_spent_budget_leaves_the_cheapest_arm_that_fits() -> None:
    assert names(filter_arms([CHEAP, DEAR], input_tokens=10, affordable_usd=0.01)) == ["cheap", "dear"]
    assert names(filter_arms([CHEAP, DEAR], input_tokens=10, affordable_usd=0.0)) == ["cheap"]
    able = {"input_tokens": 10, "affordable_usd": 0.0, "require": ["vision"]}
    assert names(filter_arms([CHEAP, DEAR], **able)) == ["dear"]


def test_a_budget_bears_what_a_call_may_well_cost_and_the_caller_what_is_expected() -> None:
    expected, limits = {"cheap": 0.0002, "dear": 0.001}, Limits(input_tokens=10, affordable_usd=0.002)
    for high_usd, left in ((0.002, ["cheap", "dear"]), (0.0021, ["cheap"])):
        high = {"cheap": 0.0003, "dear": high_usd}
        found, excluded = narrow_by([CHEAP, DEAR], limits, expected, high_usd=high)
        assert names(found) == left
        assert list(excluded.values()) == [TOO_DEAR] * (2 - len(left))
    spent = Limits(input_tokens=10, affordable_usd=0.0)  # what is expected to cost least is never left out
    found, _ = narrow_by([CHEAP, DEAR], spent, expected, high_usd={"cheap": 0.004, "dear": 0.002})
    assert names(found) == ["cheap"]
    asked = Limits(input_tokens=10, max_cost_usd=0.001)
    assert len(narrow_by([CHEAP, DEAR], asked, expected, high_usd={"cheap": 1.0, "dear": 1.0})[0]) == 2


def believed(*arms: tuple[float, float]) -> Scores:
    """Arms a, b, c, … of these means and widths."""
    mean, std = (np.array(part) for part in zip(*arms, strict=True))
    nothing = np.zeros(len(arms))
    return Scores(tuple("abcdef"[: len(arms)]), np.ones(1), mean, std, nothing, mean)


def test_what_is_not_good_enough_is_excluded_unless_it_may_be_for_all_that_is_known() -> None:
    scores = believed((0.9, 0.01), (0.6, 0.01), (0.6, 0.3), (0.79, 0.01))
    assert exclude_low_quality(scores, 0.8) == {"b": "expected quality 0.6 is below min_quality 0.8"}
    assert list(exclude_low_quality(scores, 0.81)) == ["b", "d"]
    assert exclude_low_quality(scores, 0.0) == {}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.5)), min_size=1, max_size=6), st.floats(0, 1))
def test_a_floor_never_leaves_nothing_and_never_excludes_the_best(
    arms: list[tuple[float, float]], floor: float
) -> None:
    excluded = exclude_low_quality(believed(*arms), floor)
    assert max(range(len(arms)), key=lambda k: arms[k][0]) not in ["abcdef".index(arm) for arm in excluded]
    for k, (mean, std) in enumerate(arms):
        assert "abcdef"[k] not in excluded or mean + std < floor


def test_arms_the_caller_forbids_are_not_eligible() -> None:
    assert names(filter_arms(ARMS, input_tokens=10, forbid=["large"])) == ["small", "plain"]


def test_a_pin_leaves_the_others_eligible() -> None:
    pin = Pin("large", Reason.OVERRIDE, "the override names")
    assert names(filter_arms(ARMS, input_tokens=10, pin=pin)) == ["small", "large", "plain"]


@pytest.mark.parametrize("require", [["vision"], ["vision", "audio"]])  # others are left, and none is
def test_a_pinned_arm_that_is_not_eligible_is_an_error_that_says_why(require: list[str]) -> None:
    pin = Pin("small", Reason.WORKFLOW, "workflow 'w' is pinned to")
    with pytest.raises(ArmExcluded, match=r"^workflow 'w' is pinned to arm 'small', .*lacks vision") as error:
        filter_arms(ARMS, input_tokens=10, require=require, pin=pin)
    assert "vision" in error.value.excluded["plain"]


@pytest.mark.parametrize(
    ("limits", "field"),
    [({"forbid": ["gpt-9"]}, "forbid"), ({"pin": Pin("gpt-9", Reason.OVERRIDE, "")}, "override")],
)
def test_an_arm_that_does_not_exist_is_refused_wherever_it_is_named(limits: Any, field: str) -> None:
    with pytest.raises(InvalidInput, match="'gpt-9' is not an arm; use some of small, large, plain") as error:
        filter_arms(ARMS, input_tokens=10, **limits)
    assert error.value.field == field


# -- needs and estimated tokens -------------------------------------------------------------------


def test_an_arm_that_states_capabilities_must_state_what_the_prompt_needs() -> None:
    assert names(filter_arms(ARMS, input_tokens=10, needs=["vision"])) == ["large", "plain"]
    assert names(filter_arms(ARMS, input_tokens=10, needs=["tools"])) == ["small", "large", "plain"]


def test_a_model_with_vision_reads_documents() -> None:
    reader = replace(SMALL, name="reader", capabilities=frozenset({"documents"}))
    assert names(filter_arms((*ARMS, reader), input_tokens=10, needs=["documents"])) == [
        *("large", "plain", "reader")
    ]
    assert names(filter_arms((SMALL, reader), input_tokens=10, needs=["documents"])) == ["reader"]


def test_a_need_that_no_arm_meets_is_named_with_the_fix() -> None:
    with pytest.raises(
        NoEligibleArm, match=r"add vision to the capabilities of an arm whose model has it"
    ) as no:
        filter_arms([SMALL], input_tokens=10, needs=["vision"])
    assert no.value.excluded == {"small": "lacks vision, which the prompt needs"}


def test_an_error_of_another_cause_speaks_of_no_capability() -> None:
    with pytest.raises(NoEligibleArm) as no:
        filter_arms([SMALL], input_tokens=10_000, needs=["tools"])
    assert "capabilities" not in str(no.value)


def test_a_window_must_hold_the_most_tokens_that_an_estimate_means() -> None:
    assert "small" in names(filter_arms(ARMS, input_tokens=500, window_tokens=700))
    assert "small" not in names(filter_arms(ARMS, input_tokens=500, window_tokens=701))


def test_a_window_that_may_be_too_small_is_better_than_none() -> None:
    assert names(filter_arms([SMALL], input_tokens=700, window_tokens=5000)) == ["small"]
    with pytest.raises(NoEligibleArm):
        filter_arms([SMALL], input_tokens=701, window_tokens=5000)


def test_an_arm_that_the_caller_names_needs_only_the_likely_window() -> None:
    pin = Pin("small", Reason.OVERRIDE, "the override names")
    assert "small" in names(filter_arms(ARMS, input_tokens=700, window_tokens=5000, pin=pin))
    with pytest.raises(ArmExcluded, match="lacks vision, which the prompt needs"):
        filter_arms(ARMS, input_tokens=10, needs=["vision"], pin=pin)
