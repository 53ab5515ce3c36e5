"""Rollout: an exact mixture of the policy that decides today and the one that is to follow it.

With s the share, p the incumbent's PMF and q the candidate's::

    PMF(a) = (1 − s) · p(a) + s · q(a)

One of the two, the *branch*, draws the arm. A coin chooses the branch of a request, or a hash that of all
requests of a user or a conversation for a while; the candidate has probability s either way.

What is logged is the marginal PMF, over coins or hashes, and not the branch's. Each decision alone has its
action with that probability given its context, so estimators that weigh by propensities are unbiased. Under
a hash the decisions of one unit share their branch: they are not independent, and given the unit's earlier
decisions the marginal is not their probability any more. Intervals must therefore be clustered by unit, and
where a unit's later contexts follow from its branch, as the turns of a conversation do, only whole units can
be compared, by their branches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from bandit_router.policies.base import Draw, Policy, check_parameter, require_arms
from bandit_router.policies.pmf import normalise_pmf, sample
from bandit_router.types import Reason, Scores, Signals

BRANCH = "branch"
"""The signal of the branch that drew the arm."""

STAGE = "rollout_stage"
"""The signal of the stage of the rollout."""

PERIOD = "rollout_period"
"""The signal of the period of the stage, from 0, for which a unit has its branch."""


class Branch(StrEnum):
    """Who draws the arm of a request."""

    INCUMBENT = "incumbent"
    CANDIDATE = "candidate"

    @property
    def probability(self) -> str:
        """The signal of the probability that it gives the drawn arm."""
        return f"{self.value}_p"

    @property
    def quality(self) -> str:
        """The signal of the quality that is expected of its PMF, each arm's within [0, 1]."""
        return f"{self.value}_quality"

    @property
    def cost_usd(self) -> str:
        """The signal of the cost that is expected of its PMF, USD."""
        return f"{self.value}_cost_usd"


@dataclass(frozen=True, slots=True)
class Rollout(Policy):
    """(1 − s) of the incumbent's PMF and s of the candidate's; s = 0 is shadow mode.

    A draw has the signals of its branch, and of the probability of the arm, the expected quality and the
    expected cost under either branch, so that the two can be compared from the log alone.
    """

    name = "rollout"
    incumbent: Policy
    candidate: Policy
    share: float
    spec: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_parameter(self.name, "share", self.share, 0.0, 1.0)
        object.__setattr__(self, "spec", f"{self.name}:share={float(self.share)!r},{self.contest}")

    @property
    def contest(self) -> str:
        """Who is compared with whom: the spec without the share."""
        return f"incumbent=[{self.incumbent.spec}]|{self.candidate.spec}"

    @property
    def learns(self) -> bool:
        return self.incumbent.learns or self.candidate.learns

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.incumbent.arms, *self.candidate.arms)))

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.incumbent.reads, *self.candidate.reads)))

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        if self.share in (0.0, 1.0):
            return (self.candidate if self.share else self.incumbent).pmf(scores)
        return self._mix(self.incumbent.pmf(scores), self.candidate.pmf(scores))

    def draw(self, scores: Scores, rng: np.random.Generator) -> Draw:
        """Draw from the branch that the signal ``branch`` names, or a coin; log the mixture."""
        require_arms(scores)
        pmfs = {
            Branch.INCUMBENT: self.incumbent.pmf(scores),
            Branch.CANDIDATE: self.candidate.pmf(scores),
        }
        branch = self._find_branch(scores.signals, rng)
        row = sample(pmfs[branch], rng)
        quality = np.clip(scores.mean, 0.0, 1.0)
        signals: dict[str, float | str] = {BRANCH: branch.value}
        for name, pmf in pmfs.items():
            signals[name.probability] = pmf[row]
            signals[name.quality] = float(np.dot(pmf, quality))
            signals[name.cost_usd] = float(np.dot(pmf, scores.cost_usd))
        mixture = self._mix(pmfs[Branch.INCUMBENT], pmfs[Branch.CANDIDATE])
        return Draw(mixture, row, signals)

    def reason(self, scores: Scores) -> Reason:
        """``INCUMBENT`` where only an incumbent decides that leaves out an arm: that explores nothing."""
        if self.share == 1.0:
            return self.candidate.reason(scores)
        if self.share == 0.0:
            explores = min(self.incumbent.pmf(scores)) > 0.0
            return self.incumbent.reason(scores) if explores else Reason.INCUMBENT
        is_greedy = self.candidate.reason(scores) is Reason.GREEDY
        return Reason.GREEDY if is_greedy else Reason.POLICY

    def verdict(self, signals: Signals) -> str | None:
        """The candidate's verdict, or else the incumbent's."""
        return self.candidate.verdict(signals) or self.incumbent.verdict(signals)

    def _find_branch(self, signals: Signals, rng: np.random.Generator) -> Branch:
        branch = signals.get(BRANCH)
        if branch is not None:
            return Branch(str(branch))
        return pick_branch(rng.random(), self.share)

    def _mix(self, incumbent: list[float], candidate: list[float]) -> list[float]:
        if self.share in (0.0, 1.0):
            return candidate if self.share else incumbent
        keep = 1.0 - self.share
        return normalise_pmf([keep * p + self.share * q for p, q in zip(incumbent, candidate, strict=True)])


def pick_branch(u: float, share: float) -> Branch:
    """The branch of a unit whose draw is u, in [0, 1)."""
    return Branch.CANDIDATE if u < share else Branch.INCUMBENT
