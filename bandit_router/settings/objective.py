"""[reward] and [budget]: what is optimised, and the goal that paces the cost weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator

from bandit_router.settings.section import Dollars, Level, Positive, Section
from bandit_router.types import CONFIDENCE, METRICS, Budget, Floor, Goal


class RewardSection(Section):
    """How the metrics of feedback make the reward, a number in [0, 1]."""

    weights: dict[str, Positive] = Field(
        default_factory=lambda: {"quality": 1.0},
        description=(
            "The weight of each metric in the reward, which is their weighted mean. Allowed are quality, "
            "satisfaction, error and override; the last two count as 1 − value."
        ),
        examples=[{"quality": 1.0}, {"quality": 0.8, "error": 0.2}],
    )

    @field_validator("weights")
    @classmethod
    def _bounded_metrics(cls, weights: dict[str, float]) -> dict[str, float]:
        allowed = [name for name, largest in METRICS.items() if largest == 1.0 and name != CONFIDENCE]
        if not weights:
            raise ValueError(f"is empty; use any of {', '.join(allowed)}")
        unknown = [name for name in weights if name not in allowed]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} cannot be in a reward; use any of {', '.join(allowed)}")
        return weights


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
