"""Differences from the logged policy: the estimators' own values, and intervals that cover the truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import OUTCOMES, TargetBlock
from bandit_router.evaluation.contrast import estimate_contrasts
from bandit_router.evaluation.estimators import estimate
from bandit_router.evaluation.estimators.doubly_robust import DR
from bandit_router.policies.bandit import Fixed
from tests.evaluation.worlds import ARMS, always, an_ordinary_log, make_world, softmax

LARGE = {"large": Fixed("large")}
ARM = ARMS.index("large")
COST = OUTCOMES.index("cost_usd")


def test_it_is_the_difference_of_the_two_estimates_in_whatever_pieces() -> None:
    log = an_ordinary_log(missing=0.3)
    target = np.tile(np.eye(len(ARMS))[ARM], (len(log), 1))
    logged, fixed = (estimate([log.with_target(pmf)], {"dr": DR()})["dr"] for pmf in (log.logged, target))
    halves = [log.take(np.arange(200)), log.take(np.arange(200, len(log)))]
    for pieces in ([log], halves):
        contrast = estimate_contrasts(pieces, LARGE)["large"]
        for outcome in OUTCOMES:
            difference, ours, theirs = contrast[outcome], logged[outcome], fixed[outcome]
            assert difference is not None
            assert ours is not None
            assert theirs is not None
            assert difference.value == pytest.approx(ours.value - theirs.value, abs=1e-12)


def test_intervals_cover_the_truth_and_are_narrower_than_two_apart() -> None:
    world = make_world(np.random.default_rng(0))
    behaviour = softmax(4.0 * world.means[..., 0], floor=0.2)
    truth = world.truth(behaviour) - world.truth(always(ARM, len(world.contexts)))
    covered, narrower, seeds = np.zeros(len(OUTCOMES)), 0, 100
    for seed in range(seeds):
        log = world.log(np.random.default_rng(seed), 600, behaviour, behaviour)
        contrast = estimate_contrasts([log], LARGE)["large"]
        figures = [figure for figure in contrast.values() if figure]
        covered += [f.low <= t <= f.high for f, t in zip(figures, truth, strict=True)]
        narrower += figures[COST].standard_error < _error_apart(log)
    assert (covered >= 88).all(), covered  # 95 are expected; fewer than 89 have a chance of 0.004
    assert narrower == seeds


def _error_apart(log: TargetBlock) -> float:
    """The standard error of the difference in cost, were the two estimates independent."""
    target = np.tile(np.eye(len(ARMS))[ARM], (len(log), 1))
    apart = [estimate([log.with_target(pmf)], {"dr": DR()})["dr"]["cost_usd"] for pmf in (log.logged, target)]
    return math.hypot(*(figure.standard_error for figure in apart if figure))


def test_a_policy_that_is_the_logged_one_differs_by_nothing() -> None:
    log = an_ordinary_log()
    certain = np.tile(np.eye(len(ARMS))[ARM], (len(log), 1))
    same = replace(log, logged=certain, action=np.full(len(log), ARM), propensity=np.ones(len(log)))
    for figure in estimate_contrasts([same], LARGE)["large"].values():
        assert figure is not None
        assert (figure.value, figure.standard_error) == (0.0, 0.0)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(InvalidInput, match="log"):
        estimate_contrasts([], LARGE)
