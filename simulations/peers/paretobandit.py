"""ParetoBandit's LinUCB and its budget pacer (https://github.com/ParetoBandit/ParetoBandit)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.types import BoolArray, FloatArray, Signals
from simulations.peers.common import draw_seed, load

_TUNED = {"cold start": "BEST_K3_TABULA_RASA_HPARAMS", "router": "BEST_K3_HPARAMS"}
_CALL_TOKENS = 1000
"""Tokens of a call in the registry, which takes prices per token only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoBanditAgent:
    """Learns quality and weighs cost when it selects, as ``BanditRouter`` does."""

    arms: tuple[str, ...]
    bandit: Any
    cost_weight: float

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del signals, task
        candidates = [arm for arm, on in zip(self.arms, eligible, strict=True) if on]
        penalties = dict(zip(self.arms, (self.cost_weight * expected_cost_usd).tolist(), strict=True))
        chosen, _ = self.bandit.select_arm(x, candidates=candidates, cost_penalties=penalties)
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
        options = _options(self.setting, self.alpha)
        bandit = load("pareto_bandit.policy").DisjointLinUCBPolicy(
            list(setting.arms), dim=setting.dim, seed=draw_seed(setting.rng), **options
        )
        if setting.labelled is not None:
            for x, quality in zip(setting.labelled.x, setting.labelled.quality, strict=True):
                for arm, reward in zip(setting.arms, quality.tolist(), strict=True):
                    bandit.update(arm, x, reward, advance_time=False)
        return ParetoBanditAgent(arms=setting.arms, bandit=bandit, cost_weight=setting.cost_weight)


@dataclass(frozen=True, kw_only=True, slots=True)
class PacedAgent:
    """``BanditRouter`` with a ``BudgetPacer``. Prices are kept as they are listed."""

    arms: tuple[str, ...]
    router: Any
    listed: dict[str, float]
    asked: list[Any] = field(default_factory=list)

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del eligible, signals, task
        for arm, usd in zip(self.arms, expected_cost_usd.tolist(), strict=True):
            if self.listed[arm] != usd:
                self.router.update_model_pricing(arm, **_prices(usd))
                self.listed[arm] = usd
        chosen, log = self.router.route(x)
        self.asked.append(log)
        return self.arms.index(chosen)

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        del x, arm
        log = self.asked[decision]
        log.cost_usd = cost_usd
        self.router.process_feedback(log.request_id, reward=quality)


@dataclass(frozen=True, kw_only=True, slots=True)
class PacedMaker:
    """The router of the package, cold, paced to ``budget_usd`` a request as its demonstrations do.

    The pacer has its defaults, the bandit the parameters found best for a cold start, or another ``alpha``.
    For streams on which every arm is always eligible: the router takes no list.
    """

    budget_usd: float
    alpha: float | None = None

    def __call__(self, setting: Setting) -> PacedAgent:
        listed = dict(zip(setting.arms, setting.list_usd.tolist(), strict=True))
        features = load("pareto_bandit.feature_service").FeatureService
        router = load("pareto_bandit").BanditRouter.create(
            model_registry={arm: _prices(usd) for arm, usd in listed.items()},
            feature_service=features.for_precomputed(setting.dim),
            priors="none",
            cost_penalty=0.0,
            budget_pacer=load("pareto_bandit.budget_pacer").BudgetPacer(self.budget_usd),
            bandit_seed=draw_seed(setting.rng),
            **_options("cold start", self.alpha),
        )
        return PacedAgent(arms=setting.arms, router=router, listed=listed)


def _options(setting: str, alpha: float | None) -> dict[str, float]:
    """The bandit's options in a setting; "policy" has its own defaults. ``alpha`` replaces the width."""
    tuned = getattr(load("pareto_bandit.config"), _TUNED[setting]) if setting in _TUNED else {}
    options = {name: tuned[name] for name in ("alpha", "forgetting_factor") if name in tuned}
    return options if alpha is None else options | {"alpha": alpha}


def _prices(usd: float) -> dict[str, float]:
    """The registry's prices for a call of this cost, in USD per million tokens."""
    rate = usd * 1e6 / _CALL_TOKENS
    return {"input_cost_per_m": rate, "output_cost_per_m": rate}
