"""Safe: a policy that decides as much as may be lost against a baseline, an exact mixture of the two."""

from __future__ import annotations

from dataclasses import dataclass, field

from bandit_router.policies.base import AroundPolicy, Policy, check_spec_name, require_arms
from bandit_router.policies.pmf import normalise_pmf
from bandit_router.types import SAFETY_SHARE, Reason, Scores


@dataclass(frozen=True, slots=True)
class Safe(AroundPolicy, Policy):
    """The policy with the probability w that the signal ``safety_share`` has, else the baseline.

    With q the policy's PMF::

        PMF(a) = (1 − w) · [a = baseline] + w · q(a)

    What w may be follows from posterior and log (:mod:`bandit_router.learning.safety`). A query without the
    signal has w = 0, since nobody said what may be lost. Where the baseline is not eligible, the PMF is the
    policy's.
    """

    name = "safe"
    policy: Policy
    baseline: str
    spec: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_spec_name(self.name, "baseline", self.baseline, ",=|")
        object.__setattr__(self, "spec", f"{self.name}:baseline={self.baseline}|{self.policy.spec}")

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.baseline, *self.policy.arms)))

    @property
    def reads(self) -> tuple[str, ...]:
        return (SAFETY_SHARE, *self.policy.reads)

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        share = self._share(scores)
        if share == 1.0:
            return self.policy.pmf(scores)
        pmf = [share * p for p in self.policy.pmf(scores)] if share else [0.0] * len(scores.arms)
        pmf[scores.arms.index(self.baseline)] += 1.0 - share
        return normalise_pmf(pmf)

    def reason(self, scores: Scores) -> Reason:
        """``GREEDY`` where only the baseline is played: that explores nothing."""
        return self.policy.reason(scores) if self._share(scores) else Reason.GREEDY

    def _share(self, scores: Scores) -> float:
        if self.baseline not in scores.arms:
            return 1.0
        return float(scores.signals.get(SAFETY_SHARE, 0.0))
