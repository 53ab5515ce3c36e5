"""Do 95% intervals contain the truth 95 times in 100? 400 logs of each kind, with fixed seeds.

The number of intervals out of 400 that contain the truth is binomial: its standard deviation is 1.1 points
at 95%. So an estimator that covers exactly 95% falls outside 92–98% with probability 0.6%.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from bandit_router.evaluation.block import OUTCOMES, TargetBlock
from bandit_router.evaluation.estimators import ESTIMATORS, estimate
from bandit_router.types import FloatArray
from tests.evaluation.worlds import always, make_world, softmax

LOGS = 400


class Coverage(NamedTuple):
    """Of the intervals of one estimator, by outcome: the share with the truth inside, and the mean width."""

    share: FloatArray
    width: FloatArray


def coverage(logs: Iterable[TargetBlock], truth: FloatArray, names: tuple[str, ...]) -> dict[str, Coverage]:
    inside = {name: np.zeros((LOGS, len(OUTCOMES))) for name in names}
    width = {name: np.zeros((LOGS, len(OUTCOMES))) for name in names}
    for i, log in enumerate(logs):
        for name, found in estimate([log], {name: ESTIMATORS[name]() for name in names}).items():
            for m, figure in enumerate(found.values()):
                if figure is not None:  # no interval contains nothing
                    inside[name][i, m] = figure.low <= truth[m] <= figure.high
                    width[name][i, m] = figure.high - figure.low
    return {name: Coverage(inside[name].mean(axis=0), width[name].mean(axis=0)) for name in names}


@cache
def on_independent_rows(missing: float) -> dict[str, Coverage]:
    """K = 4, n = 2,000: a skewed fixed policy beside a sharper one that differs from it."""
    rng = np.random.default_rng(20)
    world = make_world(rng)
    behaviour = softmax(rng.standard_normal(world.means.shape[:2]), floor=0.1)
    target = softmax(6.0 * world.means[..., 0], floor=0.02)
    logs = [world.log(rng, 2000, behaviour, target) for _ in range(LOGS)]
    for log in logs:  # half as often where the first arm answered
        log.outcomes[rng.random(2000) < missing * np.array([0.5, 1.0, 1.0, 1.0])[log.action]] = np.nan
    return coverage(logs, world.truth(target), ("ips", "snips", "dr", "stabilised-dr"))


@pytest.mark.parametrize("missing", [0.0, 0.5])
@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_on_independent_rows_cover_the_truth(name: str, missing: float) -> None:
    share = on_independent_rows(missing)[name].share
    assert (share >= 0.92).all(), share
    assert (share <= 0.98).all(), share


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_stabilised_intervals_on_independent_rows_cover_the_truth(missing: float) -> None:
    """They may be somewhat wide: the larger of two variances counts."""
    found = on_independent_rows(missing)
    assert (found["stabilised-dr"].share >= 0.92).all()
    assert (found["stabilised-dr"].width <= 1.4 * found["dr"].width).all()


def test_doubly_robust_intervals_are_hardly_wider_than_snips() -> None:
    found = on_independent_rows(0.0)
    assert (found["dr"].width <= 1.1 * found["snips"].width).all()


@cache
def on_a_learning_policy() -> dict[str, Coverage]:
    """T = 1,000 rows of linear Thompson sampling from scratch, floor 0.02, beside the arm that loses."""
    rng = np.random.default_rng(40)
    world = make_world(rng, contexts=4, d=2)
    loser = int(world.means[..., 0].mean(axis=0).argmin())
    target = always(loser, 4)
    logs = [world.thompson_log(rng, 1000, target, floor=0.02, batch=20) for _ in range(LOGS)]
    return coverage(logs, world.truth(target), ("ips", "stabilised-dr"))


def test_stabilised_intervals_for_a_losing_arm_cover_the_truth() -> None:
    share = on_a_learning_policy()["stabilised-dr"].share
    assert (share >= 0.92).all(), share


def test_plain_intervals_for_a_losing_arm_do_not() -> None:
    """Or the test above would show nothing."""
    assert (on_a_learning_policy()["ips"].share < 0.90).all()
