"""contextualbandits' online policies (https://github.com/david-cortes/contextualbandits)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.types import BoolArray, FloatArray, Signals
from simulations.peers.common import draw_seed, load


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextualBanditsAgent:
    """Learns from one reward of 0 or 1 at a time, which is all that the package takes.

    The reward is 1 with probability equal to the utility, cut to [0, 1]: right on average, but for the
    few utilities below 0, and with more noise than the utility has.
    """

    bandit: Any
    cost_weight: float
    rng: np.random.Generator

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del expected_cost_usd, signals, task
        if eligible.all():
            return int(self.bandit.predict(x[np.newaxis])[0])
        if not self.bandit.is_fitted:
            return int(self.rng.choice(np.flatnonzero(eligible)))
        ranked = self.bandit.topN(x[np.newaxis], len(eligible))[0]
        return next(int(arm) for arm in ranked if eligible[arm])

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        del decision
        reward = float(self.rng.random() < quality - self.cost_weight * cost_usd)
        self.bandit.partial_fit(x[np.newaxis], np.array([arm]), np.array([reward]))


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextualBanditsMaker:
    """``LinUCB``, or ``AdaptiveGreedy`` over logistic regression by SGD, at their defaults.

    Both learn one outcome at a time (``partial_fit``). AdaptiveGreedy takes the arm of the highest
    predicted reward, or a random one when that is below a moving percentile of its predictions.
    """

    policy: Literal["LinUCB", "AdaptiveGreedy"]

    def __call__(self, setting: Setting) -> ContextualBanditsAgent:
        online, arms, seed = load("contextualbandits.online"), len(setting.arms), draw_seed(setting.rng)
        if self.policy == "LinUCB":
            bandit = online.LinUCB(arms, random_state=seed)
        else:
            base = load("sklearn.linear_model").SGDClassifier(loss="log_loss", random_state=seed)
            bandit = online.AdaptiveGreedy(base, arms, batch_train=True, random_state=seed, njobs=1)
        return ContextualBanditsAgent(bandit=bandit, cost_weight=setting.cost_weight, rng=setting.rng)
