"""Heuristic policy: the expensive arm for a high complexity score, else the cheap arm."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bandit_router.policies.base import Policy, check_parameter
from bandit_router.policies.two_arms import check_two_arms, first_eligible_pmf
from bandit_router.signals.rules import COMPLEXITY
from bandit_router.types import Scores, Signals


class Verdict(StrEnum):
    """The class of a query by its complexity score."""

    SIMPLE = "simple"
    UNCERTAIN = "uncertain"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class Heuristic(Policy):
    """1 − ε on ``expensive`` if complexity > high, else on ``cheap``; ε spread over the eligible arms.

    A query below ``low`` is simple. One between the two, or without a score because its caller sends vectors,
    is uncertain and goes to the cheap arm too; :meth:`verdict` tells them apart. Falls back to the other arm,
    then to a uniform choice.
    """

    name = "heuristic"
    learns = False
    reads = (COMPLEXITY,)

    cheap: str
    expensive: str
    low: float = 0.2
    high: float = 0.8
    epsilon: float = 0.02

    def __post_init__(self) -> None:
        check_two_arms(self.name, self.cheap, self.expensive)
        check_parameter(self.name, "low", self.low, 0.0, 1.0)
        check_parameter(self.name, "high", self.high, self.low, 1.0)
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def arms(self) -> tuple[str, ...]:
        return self.cheap, self.expensive

    @property
    def spec(self) -> str:
        low, high, epsilon = float(self.low), float(self.high), float(self.epsilon)
        arms = f"cheap={self.cheap},expensive={self.expensive}"
        return f"{self.name}:{arms},low={low!r},high={high!r},epsilon={epsilon!r}"

    def verdict(self, signals: Signals) -> Verdict:
        score = signals.get(COMPLEXITY)
        if isinstance(score, float | int):
            if score > self.high:
                return Verdict.COMPLEX
            if score < self.low:
                return Verdict.SIMPLE
        return Verdict.UNCERTAIN

    def pmf(self, scores: Scores) -> list[float]:
        is_complex = self.verdict(scores.signals) is Verdict.COMPLEX
        return first_eligible_pmf(self.arms[::-1] if is_complex else self.arms, scores, self.epsilon)
