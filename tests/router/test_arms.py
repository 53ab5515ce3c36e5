"""Arms added, changed and switched while routers run on one database."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.router import Router
from tests.router.conftest import NEW, SMALL, OpenRouter, share, teach


def test_an_arm_added_at_run_time_is_chosen_here_and_by_others(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(), open_on_either()
    router.put_arm(NEW)
    assert router.arm("new") == NEW
    assert "new" in router.route("a").eligible
    other.refresh()
    made = other.route("a", arms=["new"])
    other.feedback(made.id, quality=1.0)
    other.learn()
    assert other.counts()["new"] == 1
    assert router.decision(made.id).arm == "new"
    assert router.verify().ok


def test_an_added_arm_keeps_what_the_others_learned(router: Router) -> None:
    teach(router)
    before, counts = router.route("query", arms=["large", "small"]), router.counts()
    router.put_arm(NEW)
    after = router.route("query", arms=["large", "small"])
    assert after.pmf == pytest.approx(before.pmf, abs=1e-12)
    assert router.counts() == {**counts, "new": 0}


def test_an_added_arm_survives_a_restart_without_being_in_the_settings(open_router: OpenRouter) -> None:
    with open_router() as router:
        router.put_arm(NEW)
    assert open_router().arm("new") == NEW


def test_a_known_arm_can_be_given_new_prices(router: Router) -> None:
    router.put_arm(NEW)
    router.put_arm(replace(NEW, input_usd_per_mtok=9.0))
    assert router.arm("new").input_usd_per_mtok == 9.0
    assert len(router.arms) == 3


def test_a_disabled_arm_is_never_chosen_here_or_by_others(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(policy={"name": "uniform"}), open_on_either(policy={"name": "uniform"})
    router.enable_arm("large", False)
    other.refresh()
    for one in (router, other):
        assert {one.route(f"query {i}").eligible for i in range(20)} == {("small",)}
        assert [arm.name for arm in one.arms if not arm.enabled] == ["large"]


def test_a_re_enabled_arm_is_chosen_again_with_what_it_had_learned(open_router: OpenRouter) -> None:
    router, other = open_router(), open_router()
    teach(router)
    before = router.route("query")
    router.enable_arm("large", False)
    router.enable_arm("large")
    other.refresh()
    for one in (router, other):
        assert one.route("query").pmf == pytest.approx(before.pmf, abs=1e-12)


def test_feedback_on_a_disabled_arm_is_learned(router: Router) -> None:
    made = router.route("a", arms=["large"])
    router.enable_arm("large", False)
    router.feedback(made.id, quality=1.0)
    router.learn()
    assert router.counts()["large"] == 1


def test_a_disabled_arm_stays_so_after_a_restart(open_router: OpenRouter) -> None:
    with open_router() as router:
        router.enable_arm("large", False)
    assert not open_router().arm("large").enabled


def test_an_arm_that_left_the_settings_is_not_chosen_and_what_it_learned_comes_back_with_it(
    open_router: OpenRouter,
) -> None:
    with open_router() as router:
        teach(router)
        counted = router.counts()["large"]
    with open_router(arms=(SMALL,)) as router:
        assert router.route("a").eligible == ("small",)
    router = open_router()
    assert router.route("a").eligible == ("large", "small")
    assert router.counts()["large"] == counted
    assert router.verify().ok


def test_switching_an_arm_that_does_not_exist_names_those_that_do(router: Router) -> None:
    with pytest.raises(InvalidInput, match="large, small"):
        router.enable_arm("gpt-9")


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_usd_per_mtok": math.nan},
        {"input_usd_per_mtok": math.inf},
        {"output_usd_per_mtok": -1.0},
        {"expected_output_tokens": -1},
        {"context_window": 0},
        {"name": ""},
        {"name": "a\0"},
        {"name": "a,b"},
        {"provider": "\ud800"},
        {"model": "x" * 257},
        {"capabilities": frozenset({""})},
    ],
)
def test_an_arm_that_no_settings_could_declare_cannot_be_added(router: Router, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.put_arm(replace(NEW, **wrong))
    assert next(iter(wrong)) in caught.value.field
    assert [arm.name for arm in router.arms] == ["large", "small"]


def test_a_changed_arm_stays_switched_as_it_was(router: Router) -> None:
    router.put_arm(NEW)
    router.enable_arm("new", False)
    router.put_arm(replace(NEW, input_usd_per_mtok=3.0))
    assert (router.arm("new").enabled, router.arm("new").input_usd_per_mtok) == (False, 3.0)
    router.enable_arm("new")
    assert router.arm("new").enabled


def test_an_arm_added_switched_off_can_be_switched_on(router: Router) -> None:
    router.put_arm(replace(NEW, enabled=False))
    assert not router.arm("new").enabled
    router.enable_arm("new")
    assert router.arm("new").enabled


# -- what changes -----------------------------------------------------------------------------------


def test_a_reset_arm_is_as_new_here_and_for_others_and_stays_so(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(), open_on_either()
    teach(router)
    older = router.route("query", arms=["large"])
    small = router.counts()["small"]
    router.reset_arm("large")
    other.refresh()
    for one in (router, other):
        assert one.counts() == {"large": 0, "small": small}
    router.feedback(older.id, quality=1.0)
    younger = other.route("query", arms=["large"])
    other.feedback(younger.id, quality=0.5)
    other.learn()
    assert open_on_either().counts() == {"large": 1, "small": small}
    assert other.rebuild() == small + 1
    assert other.counts() == {"large": 1, "small": small}
    assert other.verify().ok


def test_a_reset_arm_is_on_trial_beside_the_others(open_router: OpenRouter) -> None:
    router = open_router(trial={"beside": 10})
    teach(router, rounds=80)
    assert min(router.counts().values()) >= 10
    router.reset_arm("small")
    assert 0.05 - 1e-12 <= share(router.route("query"), "small") <= 0.25 + 1e-12


def test_resetting_an_arm_that_does_not_exist_names_those_that_do(router: Router) -> None:
    with pytest.raises(InvalidInput, match="large, small"):
        router.reset_arm("gpt-9")


def test_a_changed_price_acts_at_the_next_decision(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(router={"cost_weight": 100.0}), open_on_either()
    router.put_arm(NEW)
    other.refresh()
    before = router.route("query")
    router.put_arm(replace(NEW, input_usd_per_mtok=10.0, output_usd_per_mtok=20.0))
    other.refresh()
    at_once, elsewhere = router.route("query"), other.route("query", cost_weight=100.0)
    was, now, there = (
        dict(zip(one.eligible, one.expected_costs_usd, strict=True))["new"]
        for one in (before, at_once, elsewhere)
    )
    assert now == there == pytest.approx(10.0 * was)
    assert share(at_once, "new") < share(before, "new")
    assert router.verify().ok
