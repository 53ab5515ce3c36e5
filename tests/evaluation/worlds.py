"""Worlds whose truth is known exactly, and the logs that policies make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.evaluation.block import TargetBlock
from bandit_router.evaluation.splits import FOLDS
from bandit_router.policies import POLICIES
from bandit_router.policies.gaussian_argmax import argmax_probabilities
from bandit_router.types import FloatArray, IntArray

ARMS = ("small", "medium", "large", "huge")

ARMED = {
    "fixed": "fixed:large",
    "caller": "caller:otherwise=large",
    "heuristic": "heuristic:cheap=small,expensive=large",
    "classifier": "classifier:cheap=small,expensive=large",
    "cascade": "cascade:cheap=small,expensive=large",
    "tier": "tier:premium=large,standard=[heuristic:cheap=small,expensive=medium],else=[thompson]",
}
SPECS = {name: ARMED.get(name, name) for name in POLICIES}
"""A spec of every registered policy, over the first three arms."""


@dataclass(frozen=True, kw_only=True)
class World:
    """C equally likely contexts, and what every arm earns there on average.

    ``contexts`` (C, d) and ``means`` (C, K, M). Rewards are 0 or 1, qualities Gaussian around their mean,
    costs skewed: three outcomes of different shape and scale.
    """

    contexts: FloatArray
    means: FloatArray

    def truth(self, policy: FloatArray) -> FloatArray:
        """The value (M,) of a policy (C, K)."""
        value: FloatArray = np.einsum("ck,ckm->m", policy, self.means) / len(self.contexts)
        return value

    def outcomes(self, rng: np.random.Generator, c: IntArray, action: IntArray) -> FloatArray:
        """Outcomes (n, M) of actions (n,) in contexts (n,)."""
        mean = self.means[c, action]
        reward = (rng.random(len(c)) < mean[:, 0]).astype(np.float64)
        quality = mean[:, 1] + 0.2 * rng.standard_normal(len(c))
        return np.column_stack([reward, quality, mean[:, 2] * rng.gamma(4.0, 0.25, len(c))])

    def log(self, rng: np.random.Generator, n: int, behaviour: FloatArray, target: FloatArray) -> TargetBlock:
        """n independent rows of a fixed behaviour policy beside a target policy, both (C, K)."""
        c = rng.integers(len(self.contexts), size=n)
        action = draw(rng, behaviour[c])
        return make_block(
            x=self.contexts[c],
            logged=behaviour[c],
            action=action,
            outcomes=self.outcomes(rng, c, action),
            target=target[c],
        )

    def thompson_log(
        self, rng: np.random.Generator, n: int, target: FloatArray, *, floor: float, batch: int
    ) -> TargetBlock:
        """n rows of linear Thompson sampling that starts from nothing and learns after every batch."""
        k, d = self.means.shape[1], self.contexts.shape[1]
        precision, cross = np.tile(np.eye(d), (k, 1, 1)), np.zeros((k, d))
        c, logged = rng.integers(len(self.contexts), size=n), np.empty((n, k))
        action, outcomes = np.empty(n, dtype=np.int64), np.empty((n, self.means.shape[2]))
        for start in range(0, n, batch):
            rows = np.arange(start, min(start + batch, n))
            covariance = np.linalg.inv(precision)
            mean = self.contexts @ np.einsum("kde,ke->dk", covariance, cross)
            std = 0.5 * np.sqrt(np.einsum("cd,kde,ce->ck", self.contexts, covariance, self.contexts))
            wins = np.array([argmax_probabilities(m, s) for m, s in zip(mean, std, strict=True)])
            logged[rows] = ((1 - floor) * wins + floor / k)[c[rows]]
            action[rows] = draw(rng, logged[rows])
            outcomes[rows] = self.outcomes(rng, c[rows], action[rows])
            for arm in range(k):
                seen = rows[action[rows] == arm]
                x = self.contexts[c[seen]]
                precision[arm] += x.T @ x
                cross[arm] += outcomes[seen, 0] @ x
        return make_block(
            x=self.contexts[c], logged=logged, action=action, outcomes=outcomes, target=target[c]
        )


def make_world(rng: np.random.Generator, contexts: int = 16, d: int = 3) -> World:
    """A world where the best arm depends on the context, and not quite linearly."""
    k = len(ARMS)
    x = np.column_stack([np.ones(contexts), rng.standard_normal((contexts, d - 1))])
    score = x @ rng.normal(0.0, 0.6, (d, k)) + 0.3 * rng.standard_normal((contexts, k))
    quality = 1.0 / (1.0 + np.exp(-score))
    cost = 1e-4 * 4.0 ** np.arange(k) * np.exp(0.3 * x[:, 1:2])
    return World(contexts=x, means=np.stack([quality, quality, cost], axis=-1))


def make_block(
    *, x: FloatArray, logged: FloatArray, action: IntArray, outcomes: FloatArray, target: FloatArray
) -> TargetBlock:
    """Rows in order of time, every arm eligible, the propensity as the PMF says."""
    rows = np.arange(len(action))
    return TargetBlock(
        arms=ARMS[: logged.shape[1]],
        x=x,
        eligible=np.ones(logged.shape, dtype=np.bool_),
        logged=logged,
        action=action,
        propensity=logged[rows, action],
        outcomes=outcomes,
        target=target,
        fold=rows % FOLDS,
        order=rows,
        expected_cost_usd=np.zeros(logged.shape),
        cost_weight=np.zeros(len(action)),
        decided_at=1e9 + rows.astype(np.float64),
    )


def draw(rng: np.random.Generator, pmf: FloatArray) -> IntArray:
    """One arm for every row of a PMF (n, K)."""
    above = rng.random(len(pmf))[:, None] >= np.cumsum(pmf, axis=1)
    arm: IntArray = np.minimum(above.sum(axis=1), pmf.shape[1] - 1)
    return arm


def softmax(score: FloatArray, floor: float = 0.0) -> FloatArray:
    """A PMF over the last axis that gives every arm at least floor/K."""
    p = np.exp(score - score.max(axis=-1, keepdims=True))
    mixed: FloatArray = (1.0 - floor) * p / p.sum(axis=-1, keepdims=True) + floor / p.shape[-1]
    return mixed


def always(arm: int, contexts: int) -> FloatArray:
    """The policy (C, K) that takes one arm everywhere."""
    return np.tile(np.eye(len(ARMS))[arm], (contexts, 1))


def an_ordinary_log(seed: int = 0, n: int = 600, missing: float = 0.0) -> TargetBlock:
    """A skewed log of a small world beside a sharper target, some rows without any feedback."""
    rng = np.random.default_rng(seed)
    world = make_world(rng)
    behaviour = softmax(rng.standard_normal(world.means.shape[:2]), floor=0.1)
    log = world.log(rng, n, behaviour, softmax(6.0 * world.means[..., 0], floor=0.02))
    log.outcomes[rng.random(n) < missing] = np.nan
    return log
