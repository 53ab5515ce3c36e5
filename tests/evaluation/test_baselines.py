"""Baselines that do not look at the query, against a linear program and brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.evaluation.baselines import mix_at_cost, mix_logged_shares, tilt_to_cost
from bandit_router.evaluation.targets import target_pmf
from bandit_router.types import FloatArray
from tests.evaluation.blocks import a_block

UNIT = st.floats(0, 1)
ARMS = st.lists(st.tuples(UNIT, st.floats(0.01, 1)), min_size=1, max_size=6)


def mix_of(value: FloatArray, cost: FloatArray, budget: float) -> FloatArray:
    """The best mix of arms that are always eligible, (K,)."""
    there = np.ones((1, len(value)), dtype=np.bool_)
    found: FloatArray = mix_at_cost(value[None], cost[None], budget, there, np.ones(1))[0]
    return found


def best_of_pairs(value: FloatArray, cost: FloatArray, budget: float) -> float:
    """The best that any two arms can do within the budget: an optimum never needs more."""
    worth = [v for v, c in zip(value, cost, strict=True) if c <= budget]
    for i, j in product(range(len(value)), repeat=2):
        if cost[i] <= budget < cost[j]:
            share = (budget - cost[i]) / (cost[j] - cost[i])
            worth.append((1 - share) * value[i] + share * value[j])
    return float(max(worth))


@given(ARMS, st.floats(0, 1.2))
def test_the_mix_is_the_best_of_all_pairs(arms: list[tuple[float, float]], share: float) -> None:
    value, cost = np.array(arms).T
    budget = cost.min() + share * (cost.max() - cost.min())
    weights = mix_of(value, cost, budget)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ cost <= budget * (1 + 1e-7)
    assert weights @ value == pytest.approx(best_of_pairs(value, cost, budget), abs=1e-6)


def test_below_the_cheapest_arm_there_is_only_the_cheapest() -> None:
    assert mix_of(np.array([0.9, 0.5]), np.array([2.0, 1.0]), 0.5) == pytest.approx([0.0, 1.0], abs=1e-9)


def test_of_equal_arms_the_cheaper_is_taken() -> None:
    assert mix_of(np.array([0.5, 0.5]), np.array([0.01, 0.001]), 0.02) == pytest.approx([0.0, 1.0], abs=1e-9)


def test_a_blind_mix_knows_which_arms_are_eligible() -> None:
    """The dear arm is worth its price and there in a fifth of the queries: all of the budget goes there."""
    value, cost = np.array([[0.5, 0.9], [0.5, 0.9]]), np.array([[0.01, 0.05], [0.01, 0.05]])
    there = np.array([[True, True], [True, False]])
    mix = mix_at_cost(value, cost, 0.014, there, np.array([0.2, 0.8]))
    assert mix == pytest.approx(np.array([[0.5, 0.5], [1.0, 0.0]]))


def test_logged_shares_are_those_of_each_set_of_eligible_arms() -> None:
    block = a_block()
    some, logged = np.arange(len(block)) % 3 == 0, block.logged.copy()
    logged[some, 1] = 0.0
    logged /= logged.sum(axis=1, keepdims=True)
    eligible = logged > 0.0
    block = replace(block, eligible=eligible, logged=logged, action=logged.argmax(axis=1))
    halves = [block.take(np.arange(300)), block.take(np.arange(300, len(block)))]
    dealt = target_pmf(block, mix_logged_shares(halves, block.arms), None)
    for rows in (some, ~some):
        assert dealt[rows] == pytest.approx(np.tile(logged[rows].mean(axis=0), (rows.sum(), 1)))


def tilt(shares: FloatArray, cost: FloatArray, budget: float) -> FloatArray:
    rows = len(shares)
    return tilt_to_cost(shares, cost, budget, np.full(rows, 1 / rows), cost)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), UNIT)
def test_tilting_spends_what_was_asked(seed: int, rows: int, k: int, where: float) -> None:
    rng = np.random.default_rng(seed)
    shares, weight = rng.dirichlet(np.ones(k), rows), rng.dirichlet(np.ones(rows))
    cost = rng.uniform(0.1, 1.0, (rows, k))
    low, high = weight @ cost.min(axis=1), weight @ cost.max(axis=1)
    budget = low + (0.05 + 0.9 * where) * (high - low)
    tilted = tilt_to_cost(shares, cost, budget, weight, cost)
    assert tilted.sum(axis=1) == pytest.approx(1.0)
    assert weight @ (tilted * cost).sum(axis=1) == pytest.approx(budget, rel=0.02)


def test_shares_that_cost_as_much_already_stay() -> None:
    shares, cost = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[1.0, 2.0], [1.0, 3.0]])
    budget = (shares * cost).sum(axis=1).mean()
    assert tilt(shares, cost, budget) == pytest.approx(shares, abs=1e-9)


def test_an_arm_without_a_share_gets_none() -> None:
    assert tilt(np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]]), 1.0).tolist() == [[0.0, 1.0]]
