"""Policies of two arms, a cheap and an expensive one: their check and their PMF."""

from __future__ import annotations

from bandit_router.errors import InvalidInput
from bandit_router.policies.bandit import Uniform
from bandit_router.policies.base import check_spec_name, require_arms
from bandit_router.policies.pmf import single_arm_pmf
from bandit_router.types import Scores


def check_two_arms(policy: str, cheap: str, expensive: str) -> None:
    """Raise InvalidInput unless these are two different names of arms."""
    check_spec_name(policy, "cheap", cheap)
    check_spec_name(policy, "expensive", expensive)
    if cheap == expensive:
        raise InvalidInput(f"policy {policy}: expensive", "is the cheap arm too", "name another")


def first_eligible_pmf(wanted: tuple[str, ...], scores: Scores, epsilon: float) -> list[float]:
    """1 − ε on the first wanted arm that is eligible, ε spread over all; uniform if none is eligible.

    Raises NoEligibleArm.
    """
    require_arms(scores)
    arm = next((arm for arm in wanted if arm in scores.arms), None)
    return Uniform().pmf(scores) if arm is None else single_arm_pmf(arm, scores, epsilon)
