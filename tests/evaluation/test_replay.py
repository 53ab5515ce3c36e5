"""Replay against the policy run live in the same world, with a biased variant that must fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bandit_router.decide import score
from bandit_router.errors import InvalidInput
from bandit_router.evaluation.logs.block import Block
from bandit_router.evaluation.replay import bound_of, replay
from bandit_router.policies import parse_policy, sample
from bandit_router.policies.bandit import LinUCB
from tests.evaluation.blocks import a_block, a_prior, block_of, split
from tests.evaluation.worlds import ARMS, World, always, make_world, softmax

FIRST = 100
POLICY = LinUCB(alpha=0.5, epsilon=0.1)


@dataclass(frozen=True)
class Live:
    """Mean reward of the policy over its first FIRST events, over many runs."""

    mean: float
    error: float


def live(world: World, runs: int) -> Live:
    """The policy learns in the world itself: the truth that a replay has to find."""
    earned = []
    for seed in range(runs):
        rng, posterior, total = np.random.default_rng([1, seed]), a_prior(), 0.0
        for _ in range(FIRST):
            c = rng.integers(len(world.contexts), size=1)
            x = world.contexts[c[0]]
            scores = score(posterior, ARMS, x, [0.0] * len(ARMS), 0.0)
            action = sample(POLICY.pmf(scores), rng)
            reward = float(world.outcomes(rng, c, np.array([action]))[0, 0])
            posterior.observe(ARMS[action], x, reward)
            total += reward
        earned.append(total / FIRST)
    return Live(float(np.mean(earned)), float(np.std(earned) / np.sqrt(runs)))


def replayed(world: World, runs: int, *, uniform: bool, bound: float | None = None) -> Live:
    """The mean over the first FIRST retained events of many logs."""
    shape, earned = world.means.shape[:2], []
    for seed in range(runs):
        rng = np.random.default_rng([2, seed])
        skewed = softmax(2.0 * np.random.default_rng(7).standard_normal(shape), floor=0.3)
        behaviour = np.full(shape, 1 / len(ARMS)) if uniform else skewed
        block = block_of(world.log(rng, 3000, behaviour, always(0, shape[0])))
        found = _first_rewards(block, rng, bound or bound_of([block]))
        earned.append(found)
    return Live(float(np.mean(earned)), float(np.std(earned) / np.sqrt(runs)))


def _first_rewards(block: Block, rng: np.random.Generator, bound: float) -> float:
    """The mean reward when the log ends at its FIRST-th retained event, found by its length."""
    low, high = FIRST, len(block)
    seed = int(rng.integers(2**32))

    def at(n: int) -> tuple[int, float]:
        part = next(split(block, n)).read()
        again = np.random.default_rng(seed)
        found = replay([part], POLICY, a_prior(), bound=bound, rng=again)
        figure = found.figures["reward"]
        return found.retained, figure.value if figure else 0.0

    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle)[0] < FIRST else (low, middle)
    retained, value = at(low)
    assert retained == FIRST
    return value


@pytest.mark.parametrize("uniform", [True, False])
def test_a_replay_earns_what_the_policy_earns_live(uniform: bool) -> None:
    """Within 4 standard errors of the difference, which a right method leaves once in 16,000 times."""
    world = make_world(np.random.default_rng(3))
    truth, found = live(world, 150), replayed(world, 40, uniform=uniform)
    assert abs(truth.mean - found.mean) < 4 * np.hypot(truth.error, found.error)


def test_replay_of_a_skewed_log_as_if_it_were_uniform_is_wrong() -> None:
    """The negative control: e is set to 1/K where it is not, and the same check fails."""
    world = make_world(np.random.default_rng(3))
    truth, errors = live(world, 150), []
    shape = world.means.shape[:2]
    # A log that tries the arms where they are good: its rewards look fine, and are not the policy's.
    knowing = softmax(6.0 * world.means[..., 0], floor=0.1)
    for seed in range(40):
        rng = np.random.default_rng([2, seed])
        block = block_of(world.log(rng, 3000, knowing, always(0, shape[0])))
        block.logged[:], block.propensity[:] = 1 / len(ARMS), 1 / len(ARMS)
        errors.append(_first_rewards(block, rng, float(len(ARMS))))
    wrong = Live(float(np.mean(errors)), float(np.std(errors) / np.sqrt(40)))
    assert abs(truth.mean - wrong.mean) > 4 * np.hypot(truth.error, wrong.error)


def test_a_uniform_log_retains_one_event_in_as_many_as_there_are_arms() -> None:
    block = a_block(n=4000, uniform=True)
    found = replay([block], POLICY, a_prior(), bound=bound_of([block]), rng=np.random.default_rng(0))
    assert found.bound == pytest.approx(4.0)
    assert found.events == 4000
    assert abs(found.retained - 1000) < 4 * np.sqrt(4000 * 0.25 * 0.75)
    assert found.shares.sum() == pytest.approx(1.0)


def test_pieces_make_no_difference() -> None:
    block = a_block(n=500)
    parts = [piece.read() for piece in split(block, 500)], [piece.read() for piece in split(block, 77)]
    one, many = (
        replay(some, POLICY, a_prior(), bound=bound_of(some), rng=np.random.default_rng(5)) for some in parts
    )
    assert one.retained == many.retained
    assert one.figures == many.figures


def test_feedback_that_never_came_is_not_a_reward_of_zero() -> None:
    block = a_block(n=2000, uniform=True)
    block.outcomes[::2] = np.nan
    found = replay([block], parse_policy("uniform"), a_prior(), bound=4.0, rng=np.random.default_rng(0))
    reward = found.figures["reward"]
    assert reward is not None
    assert reward.rows < found.retained
    assert reward.value > 0.3
    block.outcomes[:] = np.nan
    empty = replay([block], parse_policy("uniform"), a_prior(), bound=4.0, rng=np.random.default_rng(0))
    assert empty.figures == {"reward": None, "quality": None, "cost_usd": None}


def test_a_log_that_cannot_be_replayed_is_refused() -> None:
    block = a_block(n=50)
    block.logged[0, 1] = 0.0
    assert bound_of([block]) == np.inf
    with pytest.raises(InvalidInput, match="floor"):
        replay([block], POLICY, a_prior(), bound=np.inf, rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="raise it"):
        replay([block], parse_policy("fixed:small"), a_prior(), bound=1.0, rng=np.random.default_rng(0))
