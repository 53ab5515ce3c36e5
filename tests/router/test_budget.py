"""A router with a budget: how it prices, what it leaves out, and what callers may ask for."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bandit_router.errors import ConfigError, InvalidInput, NoBudget, NoEligibleArm, RouterClosed
from bandit_router.objective.pacing import affordable_usd, compute_cost_weight
from bandit_router.router import Router
from bandit_router.routing.eligibility import TOO_DEAR
from bandit_router.settings import load_settings, make_settings
from bandit_router.types import Budget, Decision, Floor, Goal
from tests.router.conftest import OpenRouter, settings_of, share
from tests.services import serving, write_settings

SMALL_USD = 0.00018  # what a short query is expected to cost at "small"; 0.003 at "large"
BUDGET = Budget(usd=0.004)
SECTION = {"usd_per_request": BUDGET.usd}


def test_a_decision_carries_the_price_of_a_dollar_as_it_stands(open_on_either: OpenRouter) -> None:
    router = open_on_either(budget=SECTION, router={"cost_weight": 7.0})
    weights = []
    for i in range(20):
        expected = compute_cost_weight(router._store.pacing.state, BUDGET)
        made = router.route(f"query {i}")
        assert made.cost_weight == router.decision(made.id).cost_weight == expected
        router.feedback(made.id, quality=0.5, cost_usd=0.02)  # five times the budget
        weights.append(expected)
    assert weights == sorted(set(weights)), "the price did not rise with every call that was too dear"
    router.learn()
    router.route("a")
    report = router.verify()
    assert report.ok, report.problems
    assert report.pmfs_recomputed == 21
    assert report.spent_usd_booked == pytest.approx(0.4 + router.route("b", arms=["small"]).expected_cost_usd)


def test_what_the_caller_would_pay_for_a_reward_wins_over_the_budget(open_router: OpenRouter) -> None:
    router = open_router(budget=SECTION)
    assert router.route("a", cost_weight=3.0).cost_weight == 3.0
    assert router.route("a", cost_weight=0.0).cost_weight == 0.0
    assert router.route("a", cost_weight=None).cost_weight > 0.0


def test_a_budget_that_is_overspent_leaves_the_cheapest_arm_that_will_do(open_router: OpenRouter) -> None:
    router = open_router(budget=SECTION, policy={"name": "uniform"})
    first = router.route("a")
    assert first.eligible == ("large", "small")
    router.feedback(first.id, cost_usd=1.0)
    assert affordable_usd(router._store.pacing.state, BUDGET) == 0.0
    assert {router.route(f"query {i}").eligible for i in range(5)} == {("small",)}
    assert router.route("a", arms=["large"]).eligible == ("large",)
    router.feedback(first.id, cost_usd=None)
    assert router.route("a").eligible == ("large", "small")
    assert router.verify().ok


def test_a_call_has_to_be_within_the_budget_even_if_it_costs_more_than_expected(
    open_on_either: OpenRouter,
) -> None:
    router = open_on_either(budget={"usd_per_request": 0.002}, policy={"name": "uniform"})
    first = router.route("a")  # may cost 3 requests' worth; "large" is expected to be 1.5, and may well be 5
    assert first.eligible == ("small",)
    assert first.excluded == {"large": TOO_DEAR}
    for i in range(5):  # what these leave of the budget is enough for one that is three times as dear
        router.route(f"query {i}", arms=["small"])
    assert router.route("a").eligible == ("large", "small")
    assert router.verify().ok


def test_a_budget_makes_the_dear_arm_less_likely_the_more_was_spent(open_router: OpenRouter) -> None:
    router = open_router(budget={"usd_per_request": 0.1})  # so large that both stay affordable
    shares = []
    for _ in range(4):
        made = router.route("a")
        shares.append(share(made, "large"))
        router.feedback(made.id, cost_usd=0.15)
        router.feedback(made.id, cost_usd=0.12)
    assert shares == sorted(set(shares), reverse=True)


def test_workers_share_one_budget(open_on_either: OpenRouter) -> None:
    one, other = open_on_either(budget=SECTION), open_on_either(budget=SECTION)
    one.feedback(one.route("a").id, cost_usd=1.0)
    other.refresh()
    assert compute_cost_weight(other._store.pacing.state, BUDGET) == compute_cost_weight(
        one._store.pacing.state, BUDGET
    )
    assert other.route("a").eligible == ("small",)
    late = open_on_either(budget=SECTION)
    assert late.route("a").eligible == ("small",), "a new worker began with a fresh budget"
    assert late.verify().ok


def test_a_floor_makes_a_dollar_dear_while_answers_are_better_than_it(open_on_either: OpenRouter) -> None:
    router = open_on_either(budget={"mean_quality": 0.5}, router={"cost_weight": 7.0})
    for quality, direction in ((1.0, 1), (0.0, -1)):
        weights = []
        for i in range(15):
            made = router.route(f"query {quality} {i}", arms=["small"])
            router.feedback(made.id, quality=quality)
            weights.append(made.cost_weight)
        assert direction * (weights[-1] - weights[3]) > 0  # the first costs settle what a request costs
    router.learn()
    report = router.verify()
    assert report.ok, report.problems
    assert report.spent_usd_booked == pytest.approx(30 * SMALL_USD, rel=0.1)


def test_a_floor_excludes_no_arm_and_the_caller_may_name_another_price(open_router: OpenRouter) -> None:
    router = open_router(budget={"mean_quality": 0.5}, policy={"name": "uniform"})
    for i in range(5):
        router.feedback(router.route(f"query {i}").id, quality=0.0, cost_usd=1.0)
    assert router.route("a").eligible == ("large", "small")
    assert router.route("a", cost_weight=3.0).cost_weight == 3.0


def test_a_day_budget_is_kept(open_router: OpenRouter) -> None:
    router = open_router(budget={"usd_per_day": 1.0}, policy={"name": "uniform"})
    made = [router.route(f"query {i}") for i in range(50)]
    assert all(math.isfinite(one.cost_weight) and one.cost_weight > 0.0 for one in made)
    assert made[-1].eligible == ("small",)  # in a few seconds nearly nothing was allowed
    assert router.verify().ok


# -- how it stands --------------------------------------------------------------------------------


def test_how_a_budget_stands_is_the_same_for_every_worker(open_on_either: OpenRouter) -> None:
    one, other = (open_on_either(budget=SECTION) for _ in range(2))
    for i in range(4):
        one.feedback(one.route(f"query {i}").id, cost_usd=0.001)
    late = one.route("not heard of", arms=["small"])
    other.refresh()
    found = other.budget()
    assert found == one.budget()
    assert (found.goal, found.target, found.requests) == ("usd_per_request", BUDGET.usd, 5)
    assert found.spent_usd == pytest.approx(0.004 + late.expected_cost_usd)
    assert found.allowance_usd == pytest.approx(5 * BUDGET.usd)
    assert (found.forgone_usd, found.mean_reward) == (0.0, None)
    assert (
        found.cost_weight
        == compute_cost_weight(one._store.pacing.state, BUDGET)
        == one.route("a").cost_weight
    )


def test_how_a_floor_stands_is_told_in_rewards(open_router: OpenRouter) -> None:
    router = open_router(budget={"mean_quality": 0.8})
    assert router.budget().mean_reward is None
    for quality in (1.0, 0.0, 0.5, 0.9):
        router.feedback(router.route(f"query {quality}").id, quality=quality)
    found = router.budget()
    assert (found.goal, found.target, found.requests) == ("mean_quality", 0.8, 4)
    assert found.mean_reward == pytest.approx(0.6)
    assert found.allowance_usd is found.forgone_usd is found.affordable_usd is None


def test_a_day_budget_grows_while_nobody_asks(open_router: OpenRouter) -> None:
    router = open_router(budget={"usd_per_day": 86_400.0})  # a dollar a second
    sooner, weight = (
        router.budget(),
        compute_cost_weight(router._store.pacing.state, router._store.pacing.goal or BUDGET),
    )
    time.sleep(0.05)
    later = router.budget()
    assert later.goal == "usd_per_day"
    assert (later.allowance_usd or 0.0) >= (sooner.allowance_usd or 0.0) + 0.05
    assert router.route("a").cost_weight < weight


def test_a_worker_without_a_goal_tells_of_the_one_that_others_have(open_router: OpenRouter) -> None:
    one = open_router(budget=SECTION)
    one.route("a")
    assert open_router().budget() == one.budget()


def test_a_closed_router_does_not_tell(open_router: OpenRouter) -> None:
    router = open_router(budget=SECTION)
    router.close()
    with pytest.raises(RouterClosed):
        router.budget()


def test_without_a_goal_the_error_says_how_to_set_one(open_router: OpenRouter) -> None:
    with pytest.raises(NoBudget, match=r"set usd_per_request, usd_per_day or mean_quality under \[budget\]"):
        open_router().budget()


# -- the most a call may cost ---------------------------------------------------------------------


@pytest.mark.parametrize("budget", [{}, SECTION, {"mean_quality": 0.9}], ids=["no goal", "budget", "floor"])
def test_the_most_a_call_may_cost_narrows_the_choice(
    open_router: OpenRouter, budget: dict[str, float]
) -> None:
    router = open_router(budget=budget)
    assert router.route("a", max_cost_usd=0.001).eligible == ("small",)
    assert router.route("a", max_cost_usd=0.1).eligible == ("large", "small")
    assert router.route("a", max_cost_usd=None).eligible == ("large", "small")
    assert router.verify().ok


def test_when_every_arm_costs_more_the_error_names_the_limit(open_router: OpenRouter) -> None:
    with pytest.raises(NoEligibleArm, match=r"small: expected to cost 0\.00018 USD, more than max_cost_usd"):
        open_router().route("a", max_cost_usd=0.0001)


@pytest.mark.parametrize("field", ["max_cost_usd", "cost_weight"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1e10, 10**400, True, "1"])
def test_what_is_no_amount_is_refused_by_name(router: Router, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.route("a", **{field: value})
    assert caught.value.field == field


def test_the_service_takes_the_most_a_call_may_cost(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path, budget=SECTION)) as service:

        def route(**body: Any) -> httpx.Response:
            return httpx.post(f"{service.url}/v1/route", json={"query": "a", **body}, timeout=60.0)

        answer = route(max_cost_usd=0.001)
        assert (answer.json()["arm"], answer.json()["propensity"]) == ("small", 1.0)
        refused = route(max_cost_usd=0.0001)
        assert refused.status_code == 422
        assert "max_cost_usd" in refused.json()["excluded"]["small"]
        for wrong in (-1, 1e10, "1", True):
            problem = route(max_cost_usd=wrong)
            assert problem.status_code == 422, wrong
            assert [error["field"] for error in problem.json()["errors"]] == ["max_cost_usd"]
    with Router.open(load_settings(tmp_path / "router.toml")) as router:
        assert router.verify().spent_usd_booked == pytest.approx(SMALL_USD, rel=0.01)


# -- settings -------------------------------------------------------------------------------------


def test_a_goal_is_a_budget_per_request_or_per_day_or_a_floor() -> None:
    def goal(**section: float) -> Goal | None:
        return make_settings({"budget": section, "reward": {"weights": {"satisfaction": 2.0}}}).goal()

    assert goal() is None
    assert goal(usd_per_request=0.5) == Budget(usd=0.5, per="request")
    assert goal(usd_per_day=5.0) == Budget(usd=5.0, per="day")
    assert goal(mean_quality=0.9) == Floor(reward=0.9, weights={"satisfaction": 2.0})


def test_two_budgets_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match=r"budget: give one of .*, not 2"):
        settings_of("sqlite:///x.db", budget={"usd_per_request": 0.1, "usd_per_day": 5.0})


@pytest.mark.parametrize("key", ["usd_per_request", "usd_per_day"])
@pytest.mark.parametrize("value", [math.nan, -1.0, 0.0, math.inf, 1e10, 1e-10, "much"])
def test_what_is_no_budget_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"budget\.{key}: "):
        make_settings({"budget": {key: value}})


def test_decisions_on_their_way_to_a_commit_count_already(open_router: OpenRouter) -> None:
    """Many are made between two commits; none of them may think that it is the only one."""
    router = open_router(budget={"usd_per_request": 0.0005}, policy={"name": "uniform"})
    requests, dear = [], 0
    for i in range(40):
        requests.append(router._begin(f"query {i}", {}))
        assert isinstance(requests[-1].payload, Decision)
        dear += requests[-1].payload.arm == "large"
    assert 0 < dear <= 6, "the dear arm costs six times the budget of a request"
    before = router._store.pacing.state
    assert before.requests == 40
    for request in requests:
        router._writer.write(request)
    after = router._store.pacing.state
    assert after.requests == 40
    assert after.spent_usd == pytest.approx(before.spent_usd)
    assert router.verify().ok


def test_a_decision_that_is_never_written_is_forgotten(open_router: OpenRouter) -> None:
    router = open_router(budget=SECTION)
    request = router._begin("a", {})
    assert router._store.pacing.state.requests == 1
    router._writer.close()
    with pytest.raises(RouterClosed):
        router._writer.write(request)
    assert router._store.pacing.state.requests == 0
