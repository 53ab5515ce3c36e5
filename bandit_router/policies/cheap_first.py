"""Cheap first: the first step of a cascade."""

from __future__ import annotations

from dataclasses import dataclass

from bandit_router.policies.base import Policy, check_parameter
from bandit_router.policies.two_arms import check_two_arms, first_eligible_pmf
from bandit_router.types import Scores


@dataclass(frozen=True, slots=True)
class CheapFirst(Policy):
    """1 − ε on ``cheap``, or on ``expensive`` if that is not eligible; ε spread over the eligible arms.

    Falls back to a uniform choice if neither is eligible. Whether to retry the answer is decided once it has
    come: see :mod:`bandit_router.cascade.escalation`.
    """

    name = "cascade"
    learns = False
    cheap: str
    expensive: str
    epsilon: float = 0.02

    def __post_init__(self) -> None:
        check_two_arms(self.name, self.cheap, self.expensive)
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def arms(self) -> tuple[str, ...]:
        return self.cheap, self.expensive

    @property
    def spec(self) -> str:
        return f"{self.name}:cheap={self.cheap},expensive={self.expensive},epsilon={float(self.epsilon)!r}"

    def pmf(self, scores: Scores) -> list[float]:
        return first_eligible_pmf(self.arms, scores, self.epsilon)
