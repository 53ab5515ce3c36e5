"""What is picked to label is what its formula says, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from bandit_router.evaluation.simulation.simulate import Plan
from simulations.pick import WAYS, make_grid, measure, pick_queries, weigh_decisions
from tests.simulations.worlds import LAMBDA, an_easy_stream

NOISE = 0.3


def test_each_pick_leaves_the_least_weighted_variance() -> None:
    rng = np.random.default_rng(0)
    x, weight, precision = rng.normal(size=(40, 4)), rng.random(40), np.array([0.5, 1.0, 2.0, 4.0])
    labelled = [7, 3]
    picked = pick_queries(
        x,
        3,
        prior_precision=precision,
        noise_variance=NOISE,
        weight=weight,
        labelled=np.array(labelled),
    )

    def variance_left(rows: list[int]) -> float:
        covariance = np.linalg.inv(np.diag(precision) + x[rows].T @ x[rows] / NOISE)
        return float(weight @ np.einsum("nd,de,ne->n", x, covariance, x))

    for row in picked.tolist():
        best = min((i for i in range(40) if i not in labelled), key=lambda i: variance_left([*labelled, i]))
        assert row == best
        labelled.append(row)


def test_a_weight_is_the_slope_of_the_expected_loss() -> None:
    utility, std = np.array([[0.6, 0.5, 0.1]]), np.array([[0.1, 0.2, 0.3]])

    def loss(variance: float, difference: float) -> float:
        """The mean of what is lost where the best arm is the worse one."""
        s = variance**0.5
        return float(quad(lambda d: -d * norm.pdf(d, difference, s), -8.0 * s, 0.0)[0])

    slopes = []
    for other in (1, 2):
        variance = float(std[0, 0] ** 2 + std[0, other] ** 2)
        difference = float(utility[0, 0] - utility[0, other])
        slopes.append((loss(variance + 1e-5, difference) - loss(variance - 1e-5, difference)) / 2e-5)
    factor = 2.0 * np.sqrt(2.0 * np.pi)
    assert weigh_decisions(utility, std)[0] == pytest.approx(max(slopes) * factor, rel=1e-4)


def test_every_way_is_measured_beside_none() -> None:
    plan = Plan(stream=an_easy_stream(400), cost_weight=LAMBDA, seeds=1, labelled=200)
    worth = measure(plan, [60], 0)
    assert set(worth) == {("cold", 0), *((way, 60) for way in WAYS)}
    assert min(worth[way, 60].learning for way in WAYS) > worth["cold", 0].learning
    [first, *_] = make_grid("easy", plan, [worth, measure(plan, [60], 1)]).rows
    assert first.cells[:2] == ("60", "random")
