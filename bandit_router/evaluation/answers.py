"""Questions asked of a log, one per policy, and the answers they add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bandit_router.evaluation.diagnostics import Diagnostics
from bandit_router.evaluation.estimators import Estimate
from bandit_router.evaluation.gate import Refusal
from bandit_router.policies import Policy
from bandit_router.types import FloatArray

BLOCKS = 20
"""Blocks of time in which the shares of the arms are shown."""

Role = Literal["logged", "policy", "fixed", "uniform", "blind mix", "shuffled"]


class Question(NamedTuple):
    """A policy to evaluate, by its name and role in the table.

    ``policy`` is None for the logged one. ``of`` names the policy a baseline belongs to.
    """

    name: str
    role: Role
    policy: Policy | None
    of: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The estimates for one policy, and why not to believe them. ``shares`` (BLOCKS, K) of arms over time.

    ``spend`` is λ · cost by estimator, in units of reward; None where costs are unknown.
    """

    question: Question
    estimates: Mapping[str, Estimate]
    spend: Mapping[str, float | None]
    diagnostics: Diagnostics
    refusals: Sequence[Refusal]
    shares: FloatArray

    def refused(self, estimator: str, outcome: str) -> list[Refusal]:
        """The reasons not to believe this figure; empty when there are none."""
        return [refusal for refusal in self.refusals if refusal.concerns(estimator, outcome)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The answers, and the number of ``rows`` they rest on.

    ``cost_weight`` is the λ of utility, in 1/USD: the one of all rows, or the mean of the logged ones. Each
    row is priced by its own λ.
    """

    arms: tuple[str, ...]
    rows: int
    cost_weight: float
    answers: tuple[Answer, ...]

    def value(self, answer: Answer, estimator: str) -> float | None:
        """Utility: reward − λ · cost, with the λ of each row; None where either is unknown."""
        reward, spend = answer.estimates[estimator]["reward"], answer.spend[estimator]
        return None if reward is None or spend is None else reward.value - spend

    def refused(self, answer: Answer, estimator: str) -> bool:
        """Whether an outcome that utility consists of is refused."""
        outcomes = ["reward", *(["cost_usd"] if self.cost_weight > 0 else [])]
        return any(answer.refused(estimator, outcome) for outcome in outcomes)

    def best_fixed(self, estimator: str) -> Answer | None:
        """The fixed model of the highest utility among those the log can answer for."""
        credible = [
            (value, answer)
            for answer in self.answers
            if answer.question.role == "fixed"
            and (value := self.value(answer, estimator)) is not None
            and not self.refused(answer, estimator)
        ]
        return max(credible, key=lambda pair: pair[0])[1] if credible else None
