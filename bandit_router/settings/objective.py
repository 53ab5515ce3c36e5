"""[metrics], [reward] and [budget]: what is optimised, and the goal that paces the cost weight."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from bandit_router.settings.section import Dollars, Level, Positive, Section
from bandit_router.types import CONFIDENCE, JUDGED, METRICS, OR_ELSE, Budget, CallOutcome, Floor, Goal

MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]

_LARGEST_RATING = 1e9
_WEIGHTED = [name for name, largest in METRICS.items() if largest == 1.0 and name != CONFIDENCE]
_RESERVED = (
    *("decision_id", "conversation", "idempotency_key", "reward"),
    *("decisions", "expected_quality", "expected_cost_usd", "cost_weight", "exploration_price", "escalated"),
    *(f"call_{outcome}" for outcome in CallOutcome),
)
"""Fields of feedback, and what roll-ups sum beside metrics."""


class MetricSection(Section):
    """A metric of your own, by its name: feedback takes it as it takes `quality`.

    It is logged as the share of its scale, from 0 to 1: `[metrics.stars] scale = [1, 5]` makes 4 stars 0.75.
    Give it a weight under `[reward]` and it is learned from. A name is at most 32 lower-case letters,
    digits and underscores.
    """

    scale: tuple[float, float] = Field(
        description="The worst and the best value it can have.", examples=[[1.0, 5.0], [-1.0, 1.0]]
    )

    @field_validator("scale")
    @classmethod
    def _ascending(cls, scale: tuple[float, float]) -> tuple[float, float]:
        low, high = scale
        if not -_LARGEST_RATING <= low < high <= _LARGEST_RATING:
            raise ValueError(f"is no range; give the worst and the best, within ±{_LARGEST_RATING:g}")
        return scale


def check_own_metrics(own: Collection[str], weights: Iterable[str]) -> None:
    """Raise ValueError for a name that is taken, or a reward weight of a metric that nobody declared."""
    if taken := [name for name in own if name in METRICS or name in _RESERVED]:
        raise ValueError(f"{', '.join(taken)} has a meaning already; choose another name")
    if unknown := [name for name in weights if name not in METRICS and name not in own]:
        allowed = ", ".join([*_WEIGHTED, *own])
        raise ValueError(
            f"reward.weights has {', '.join(unknown)}, which is no metric; use any of {allowed}, "
            f"or declare it: [metrics.{unknown[0]}] scale = [1, 5]"
        )


class RewardSection(Section):
    """How the metrics of feedback make the reward, a number in [0, 1]."""

    weights: dict[str, Positive] = Field(
        default_factory=lambda: {"quality": 1.0},
        description=(
            "The weight of each metric in the reward, which is their weighted mean. Allowed are quality, "
            "satisfaction, judged, error, override, refusal, truncated, empty, invalid_json, tool_error, "
            "regenerated and abandoned (all but the first three count as 1 − value), and the metrics of "
            "your own under `[metrics]`."
        ),
        examples=[{"quality": 1.0}, {"quality": 0.8, "error": 0.2}],
    )
    judged_for: MetricName | None = Field(
        None,
        description=(
            "The weighted metric that `judged`, which the judge of `[judge]` writes, stands in for where an "
            "answer has no value of it. When that comes, it counts alone. If left out, `judged` counts only "
            "by a weight of its own."
        ),
        examples=["quality"],
    )

    @field_validator("weights")
    @classmethod
    def _bounded_metrics(cls, weights: dict[str, float]) -> dict[str, float]:
        allowed = ", ".join(_WEIGHTED)
        if not weights:
            raise ValueError(f"is empty; use any of {allowed}")
        if unbounded := [name for name in weights if name in METRICS and name not in _WEIGHTED]:
            raise ValueError(f"{', '.join(unbounded)} cannot be in a reward; use any of {allowed}")
        return weights

    @model_validator(mode="after")
    def _judged_counts_once(self) -> Self:
        if self.judged_for is None:
            return self
        if self.judged_for not in self.weights:
            names = ", ".join(self.weights)
            raise ValueError(f"judged_for is {self.judged_for}, which has no weight; use one of {names}")
        if JUDGED in self.weights:
            raise ValueError(f"judged_for and a weight of {JUDGED} count it twice; keep one of them")
        return self

    def terms(self) -> dict[str, float]:
        """The weight of each term of the reward: a metric, with what stands in for it."""
        return {
            f"{metric}{OR_ELSE}{JUDGED}" if metric == self.judged_for else metric: weight
            for metric, weight in self.weights.items()
        }


class BudgetSection(Section):
    """A goal for all workers together. At most one key; without any, `router.cost_weight` stays as it is.

    The router paces its cost weight by what was spent, or by how good answers were.
    `bandit-router budget` and `GET /v1/budget` show how the goal stands.
    """

    usd_per_request: Dollars | None = Field(
        None, description="Spend at most this much on average, USD per request.", examples=[0.002]
    )
    usd_per_day: Dollars | None = Field(
        None, description="Spend at most this much, USD per day.", examples=[50.0]
    )
    mean_quality: Level | None = Field(
        None,
        description="Keep this average reward, as cheaply as possible.",
        examples=[0.9],
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) > 1:
            raise ValueError(f"give one of usd_per_request, usd_per_day and mean_quality, not {len(given)}")
        return self

    def goal(self, weights: Mapping[str, float]) -> Goal | None:
        """The goal that paces the router, None without one. ``weights`` are those of the reward."""
        if self.mean_quality is not None:
            return Floor(reward=self.mean_quality, weights=weights)
        if self.usd_per_day is not None:
            return Budget(usd=self.usd_per_day, per="day")
        return None if self.usd_per_request is None else Budget(usd=self.usd_per_request)
