"""Classifier policy: the expensive arm for queries that are probably complex, else the cheap arm."""

from __future__ import annotations

from dataclasses import dataclass

from bandit_router.policies.base import Policy, check_parameter
from bandit_router.policies.two_arms import check_two_arms, first_eligible_pmf
from bandit_router.signals.classifier import P_COMPLEX
from bandit_router.types import Scores


@dataclass(frozen=True, slots=True)
class ClassifierPolicy(Policy):
    """1 − ε on ``expensive`` if P(complex | x) > threshold, else on ``cheap``; ε over the eligible arms.

    Falls back to the other arm, then to a uniform choice. A query without a probability goes to the cheap
    arm; a router does not open without a classifier, and no log that lacks the probability is evaluated.
    """

    name = "classifier"
    learns = False
    reads = (P_COMPLEX,)

    cheap: str
    expensive: str
    threshold: float = 0.7
    epsilon: float = 0.02

    def __post_init__(self) -> None:
        check_two_arms(self.name, self.cheap, self.expensive)
        check_parameter(self.name, "threshold", self.threshold, 0.0, 1.0)
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def arms(self) -> tuple[str, ...]:
        return self.cheap, self.expensive

    @property
    def spec(self) -> str:
        arms = f"cheap={self.cheap},expensive={self.expensive}"
        return f"{self.name}:{arms},threshold={float(self.threshold)!r},epsilon={float(self.epsilon)!r}"

    def pmf(self, scores: Scores) -> list[float]:
        p = scores.signals.get(P_COMPLEX)
        is_complex = isinstance(p, float | int) and p > self.threshold
        return first_eligible_pmf(self.arms[::-1] if is_complex else self.arms, scores, self.epsilon)
