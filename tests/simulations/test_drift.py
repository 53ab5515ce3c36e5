"""What happens half way, and how far behind the best fixed model of each period a policy is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, simulate
from bandit_router.evaluation.simulation.tracks import POINTS
from simulations.drift import best_fixed_between, gap_per_query, make_drifts
from tests.simulations.worlds import LAMBDA, an_easy_stream

CHANGE = POINTS // 2 - 1


def test_the_price_cut_and_the_degraded_model_are_found() -> None:
    stream = an_easy_stream(400)
    stream = replace(stream, quality=np.tile([0.5, 0.89, 0.9], (400, 1)))
    found = make_drifts(stream, 30.0, 400)  # λ · cost is .003, .03 and .06, so that medium is the best
    price, quality = found["price"].event, found["quality"].event
    assert (price.kind, price.arm, price.value) == ("price", "large", "0.1")
    assert (quality.kind, quality.arm, quality.value) == ("quality", "medium", "small")
    assert price.at == quality.at == pytest.approx(200, abs=4)


def test_gaps_are_those_of_the_queries_themselves() -> None:
    event = make_drifts(an_easy_stream(400), LAMBDA, 400)["quality"].event
    plan = Plan(stream=an_easy_stream(400), cost_weight=LAMBDA, seeds=2, events=(event,))
    with workers(1):
        simulation = simulate(plan, {"policy": RouterMaker("fixed:large")})
    found = gap_per_query(simulation, simulation.named("policy"), CHANGE, -1)
    for seed in range(2):
        stream, _, _ = plan.draw(seed)
        after = (stream.quality - LAMBDA * stream.cost_usd)[event.at :]
        assert found[seed] == pytest.approx(after.mean(axis=0).max() - after[:, 2].mean())


def test_the_best_of_a_period_is_not_behind_in_it() -> None:
    plan = Plan(stream=an_easy_stream(400), cost_weight=LAMBDA, seeds=1)
    with workers(1):
        simulation = simulate(plan, {})
    for start, end in ((None, CHANGE), (CHANGE, -1)):
        best = simulation.named(f"fixed:{best_fixed_between(simulation, start, end)}")
        assert gap_per_query(simulation, best, start, end) == pytest.approx([0.0])
