"""What goes before the policy: in which order, and when a conversation is promoted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies.pmf import one_hot_pmf
from bandit_router.routing.precedence import (
    Pin,
    StickyConversation,
    apply_precedence,
    check_workflows,
    make_pin,
)
from bandit_router.types import Conversation, Reason, Scores

WORKFLOWS = {"invoices": "b", "mail": "a"}


def scores(costs: list[float], utilities: list[float]) -> Scores:
    arms = tuple("abcdefgh"[: len(costs)])
    ones = np.ones(len(costs))
    return Scores(arms, np.ones(1), ones, ones, np.array(costs), np.array(utilities))


def kept(arm: str, gain: float = 0.1, switch_usd: float = 0.0, promoted: bool = False) -> StickyConversation:
    conversation = Conversation(id="c", arm=arm, choice="d", promoted=promoted, started_at=0.0, seen_at=0.0)
    return StickyConversation(conversation, gain, switch_usd)


# -- the order ------------------------------------------------------------------------------------


def test_an_override_goes_before_a_workflow() -> None:
    pin = make_pin("a", "invoices", WORKFLOWS)
    assert pin is not None
    assert (pin.arm, pin.reason) == ("a", Reason.OVERRIDE)


def test_a_workflow_has_the_arm_of_the_settings() -> None:
    pin = make_pin(None, "invoices", WORKFLOWS)
    assert pin == Pin("b", Reason.WORKFLOW, "workflow 'invoices' is pinned to")


def test_nothing_pins_what_names_nothing() -> None:
    assert make_pin(None, None, WORKFLOWS) is None


@pytest.mark.parametrize("override", [None, "a"])
def test_an_unknown_workflow_is_refused_and_the_known_ones_listed(override: str | None) -> None:
    with pytest.raises(InvalidInput, match="'x' is not a workflow; use one of invoices, mail"):
        make_pin(override, "x", WORKFLOWS)


def test_where_there_are_no_workflows_it_says_how_to_declare_one() -> None:
    with pytest.raises(InvalidInput, match=r"declare it under \[\[workflows\]\]"):
        make_pin(None, "x", {})


def test_a_pin_goes_before_a_conversation() -> None:
    pin = Pin("b", Reason.WORKFLOW, "")
    assert apply_precedence(pin, kept("a"), scores([1, 2], [0.0, 9.0]), 0.0) == (1, Reason.WORKFLOW)


def test_a_conversation_goes_before_the_policy() -> None:
    assert apply_precedence(None, kept("b"), scores([1, 2], [9.0, 0.0]), 0.0) == (1, Reason.STICKY)


def test_the_policy_chooses_without_pin_and_without_the_arm_of_the_conversation() -> None:
    some = scores([1, 2], [0.0, 9.0])
    assert apply_precedence(None, None, some, 0.0) is None
    assert apply_precedence(None, kept("z"), some, 0.0) is None


# -- the promotion --------------------------------------------------------------------------------

_ARMS = st.integers(1, 6)
_HALVES = st.integers(-4, 4).map(lambda n: n / 2)  # exact, and often equal


@given(st.data(), _ARMS, st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 0.5]))
def test_the_one_promotion_is_to_the_best_dearer_arm_that_is_worth_it(
    data: st.DataObject, k: int, promoted: bool, gain: float, switch_usd: float
) -> None:
    costs = data.draw(st.lists(st.integers(0, 3).map(float), min_size=k, max_size=k))
    utilities = data.draw(st.lists(_HALVES, min_size=k, max_size=k))
    present, weight = data.draw(st.integers(0, k - 1)), data.draw(st.sampled_from([0.0, 1.0, 4.0]))
    some = scores(costs, utilities)
    found = apply_precedence(None, kept(some.arms[present], gain, switch_usd, promoted), some, weight)

    worth_it = utilities[present] + gain + weight * switch_usd
    dearer = {i: utilities[i] for i in range(k) if costs[i] > costs[present] and utilities[i] >= worth_it}
    if promoted or gain == 0.0 or not dearer:
        assert found == (present, Reason.STICKY)
    else:
        assert found is not None
        index, reason = found
        assert reason is Reason.PROMOTION
        assert dearer[index] == max(dearer.values())


def test_what_a_switch_costs_is_priced_by_the_cost_weight() -> None:
    some = scores([1, 2], [0.0, 0.3])
    assert apply_precedence(None, kept("a", 0.1, 0.01), some, 19.0) == (1, Reason.PROMOTION)
    assert apply_precedence(None, kept("a", 0.1, 0.01), some, 21.0) == (0, Reason.STICKY)


def test_what_is_certain_is_one_hot() -> None:
    assert one_hot_pmf(3, 1) == [0.0, 1.0, 0.0]
    assert math.fsum(one_hot_pmf(7, 6)) == 1.0


# -- workflows of the settings --------------------------------------------------------------------


def test_a_workflow_of_an_arm_that_is_there_is_fine() -> None:
    check_workflows(WORKFLOWS, arms=["a", "b"], disabled=["c"])


def test_a_workflow_of_no_arm_is_a_wrong_setting() -> None:
    with pytest.raises(
        ConfigError, match="'invoices' is pinned to 'b', which is not an arm; use one of a, c"
    ):
        check_workflows(WORKFLOWS, arms=["c", "a"], disabled=[])


def test_a_workflow_of_an_arm_that_is_off_in_the_settings_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="'invoices' is pinned to arm 'b', which has enabled = false"):
        check_workflows(WORKFLOWS, arms=["a", "b"], disabled=["b"])
