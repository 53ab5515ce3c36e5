"""Vowpal Wabbit's contextual bandits (https://vowpalwabbit.org)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.policies import sample
from bandit_router.types import BoolArray, FloatArray, Signals
from simulations.peers.common import draw_seed, load


@dataclass(frozen=True, kw_only=True, slots=True)
class VowpalWabbitAgent:
    """Samples from Vowpal Wabbit's probabilities; learns cost = −utility with that of the chosen arm.

    ``shown`` holds, for every decision, the eligible arms and the probability of the chosen one.
    """

    workspace: Any
    cost_weight: float
    rng: np.random.Generator
    shown: list[tuple[list[int], float]] = field(default_factory=list)

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del expected_cost_usd, signals, task
        arms = np.flatnonzero(eligible).tolist()
        pmf = self.workspace.predict([_shared(x), *(f"|a {arm}" for arm in arms)])
        chosen = sample(pmf, self.rng)
        self.shown.append((arms, pmf[chosen]))
        return int(arms[chosen])

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        arms, probability = self.shown[decision]
        label = f"0:{self.cost_weight * cost_usd - quality:.9g}:{probability:.9g} "
        self.workspace.learn([_shared(x), *(f"{label if other == arm else ''}|a {other}" for other in arms)])


@dataclass(frozen=True, kw_only=True, slots=True)
class VowpalWabbitMaker:
    """``--cb_explore_adf --squarecb`` at its defaults.

    Every context feature is crossed with the arm (``-q sa``): without that, contexts shift all arms alike.
    """

    def __call__(self, setting: Setting) -> VowpalWabbitAgent:
        workspace = load("vowpalwabbit").Workspace(
            f"--cb_explore_adf --squarecb -q sa --quiet --random_seed {draw_seed(setting.rng)}"
        )
        return VowpalWabbitAgent(workspace=workspace, cost_weight=setting.cost_weight, rng=setting.rng)


def _shared(x: FloatArray) -> str:
    return "shared |s " + " ".join(f"{i}:{value:.9g}" for i, value in enumerate(x.tolist()))
