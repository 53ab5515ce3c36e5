"""[rollout]: how the policy takes over from the one that decides today."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from bandit_router.settings.section import Section, Share

_DAY_S = 86_400.0


class RolloutUnit(StrEnum):
    """What keeps its branch, the incumbent or the candidate."""

    REQUEST = "request"
    USER = "user"
    CONVERSATION = "conversation"


class RolloutSection(Section):
    """A policy that takes over step by step: the incumbent decides what the candidate, `[policy]`, does not.

    The share is kept in the database: `bandit-router rollout advance` and `abort` change it for all workers.
    A new rollout begins at `share` whenever settings with another incumbent or policy are applied.
    """

    incumbent: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description=(
            "Who decides today: an arm, or a policy in brackets; `[caller:otherwise=large]` is what requests "
            "name as `incumbent`, and the arm `large` for those that name none. If left out, there is no "
            "rollout."
        ),
        examples=["large", "[heuristic:cheap=small,expensive=large]", "[caller:otherwise=large]"],
    )
    share: Share = Field(
        0.0,
        description="The share of traffic that the candidate begins with. 0 is shadow mode: all is logged "
        "and learned from, and nothing changes.",
    )
    unit: RolloutUnit = Field(
        RolloutUnit.REQUEST,
        description=(
            "What keeps its branch: every `request` has its own, or all requests of a `user` or of a "
            "`conversation` have the same. A request that names none has its own."
        ),
    )
    period_days: Annotated[float, Field(ge=1e-5, le=365, allow_inf_nan=False)] = Field(
        1.0,
        description=(
            "Days for which a user or a conversation keeps its branch. Its requests of that time are one "
            "observation, which is judged when the time is over."
        ),
    )
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.01, 0.05, 0.2, 0.5, 1.0), description="The shares that `rollout advance` takes one after another."
    )
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.02, description="Utility by which the candidate may be worse and still advance."
    )
    auto_advance: bool = Field(
        False,
        description="Whether to advance when the candidate is not worse than the incumbent by the margin, "
        "beyond doubt.",
    )
    auto_stop: bool = Field(
        False, description="Whether to abort when the candidate is worse than the incumbent beyond doubt."
    )
    interval_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        300.0,
        description="Seconds between two comparisons in the background, by one worker for all; 0 makes none.",
    )

    @property
    def period_s(self) -> float:
        """Seconds for which a unit keeps its branch."""
        return self.period_days * _DAY_S

    def find_next_step(self, share: float) -> float | None:
        """The share that follows this one; None after the last."""
        return next((step for step in self.steps if step > share), None)

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if not steps or any(after <= before for before, after in pairwise(steps)):
            raise ValueError("must ascend, such as [0.01, 0.05, 0.2, 0.5, 1.0]")
        return steps
