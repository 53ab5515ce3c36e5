"""A share of traffic for arms that are new: tried at once, and no more than stated until they earned it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bandit_router.policies.base import (
    Policy,
    check_parameter,
    normalise_pmf,
    select_arms,
)
from bandit_router.types import Scores

LEAST = 0.2
"""Of the share, what goes to arms on trial however poor the policy thinks them."""


@dataclass(frozen=True, slots=True)
class Trial(Policy):
    """A policy, with a share of its traffic set aside for arms on trial beside established ones.

    An arm is on trial while fewer than ``rewards`` of its rewards are known, and at least ``beside`` of some
    other eligible arm's: where little is known there is little to protect, and the policy explores better by
    itself (on two streams of eight and seven arms, trials from the tenth reward on cost a sixth of the gap).
    With p the policy's PMF over all eligible arms, e its PMF over the established ones alone, T the arms on
    trial and p(T) their sum::

        m = min(share, max(p(T), l)),    l = LEAST · share
        PMF(a) = l/|T| + (m − l) · p(a)/p(T)  for a in T,    (1 − m) · e(a)  for the others

    So they get at most ``share`` together and at least l/|T| each, in between what the policy gives them; and
    what is not theirs is decided as if they were not there. Where no eligible arm is on trial, or none
    established, the PMF is the policy's.
    """

    policy: Policy
    share: float
    rewards: int
    beside: int = 0
    spec: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_parameter("trial", "share", self.share, 0.001, 1.0)
        check_parameter("trial", "rewards", self.rewards, 0, 1e9)
        check_parameter("trial", "beside", self.beside, 0, 1e9)
        own = f"trial:share={float(self.share)!r},rewards={self.rewards:d}"
        beside = f",beside={self.beside:d}" if self.beside else ""
        object.__setattr__(self, "spec", f"{own}{beside}|{self.policy.spec}")

    @property
    def learns(self) -> bool:
        return self.policy.learns

    @property
    def names(self) -> tuple[str, ...]:
        return self.policy.names

    @property
    def reads(self) -> tuple[str, ...]:
        return self.policy.reads

    def pmf(self, scores: Scores) -> list[float]:
        counted = [] if scores.counted is None else scores.counted.tolist()
        if not counted or not min(counted) < self.rewards <= max(counted) or max(counted) < self.beside:
            return self.policy.pmf(scores)
        trial = [k for k, n in enumerate(counted) if n < self.rewards]
        others = [k for k, n in enumerate(counted) if n >= self.rewards]
        wanted = self.policy.pmf(scores)
        total = sum(wanted[k] for k in trial)
        least = LEAST * self.share
        given = min(self.share, max(total, least))
        found = [0.0] * len(counted)
        for k in trial:
            found[k] = least / len(trial) + ((given - least) * wanted[k] / total if total else 0.0)
        for k, p in zip(others, self.policy.pmf(select_arms(scores, others)), strict=True):
            found[k] = (1.0 - given) * p
        return normalise_pmf(found)
