"""Logs in memory: the blocks of a world, as a reader would give them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from bandit_router.evaluation.block import Block, TargetBlock
from bandit_router.evaluation.splits import FOLDS
from bandit_router.posterior.arm_priors import make_level_prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.settings.learning import PosteriorSection
from tests.evaluation.worlds import ARMS, always, make_world, softmax


@dataclass(frozen=True)
class InMemory:
    """A piece of a log that is there already."""

    block: Block

    def read(self) -> Block:
        return self.block


def block_of(log: TargetBlock, *, cost_weight: float = 0.0) -> Block:
    """The log without its target, one row every second, with expected costs of 1e-4 · 4^k USD."""
    n, k = log.logged.shape
    logged = {f.name: getattr(log, f.name) for f in fields(Block)}
    expected = np.where(log.eligible, 1e-4 * 4.0 ** np.arange(k), 0.0)
    return Block(**logged | {"expected_cost_usd": expected, "cost_weight": np.full(n, cost_weight)})


def split(block: Block, size: int) -> Iterator[InMemory]:
    """The block in pieces of ``size`` rows."""
    for start in range(0, len(block), size):
        yield InMemory(block.take(np.arange(start, min(start + size, len(block)))))


def a_block(seed: int = 0, n: int = 600, *, uniform: bool = False, cost_weight: float = 0.0) -> Block:
    """A log of a small world by a skewed policy with a floor, or a uniform one."""
    rng = np.random.default_rng(seed)
    world = make_world(rng)
    shape = world.means.shape[:2]
    behaviour = np.full(shape, 1 / len(ARMS)) if uniform else softmax(rng.standard_normal(shape), floor=0.2)
    block = world.log(rng, n, behaviour, always(0, shape[0]))
    assert block.fold.max() == FOLDS - 1
    return block_of(block, cost_weight=cost_weight)


def signalled(block: Block) -> Block:
    """The same rows with a score of complexity, what a classifier says, and a tier for most."""
    tiers = ("premium", "standard", "free", None)
    score = np.random.default_rng(5).random(len(block)).tolist()
    made = [
        {"complexity": s, "p_complex": 1.0 - s} | ({"tier": t} if (t := tiers[i % 4]) else {})
        for i, s in enumerate(score)
    ]
    return replace(block, signals=tuple(made))


def a_prior(dim: int = 3) -> SufficientStatistics:
    """What the router of these logs believed before any reward."""
    prior = make_level_prior(PosteriorSection(weight_std=0.3), dim)
    return SufficientStatistics.empty(dict.fromkeys(ARMS, prior), schema_id="test", noise_variance=0.09)
