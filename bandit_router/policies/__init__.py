"""Policies: the scores of the eligible arms -> a probability for each, one policy in a file."""

from __future__ import annotations

from bandit_router.policies.base import Policy, list_computed_signals, select_arms
from bandit_router.policies.pmf import sample
from bandit_router.policies.registry import (
    POLICIES,
    check_named_arms,
    make_policy,
    parse_policy,
    read_arm_or_policy,
)
from bandit_router.policies.rollout import Rollout
from bandit_router.policies.trial import Trial
from bandit_router.policies.wrapping import bind_to_baseline, explore_where_heard, reserve_trial_share

__all__ = [
    "POLICIES",
    "Policy",
    "Rollout",
    "Trial",
    "bind_to_baseline",
    "check_named_arms",
    "explore_where_heard",
    "list_computed_signals",
    "make_policy",
    "parse_policy",
    "read_arm_or_policy",
    "reserve_trial_share",
    "sample",
    "select_arms",
]
