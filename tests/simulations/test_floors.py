"""What the figures about floors are made of, on a world small enough to know."""

from __future__ import annotations

import numpy as np
import pytest

from bandit_router.evaluation.simulation.simulate import Plan
from simulations.budgets import SETTLED
from simulations.floors import cheapest_mix_usd, floors_grid, make_floors, play_floor
from tests.simulations.worlds import an_easy_stream


def test_the_cheapest_mix_is_drawn_from_two_models() -> None:
    stream = an_easy_stream(300)
    quality, cost = stream.quality.mean(axis=0), stream.cost_usd.mean(axis=0)
    low, high = cost.argmin(), quality.argmax()
    share = 0.25
    floor = (1 - share) * quality[low] + share * quality[high]
    assert cheapest_mix_usd(stream, float(floor)) <= (1 - share) * cost[low] + share * cost[high] + 1e-12
    assert cheapest_mix_usd(stream, float(quality[low])) == pytest.approx(cost[low])


def test_floors_lie_between_the_cheapest_and_the_best() -> None:
    stream = an_easy_stream(300)
    quality, cost = stream.quality.mean(axis=0), stream.cost_usd.mean(axis=0)
    assert quality[cost.argmin()] <= make_floors(stream)[0] <= make_floors(stream)[-1] <= quality.max()


def test_whoever_reads_the_query_keeps_a_floor_for_less_than_a_blind_mix() -> None:
    plan = Plan(stream=an_easy_stream(2 * SETTLED), cost_weight=0.0, seeds=1)
    floor = make_floors(plan.stream)[-1]
    kept = play_floor(plan, floor, cheapest_mix_usd(plan.stream, floor), 0)
    assert kept.least > -0.01
    assert kept.below == 0.0
    assert 0.0 < kept.late_cost < 0.5
    shown = floors_grid("easy", {floor: [kept]})
    assert [row.cells[0] for row in shown.rows] == [f"{floor:.3f}"]


def test_a_draw_on_which_no_model_reaches_the_floor_is_judged_all_the_same() -> None:
    stream = an_easy_stream(300)
    plan, floor = Plan(stream=stream, cost_weight=0.0, queries=12), make_floors(stream)[-1]
    least_usd = cheapest_mix_usd(stream, floor)
    best = [plan.draw(seed)[0].quality.mean(axis=0).max() for seed in range(100)]
    unlucky = int(np.argmin(best))
    assert best[unlucky] < floor
    assert play_floor(plan, floor, least_usd, unlucky).cost > 0.0
