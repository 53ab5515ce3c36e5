"""What is asked of a log, and what it answers."""

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
    """A policy to be evaluated: its name in the table, what it is there, the policy it is compared to.

    ``policy`` is None for what was logged.
    """

    name: str
    role: Role
    policy: Policy | None
    of: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the log says of one policy. ``shares`` (BLOCKS, K) of the arms over time.

    ``spend`` is by estimator what λ · cost comes to, in units of reward; None where costs are unknown.
    """

    question: Question
    estimates: Mapping[str, Estimate]
    spend: Mapping[str, float | None]
    diagnostics: Diagnostics
    refusals: Sequence[Refusal]
    shares: FloatArray

    def refused(self, estimator: str, outcome: str) -> list[Refusal]:
        """Why not to believe this figure; empty when nothing speaks against it."""
        return [refusal for refusal in self.refusals if refusal.concerns(estimator, outcome)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The answers, and the number of ``rows`` they rest on.

    ``cost_weight`` is the λ of utility, in 1/USD: one for all rows, or the mean of those that were logged.
    Each row is priced by its own.
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
        """Whether anything that utility is made of is refused."""
        parts = ["reward", *(["cost_usd"] if self.cost_weight > 0 else [])]
        return any(answer.refused(estimator, part) for part in parts)

    def best_fixed(self, estimator: str) -> Answer | None:
        """The fixed model of the highest utility among those the log can answer for."""
        known = [
            (value, answer)
            for answer in self.answers
            if answer.question.role == "fixed"
            and (value := self.value(answer, estimator)) is not None
            and not self.refused(answer, estimator)
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else None
