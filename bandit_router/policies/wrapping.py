"""The policies around the one of the settings: a share for trials, where exploring is heard, a baseline."""

from __future__ import annotations

from collections.abc import Callable

from bandit_router.policies.base import Policy
from bandit_router.policies.heard import Heard
from bandit_router.policies.safe import Safe
from bandit_router.policies.tier import Tier
from bandit_router.policies.trial import Trial


def reserve_trial_share(policy: Policy, share: float, rewards: int, beside: int = 0) -> Policy:
    """Wrap the policy into a :class:`Trial`; one that never learns, or is a trial, is returned as it is."""
    if rewards == 0:
        return policy
    return _wrap_learners(policy, lambda p: p if isinstance(p, Trial) else Trial(p, share, rewards, beside))


def explore_where_heard(policy: Policy, epsilon: float) -> Policy:
    """Wrap the policy into a :class:`Heard`; one that never learns is returned as it is."""
    return _wrap_learners(policy, lambda p: Heard(p, epsilon))


def bind_to_baseline(policy: Policy, baseline: str) -> Policy:
    """Wrap the policy into a :class:`Safe`; one that never learns is returned as it is."""
    return _wrap_learners(policy, lambda p: Safe(p, baseline))


def _wrap_learners(policy: Policy, wrap: Callable[[Policy], Policy]) -> Policy:
    """Wrap a policy that learns, or each of a tier that does."""
    if isinstance(policy, Tier):
        return Tier(
            {k: v if isinstance(v, str) else _wrap_learners(v, wrap) for k, v in policy.tiers.items()}
        )
    return wrap(policy) if policy.learns else policy
