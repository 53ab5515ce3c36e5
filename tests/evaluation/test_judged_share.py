"""A coin with a logged probability decides which answers are judged: estimates weigh rows by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.block import OUTCOMES, TargetBlock
from bandit_router.evaluation.estimators import ESTIMATORS, EstimatorInputs, prepare
from bandit_router.types import FloatArray
from tests.evaluation.worlds import draw, make_block

REWARD = OUTCOMES.index("reward")
N = 40_000
GOOD = np.array([[0.9, 0.6], [0.5, 0.2]])
"""The reward of each arm, of the easy queries of the first half and the hard ones of the second."""


@pytest.fixture(scope="module")
def log() -> TargetBlock:
    """A share of .1 is judged first and .8 later, and people rate 5%. Where it is judged more is explored."""
    rng = np.random.default_rng(4)
    hard = np.arange(N) * 2 // N
    q = np.where(hard, 0.8, 0.1)
    coin = rng.random(N) < q
    logged = np.where(coin[:, None], [0.5, 0.5], [0.9, 0.1])
    action = draw(rng, logged)
    reward = (rng.random(N) < GOOD[hard, action]).astype(np.float64)
    reward[~(coin | (rng.random(N) < 0.05))] = np.nan
    outcomes = np.full((N, len(OUTCOMES)), 0.5)
    outcomes[:, REWARD] = reward
    target = np.tile([0.3, 0.7], (N, 1))
    block = make_block(x=np.ones((N, 1)), logged=logged, action=action, outcomes=outcomes, target=target)
    signals = [
        {"judged_probability": p, "will_be_judged": float(c)} for p, c in zip(q.tolist(), coin, strict=True)
    ]
    return replace(block, signals=tuple(signals))


def weigh(log: TargetBlock) -> FloatArray:
    """The weights that make up for missing rewards (n,)."""
    inputs = EstimatorInputs(log, prepare(log, ()).fit())
    weights: FloatArray = inputs.feedback_weight[:, REWARD]
    return weights


def estimate_ips(log: TargetBlock) -> float:
    estimator = ESTIMATORS["ips"]()
    inputs = EstimatorInputs(log, prepare(log, estimator.needs).fit())
    figure = estimator.estimate(estimator.collect(inputs))["reward"]
    assert figure is not None
    return figure.value


def test_an_estimate_makes_up_for_a_share_that_changes(log: TargetBlock) -> None:
    truth = float((GOOD @ [0.3, 0.7]).mean())
    assert abs(estimate_ips(log) - truth) < 0.015
    assert estimate_ips(replace(log, signals=())) < truth - 0.05


def test_a_weight_is_one_over_the_probability_of_feedback(log: TargetBlock) -> None:
    """ρ = q + (1 − q) · 0.05, for a coin that chose a row has it judged."""
    weights, has_reward = weigh(log), ~np.isnan(log.outcomes[:, REWARD])
    q = np.array([signals["judged_probability"] for signals in log.signals], dtype=np.float64)
    assert (weights[~has_reward] == 0.0).all()
    np.testing.assert_allclose(weights[has_reward], 1.0 / (q + (1 - q) * 0.05)[has_reward], rtol=0.1)
    assert weights.mean() == pytest.approx(1.0, abs=0.03)


def test_without_coins_all_rows_of_an_arm_weigh_alike(log: TargetBlock) -> None:
    plain = replace(log, signals=())
    weights, has_reward = weigh(plain), ~np.isnan(log.outcomes[:, REWARD])
    for arm in range(2):
        of_arm = log.action == arm
        assert set(weights[of_arm & has_reward]) == {of_arm.sum() / (of_arm & has_reward).sum()}


def test_what_is_judged_counts_alike_in_pieces(log: TargetBlock) -> None:
    whole = prepare(log, ()).fit()
    halves = [prepare(log.take(rows), ()) for rows in np.array_split(np.arange(N), 2)]
    pieces = (halves[0] + halves[1]).fit()
    np.testing.assert_array_equal(pieces.drawn_rows, whole.drawn_rows)
    np.testing.assert_array_equal(pieces.drawn_heard, whole.drawn_heard)
