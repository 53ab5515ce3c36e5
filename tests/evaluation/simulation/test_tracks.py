"""Contenders on a stream: what they earn, and what the baselines are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.simulation.events import apply_events, parse_event
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import (
    BLOCKS,
    best_fixed_arm,
    fixed_choice,
    make_track,
    mixed_choice,
    shuffled_choice,
    uniform_choice,
)
from bandit_router.types import FloatArray
from tests.evaluation.simulation.streams import a_stream

LAMBDA = 30.0


def a_router(stream: Stream) -> FloatArray:
    """Knows everything and takes the best arm of each query."""
    best = (stream.quality - LAMBDA * stream.cost_usd).argmax(axis=1)
    choice: FloatArray = np.eye(len(stream.arms))[best]
    return choice


def cost(stream: Stream, choice: FloatArray) -> float:
    return float((choice * stream.cost_usd).sum(axis=1).mean())


def test_a_track_adds_up_what_was_chosen() -> None:
    stream = a_stream(40)
    best = fixed_choice(stream, best_fixed_arm(stream, LAMBDA))
    utility = stream.quality - LAMBDA * stream.cost_usd
    found = make_track(stream, a_router(stream), LAMBDA, (best * utility).sum(axis=1))
    earned = utility.max(axis=1)
    assert found.utility == pytest.approx(earned.mean())
    assert found.utility == pytest.approx(found.quality - LAMBDA * found.cost_usd)
    assert found.last == pytest.approx(earned[-10:].mean())
    assert found.gap == pytest.approx(utility.mean(axis=0).max() * 40 - earned.sum())
    assert found.curve[-1] == found.gap
    assert found.shares.shape == (BLOCKS, 3)
    assert found.shares.mean(axis=0) == pytest.approx(a_router(stream).mean(axis=0))


def test_the_best_fixed_model_has_no_gap() -> None:
    stream = a_stream(50)
    k = best_fixed_arm(stream, LAMBDA)
    utility = (stream.quality - LAMBDA * stream.cost_usd)[:, k]
    assert make_track(stream, fixed_choice(stream, k), LAMBDA, utility).gap == 0.0
    assert k == int((stream.quality - LAMBDA * stream.cost_usd).mean(axis=0).argmax())


def test_a_fixed_arm_that_is_away_is_replaced_by_any_other() -> None:
    stream = apply_events(a_stream(10), [parse_event("join:large@4")])
    choice = fixed_choice(stream, 2)
    assert choice[:4].tolist() == [[0.5, 0.5, 0.0]] * 4
    assert choice[4:].tolist() == [[0.0, 0.0, 1.0]] * 6
    np.testing.assert_array_equal(uniform_choice(stream)[:4], choice[:4])


@pytest.mark.parametrize("n", [1, 7, 25, 30, 60, 401])
def test_the_blind_baselines_cost_what_the_router_costs(n: int) -> None:
    stream = a_stream(n)
    router = a_router(stream)
    assert cost(stream, mixed_choice(stream, cost(stream, router))) <= cost(stream, router) * (1 + 1e-9)
    dealt = shuffled_choice(stream, router)
    assert dealt.sum(axis=1) == pytest.approx(1.0)
    if n > 20:  # one query may leave no other way to spend as much
        assert cost(stream, dealt) == pytest.approx(cost(stream, router), rel=0.02)


def test_the_blind_baselines_cost_what_the_router_costs_when_arms_join() -> None:
    stream = apply_events(a_stream(200), [parse_event("join:large@105"), parse_event("price:medium@50=0.2")])
    router = a_router(replace(stream, quality=np.where(stream.eligible, stream.quality, -1.0)))
    assert (router * ~stream.eligible).sum() == 0
    for blind in (mixed_choice(stream, cost(stream, router)), shuffled_choice(stream, router)):
        assert (blind * ~stream.eligible).sum() == 0
        assert cost(stream, blind) == pytest.approx(cost(stream, router), rel=0.01)


def test_dealing_choices_to_other_queries_costs_a_router_that_looks_and_nobody_else() -> None:
    stream = a_stream(2000)
    router = a_router(stream)
    lost = ((router - shuffled_choice(stream, router)) * stream.quality).sum(axis=1).mean()
    assert lost > 0.05
    blind = np.tile([0.2, 0.3, 0.5], (2000, 1))
    np.testing.assert_allclose(shuffled_choice(stream, blind), blind, atol=0.02)
