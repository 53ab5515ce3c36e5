"""ParetoBandit's LinUCB (https://github.com/ParetoBandit/ParetoBandit)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bandit_router.evaluation.partition import BoolArray
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.types import FloatArray, Signals
from simulations.peers.common import draw_seed, load

_TUNED = {"cold start": "BEST_K3_TABULA_RASA_HPARAMS", "router": "BEST_K3_HPARAMS"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoBanditAgent:
    """Learns quality and weighs cost when it selects, as ``BanditRouter`` does."""

    arms: tuple[str, ...]
    bandit: Any
    cost_weight: float

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals
    ) -> int:
        del signals
        there = [arm for arm, may in zip(self.arms, eligible, strict=True) if may]
        penalties = dict(zip(self.arms, (self.cost_weight * expected_cost_usd).tolist(), strict=True))
        chosen, _ = self.bandit.select_arm(x, candidates=there, cost_penalties=penalties)
        self.bandit.mark_selected(chosen)
        return self.arms.index(chosen)

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        del decision, cost_usd
        self.bandit.update(self.arms[arm], x, quality, advance_time=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoBanditMaker:
    """``DisjointLinUCBPolicy``, cold, with the parameters that the package found best for a cold start.

    ``setting`` "router" are those that ``BanditRouter`` has by default, meant for its warm-up priors;
    "policy" those of the policy itself, which forgets nothing. ``alpha`` is another width.

    ``BanditRouter`` takes no list of eligible arms, its policy does. The router's default is to learn
    quality and to subtract a penalty for the price when it selects. That is kept, with λ · expected cost
    as the penalty in place of 0.3 of a logarithmic price, so that everyone is after the same utility.
    Labelled queries are rewards of every arm, before the first decision.
    """

    setting: Literal["cold start", "router", "policy"] = "cold start"
    alpha: float | None = None

    def __call__(self, setting: Setting) -> ParetoBanditAgent:
        options = {} if self.alpha is None else {"alpha": self.alpha}
        if self.setting != "policy":
            found = getattr(load("pareto_bandit.config"), _TUNED[self.setting])
            options = {name: found[name] for name in ("alpha", "forgetting_factor")} | options
        bandit = load("pareto_bandit.policy").DisjointLinUCBPolicy(
            list(setting.arms), dim=setting.dim, seed=draw_seed(setting.rng), **options
        )
        if setting.labelled is not None:
            for x, quality in zip(setting.labelled.x, setting.labelled.quality, strict=True):
                for arm, reward in zip(setting.arms, quality.tolist(), strict=True):
                    bandit.update(arm, x, reward, advance_time=False)
        return ParetoBanditAgent(arms=setting.arms, bandit=bandit, cost_weight=setting.cost_weight)
