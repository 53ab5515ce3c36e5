"""The rule of a cascade: retry by expected utility, or below a threshold of the raw confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bandit_router.errors import ConfigError
from bandit_router.policies import Policy
from bandit_router.policies.bandit import Thompson
from bandit_router.policies.cheap_first import CheapFirst
from bandit_router.policies.pmf import mix_with_uniform
from bandit_router.settings import Settings
from bandit_router.settings.policy import CascadeSection, ConfidenceSource
from bandit_router.types import Arm, Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationRule:
    """Retries on ``expensive`` by expected utility, or below a ``threshold`` of the raw confidence.

    ``epsilon`` is the share of answers that are kept or retried at random.
    """

    expensive: str
    threshold: float | None = None
    epsilon: float = 0.05

    def pmf(self, scores: Scores, confidence: float) -> list[float]:
        """P(keep) and P(retry); ``scores`` are of these two, with the costs that are still to be paid."""
        if self.threshold is None:
            return Thompson(epsilon=self.epsilon).pmf(scores)
        keep = float(confidence >= self.threshold)
        return mix_with_uniform([keep, 1.0 - keep], self.epsilon)


def make_escalation_rule(settings: Settings, policy: Policy, arms: Sequence[Arm]) -> EscalationRule | None:
    """The rule of the settings; None when cascades are off.

    Raises ConfigError, which names what is wrong with the section.
    """
    section = settings.cascade
    names = [arm.name for arm in arms]
    _check_confidence(section, names)
    if not section.enabled:
        return None
    policy_arm = policy.expensive if isinstance(policy, CheapFirst) else None
    expensive = section.expensive or policy_arm
    if expensive is None:
        raise ConfigError(f"cascade.expensive: is missing; name the arm that retries: {', '.join(names)}")
    if policy_arm not in (None, expensive):
        raise ConfigError(
            f"cascade.expensive: is {expensive!r}, the policy's is {policy_arm!r}; name it once"
        )
    if expensive not in names:
        raise ConfigError(f"cascade.expensive: {expensive!r} is not an arm; use one of {', '.join(names)}")
    if expensive in [arm.name for arm in settings.arms if not arm.enabled]:
        raise ConfigError(f"cascade.expensive: {expensive!r} is disabled; enable it or name another arm")
    return EscalationRule(expensive=expensive, threshold=section.threshold, epsilon=section.epsilon)


def _check_confidence(section: CascadeSection, names: Sequence[str]) -> None:
    """Raise ConfigError where the gateway cannot find out what it is to find out."""
    if section.confidence is None:
        return
    if not section.enabled:
        raise ConfigError("cascade.confidence: is of no use while cascades are off; set enabled = true")
    checks = section.confidence is ConfidenceSource.SELF_CHECK
    if checks and section.self_check_arm not in names:
        raise ConfigError(
            f"cascade.self_check_arm: {section.self_check_arm!r} is not an arm; use one of {', '.join(names)}"
        )
