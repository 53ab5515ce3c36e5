"""Baselines that do not look at the query, against a linear program and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from bandit_router.evaluation.blind import mix_at_cost, tilt_to_cost

UNIT = st.floats(0, 1)
ARMS = st.lists(st.tuples(UNIT, st.floats(0.01, 1)), min_size=1, max_size=6)


@given(ARMS, st.floats(0, 1.2))
def test_the_mix_solves_the_linear_program(arms: list[tuple[float, float]], share: float) -> None:
    value, cost = np.array(arms).T
    budget = cost.min() + share * (cost.max() - cost.min())
    weights = mix_at_cost(value, cost, budget)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ cost <= budget + 1e-9
    ones = np.ones((1, len(arms)))
    best = linprog(-value, A_ub=cost[None, :], b_ub=[budget + 1e-12], A_eq=ones, b_eq=[1.0])
    assert weights @ value == pytest.approx(-best.fun, abs=1e-8)


def test_below_the_cheapest_arm_there_is_only_the_cheapest() -> None:
    assert mix_at_cost(np.array([0.9, 0.5]), np.array([2.0, 1.0]), 0.5).tolist() == [0.0, 1.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), UNIT)
def test_tilting_spends_what_was_asked(seed: int, rows: int, k: int, where: float) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(k), rows)
    cost = rng.uniform(0.1, 1.0, (rows, k))
    low, high = cost.min(axis=1).mean(), cost.max(axis=1).mean()
    budget = low + (0.05 + 0.9 * where) * (high - low)
    tilted = tilt_to_cost(shares, cost, budget)
    assert tilted.sum(axis=1) == pytest.approx(1.0)
    assert (tilted * cost).sum(axis=1).mean() == pytest.approx(budget, rel=0.02)


def test_shares_that_cost_as_much_already_stay() -> None:
    shares, cost = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[1.0, 2.0], [1.0, 3.0]])
    budget = (shares * cost).sum(axis=1).mean()
    assert tilt_to_cost(shares, cost, budget) == pytest.approx(shares, abs=1e-9)


def test_an_arm_without_a_share_gets_none() -> None:
    assert tilt_to_cost(np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]]), 1.0).tolist() == [[0.0, 1.0]]
