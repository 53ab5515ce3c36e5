"""What choices from labels gain by tasks, on a world small enough to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.simulation.simulate import Plan
from simulations.task_estimates import IN_HINDSIGHT, EstimateCase, choose_from_labels, estimate_grid
from tests.simulations.test_tasks import a_stream_of_two_tasks

TRADE = 0.5


def test_rewards_or_costs_that_know_the_task_gain_what_there_is() -> None:
    """Each arm is right on its own task: half the queries. At the same quality, each is dear on its own."""
    right = a_stream_of_two_tasks()
    alike = replace(right, quality=np.ones_like(right.quality), cost_usd=0.001 * (1.0 + right.quality))
    for stream, knowing, gain in ((right, "rewards", 0.5), (alike, "costs", 0.5 * TRADE / 1.5)):
        plan = Plan(stream=stream, cost_weight=0.0, labelled=100)
        gains = choose_from_labels(stream, plan, (TRADE,), 0)
        other = {"rewards": "costs", "costs": "rewards"}[knowing]
        there = gains[EstimateCase(TRADE, IN_HINDSIGHT)]
        assert there == pytest.approx(gain, rel=0.15)
        for knows in (knowing, "both"):
            assert gains[EstimateCase(TRADE, knows)] == pytest.approx(there, rel=0.01)
        for ignores in ("nothing", other):
            assert abs(gains[EstimateCase(TRADE, ignores)]) < 0.1 * gain
        grid = estimate_grid({"two": {case: np.array([g]) for case, g in gains.items()}}, TRADE, 100)
        assert f"{gains[EstimateCase(TRADE, 'both')]:+.4f}" in {row.cells[1] for row in grid.rows}
