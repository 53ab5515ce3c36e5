"""Trial: a bounded share of traffic for new arms, until enough of their rewards are counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from bandit_router.policies.base import AroundPolicy, Policy, check_parameter, select_arms
from bandit_router.policies.pmf import normalise_pmf
from bandit_router.types import Scores

LEAST_PART = 0.2
"""The part of the share that arms on trial get even if the policy gives them nothing."""


@dataclass(frozen=True, slots=True)
class Trial(AroundPolicy, Policy):
    """A policy with a share of its traffic set aside for arms on trial beside established ones.

    An arm is on trial while fewer than ``rewards`` of its rewards are counted and another eligible arm has at
    least ``beside``: with fewer, there is little to protect and the policy explores better by itself.
    With p the policy's PMF over all eligible arms, e its PMF over the established ones alone, T the arms on
    trial and p(T) their sum::

        m = min(share, max(p(T), l)),    l = LEAST_PART · share
        PMF(a) = l/|T| + (m − l) · p(a)/p(T)  for a in T,    (1 − m) · e(a)  for the others

    So arms on trial get at most ``share`` together and at least l/|T| each, and between these what the policy
    gives them; the rest is decided as if they did not exist. If no eligible arm is on trial, or none is
    established, the PMF is the policy's.
    """

    name = "trial"
    policy: Policy
    share: float
    rewards: int
    beside: int = 0
    spec: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_parameter(self.name, "share", self.share, 0.001, 1.0)
        check_parameter(self.name, "rewards", self.rewards, 0, 1e9)
        check_parameter(self.name, "beside", self.beside, 0, 1e9)
        own = f"{self.name}:share={float(self.share)!r},rewards={self.rewards:d}"
        beside = f",beside={self.beside:d}" if self.beside else ""
        object.__setattr__(self, "spec", f"{own}{beside}|{self.policy.spec}")

    def pmf(self, scores: Scores) -> list[float]:
        counted = [] if scores.counted is None else scores.counted.tolist()
        if not counted or not min(counted) < self.rewards <= max(counted) or max(counted) < self.beside:
            return self.policy.pmf(scores)
        trial = [k for k, n in enumerate(counted) if n < self.rewards]
        established = [k for k, n in enumerate(counted) if n >= self.rewards]
        wanted = self.policy.pmf(scores)
        total = sum(wanted[k] for k in trial)
        least = LEAST_PART * self.share
        given = min(self.share, max(total, least))
        pmf = [0.0] * len(counted)
        for k in trial:
            pmf[k] = least / len(trial) + ((given - least) * wanted[k] / total if total else 0.0)
        for k, p in zip(established, self.policy.pmf(select_arms(scores, established)), strict=True):
            pmf[k] = (1.0 - given) * p
        return normalise_pmf(pmf)
