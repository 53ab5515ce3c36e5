"""Tier policy: an arm, or a policy, for each tier of user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bandit_router.errors import InvalidInput
from bandit_router.policies.bandit import Uniform
from bandit_router.policies.base import Policy, check_spec_name, require_arms
from bandit_router.policies.pmf import single_arm_pmf
from bandit_router.types import TIER, Reason, Scores, Signals

ELSE = "else"
"""The key for users without a tier, or with one that is not listed."""

Tiers = Mapping[str, str | Policy]
"""Maps a tier to the name of an arm or to a policy."""


@dataclass(frozen=True)
class Tier(Policy):
    """Probability 1 on the arm of the user's tier, or the PMF of the tier's policy.

    ``tiers`` must have the key :data:`ELSE`. If a tier's arm is not eligible, its users get what ELSE says;
    if that is an arm that is not eligible either, the choice is uniform. A tier with an arm does not explore,
    so its decisions have the reason ``tier``.
    """

    name = "tier"
    tiers: Tiers

    def __post_init__(self) -> None:
        if ELSE not in self.tiers:
            fix = "say what users of other tiers get, such as else=[tempered]"
            raise InvalidInput("policy tier: else", "is missing", fix)
        for tier, target in self.tiers.items():
            check_spec_name(self.name, "name of a tier", tier)
            if isinstance(target, str):
                check_spec_name(self.name, tier, target)

    @cached_property
    def spec(self) -> str:
        parts = (f"{k}={v if isinstance(v, str) else f'[{v.spec}]'}" for k, v in self.tiers.items())
        return f"{self.name}:{','.join(parts)}"

    @cached_property
    def learns(self) -> bool:
        return any(policy.learns for policy in self._policies)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        arms = [target for target in self.tiers.values() if isinstance(target, str)]
        return tuple(dict.fromkeys([*arms, *(arm for policy in self._policies for arm in policy.arms)]))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([TIER, *(name for p in self._policies for name in p.reads)]))

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        target = self.target(scores)
        return single_arm_pmf(target, scores) if isinstance(target, str) else target.pmf(scores)

    def reason(self, scores: Scores) -> Reason:
        """``TIER`` if the tier has an arm, else the reason of the tier's policy."""
        target = self.target(scores)
        return Reason.TIER if isinstance(target, str) else target.reason(scores)

    def verdict(self, signals: Signals) -> str | None:
        """The verdict of the tier's policy; None if the tier has an arm."""
        target = self.tiers.get(str(signals.get(TIER)), self.tiers[ELSE])
        return None if isinstance(target, str) else target.verdict(signals)

    def target(self, scores: Scores) -> str | Policy:
        """The eligible arm or the policy of the user's tier."""
        tier = scores.signals.get(TIER)
        for key in (tier, ELSE):
            target = self.tiers.get(key) if isinstance(key, str) else None
            if target is not None and (not isinstance(target, str) or target in scores.arms):
                return target
        return Uniform()

    @property
    def _policies(self) -> list[Policy]:
        return [target for target in self.tiers.values() if not isinstance(target, str)]
