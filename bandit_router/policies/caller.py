"""Caller: the arm that the caller says it would have used."""

from __future__ import annotations

from dataclasses import dataclass

from bandit_router.policies.base import Policy, check_spec_name
from bandit_router.policies.two_arms import first_eligible_pmf
from bandit_router.types import INCUMBENT, Scores


@dataclass(frozen=True, slots=True)
class Caller(Policy):
    """Probability 1 on the arm that the signal ``incumbent`` names.

    Falls back to ``otherwise``, the arm of requests that name none, then to a uniform choice. It is the
    incumbent of a rollout from a program that decides by itself.
    """

    name = "caller"
    learns = False
    reads = (INCUMBENT,)
    otherwise: str

    def __post_init__(self) -> None:
        check_spec_name(self.name, "otherwise", self.otherwise)

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.otherwise,)

    @property
    def spec(self) -> str:
        return f"{self.name}:otherwise={self.otherwise}"

    def pmf(self, scores: Scores) -> list[float]:
        return first_eligible_pmf((str(scores.signals.get(INCUMBENT)), self.otherwise), scores, 0.0)
