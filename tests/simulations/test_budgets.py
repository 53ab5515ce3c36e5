"""What the figures about budgets are made of, on a world small enough to know."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.types import BoolArray, FloatArray, Signals
from simulations.budgets import (
    ROUTER,
    SETTLED,
    Spent,
    budgets_grid,
    missed_bars,
    play_budget,
    play_budgets,
    price_cut,
    running_average,
)
from tests.simulations.worlds import an_easy_stream

KEPT = "as it is"


class Always:
    """Takes one arm whatever it costs."""

    arm: ClassVar[int] = 2

    def __init__(self, setting: Setting) -> None:
        del setting

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del x, eligible, expected_cost_usd, signals, task
        return self.arm

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None: ...


def a_plan(n: int = 2 * SETTLED, seeds: int = 1) -> Plan:
    """Large costs 0.002 USD, medium half, small a twentieth; each is good at a third of the queries."""
    return Plan(stream=an_easy_stream(n), cost_weight=0.0, seeds=seeds)


def test_the_average_is_that_of_all_requests_so_far() -> None:
    cost = np.array([4.0, 0.0, 2.0, 2.0])
    assert running_average(cost, 2.0).tolist() == [1.0, 1.0]  # (4 + 0 + 2) / 6 and 8 / 8
    assert len(running_average(np.ones(3 * SETTLED), 1.0)) == 2 * SETTLED + 1


def test_whoever_ignores_a_budget_is_seen_to_be_over_it() -> None:
    found = play_budget(a_plan(), Always, 0.001, 0)
    assert found[1:] == pytest.approx((2.0, 2.0, 2.0, 1.0))
    assert list(missed_bars({KEPT: {ROUTER: [found]}})) == [
        "as it is: over by 1% at some time on 1 of 1 seeds"
    ]


def test_the_price_cut_is_half_way_and_of_the_dearest_model() -> None:
    stream = a_plan().stream
    assert str(price_cut(stream, 2000)) == "event price:large@1000=0.1"


def test_the_router_keeps_the_budget_and_everyone_is_there() -> None:
    found = play_budgets(a_plan(), [0.0008], jobs=1)
    assert set(found) == {0.0008}
    for runs in found[0.0008].values():
        assert set(runs) == {ROUTER, "paretobandit", "paretobandit, α = 0.3"}
        (router,) = runs[ROUTER]
        assert router.most <= 1.01
        assert router.quality > 0.5, "uniform random has 0.37"
    kept, cut = found[0.0008].values()
    assert cut[ROUTER][0].quality > kept[ROUTER][0].quality, "a cheaper model buys nothing"


def test_what_is_missed_is_named_and_what_is_met_is_not() -> None:
    good = Spent(quality=0.9, end=1.0, most=1.008, least=0.99, over=0.0)
    peer = good._replace(quality=0.95, most=1.2)
    assert list(missed_bars({KEPT: {ROUTER: [good], "peer": [good, peer._replace(quality=0.8)]}})) == []
    assert list(missed_bars({KEPT: {ROUTER: [good], "peer": [peer]}})) == [
        "as it is: quality 0.9000, 0.9500 for peer"
    ]
    shown = budgets_grid("easy", {KEPT: {ROUTER: [good]}, "price cut": {"peer": [good, peer]}}).rows
    assert shown[0].cells == (ROUTER, "0.9000", "1.000", "0.990", "1.008", "1.008", "0.00%")
    assert shown[1].cells[0] == "peer, cut"
    assert shown[1].cells[4:6] == ("1.104", "1.200")
