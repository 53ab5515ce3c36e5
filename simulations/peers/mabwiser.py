"""MABWiser's linear bandits (https://github.com/fidelity/mabwiser)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.types import BoolArray, FloatArray, Signals
from simulations.peers.common import draw_seed, load


@dataclass(frozen=True, kw_only=True, slots=True)
class MABWiserAgent:
    """Learns the utility of one outcome at a time; takes the eligible arm that ``MAB`` expects most of."""

    bandit: Any
    cost_weight: float

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del expected_cost_usd, signals, task
        expected = self.bandit.predict_expectations(x[np.newaxis])
        arms = [arm for arm in self.bandit.arms if eligible[arm]]
        return int(max(arms, key=expected.__getitem__))

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        del decision
        self.bandit.partial_fit([arm], [quality - self.cost_weight * cost_usd], x[np.newaxis])


@dataclass(frozen=True, kw_only=True, slots=True)
class MABWiserMaker:
    """``LearningPolicy.LinUCB`` or ``LinTS`` with ridge penalty 1 and this α; 1 is MABWiser's default.

    MABWiser wants ``fit`` before it predicts. A fit to no rows leaves every arm at its prior and is a
    cold start without random choices made on its behalf. Of arms that tie it takes the one listed first,
    and a narrow width may never leave that one: they are listed in another order for every seed, so that
    the order of the data is no luck.
    """

    policy: Literal["LinUCB", "LinTS"]
    alpha: float = 1.0

    def __call__(self, setting: Setting) -> MABWiserAgent:
        mab = load("mabwiser.mab")
        learning = getattr(mab.LearningPolicy, self.policy)(alpha=self.alpha)
        arms = setting.rng.permutation(len(setting.arms)).tolist()
        bandit = mab.MAB(arms, learning, seed=draw_seed(setting.rng))
        bandit.fit([], [], np.empty((0, setting.dim)))
        return MABWiserAgent(bandit=bandit, cost_weight=setting.cost_weight)
