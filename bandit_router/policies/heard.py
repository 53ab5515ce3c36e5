"""Heard: a policy that explores only where an answer will be rated."""

from __future__ import annotations

from dataclasses import dataclass, field

from bandit_router.policies.base import AroundPolicy, Policy, check_parameter, require_arms
from bandit_router.policies.pmf import argmax_pmf
from bandit_router.types import WILL_BE_RATED, Reason, Scores


@dataclass(frozen=True, slots=True)
class Heard(AroundPolicy, Policy):
    """The policy's own PMF where the signal ``will_be_rated`` is 1, the best known arm elsewhere.

    The best known arm has 1 − ε on the argmax of u (ties split evenly), ε spread over the eligible arms. Such
    a decision has the reason ``greedy``: no reward is expected of it, so that no estimate may rest on it. A
    query without the signal counts as one that will not be rated.
    """

    name = "heard"
    policy: Policy
    epsilon: float
    spec: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)
        object.__setattr__(self, "spec", f"{self.name}:epsilon={float(self.epsilon)!r}|{self.policy.spec}")

    @property
    def reads(self) -> tuple[str, ...]:
        return (WILL_BE_RATED, *self.policy.reads)

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        if _will_be_rated(scores):
            return self.policy.pmf(scores)
        return argmax_pmf(scores.utility.tolist(), self.epsilon)

    def reason(self, scores: Scores) -> Reason:
        """``GREEDY`` where the policy does not explore."""
        return self.policy.reason(scores) if _will_be_rated(scores) else Reason.GREEDY


def _will_be_rated(scores: Scores) -> bool:
    return scores.signals.get(WILL_BE_RATED) == 1.0
