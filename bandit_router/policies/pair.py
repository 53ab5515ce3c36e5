"""Two arms and a verdict: what policies of a cheap and an expensive model share."""

from __future__ import annotations

from bandit_router.errors import InvalidInput
from bandit_router.policies.bandit import Uniform
from bandit_router.policies.base import check_spec_name, require_arms, single_arm_pmf
from bandit_router.types import Scores


def check_two_arms(policy: str, cheap: str, expensive: str) -> None:
    """InvalidInput unless they are two names of arms."""
    check_spec_name(policy, "cheap", cheap)
    check_spec_name(policy, "expensive", expensive)
    if cheap == expensive:
        raise InvalidInput(f"policy {policy}: expensive", "is the cheap arm too", "name another")


def first_eligible_pmf(wanted: tuple[str, ...], scores: Scores, epsilon: float) -> list[float]:
    """1 − ε on the first of these that is eligible, ε spread over all; all alike where neither is.

    Raises NoEligibleArm.
    """
    require_arms(scores)
    arm = next((arm for arm in wanted if arm in scores.arms), None)
    return Uniform().pmf(scores) if arm is None else single_arm_pmf(arm, scores, epsilon)
