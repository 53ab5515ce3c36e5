"""Precedence: what settles a decision before the policy chooses, in this order:

1. pinned traffic: the owner has all traffic go to one arm, for a while;
2. override: the caller names the arm;
3. workflow: the settings pin the arm, for every step of a known workflow;
4. conversation: it keeps the arm it began with, except for one promotion to a dearer arm;
5. the policy chooses. If the arm of a conversation is not eligible, the policy chooses among the others, for
   this call only: the conversation keeps its arm.

A request that cannot go to the arm of pinned traffic is decided as if there were no pin. Override and
workflow get their arm, or an error that says what excludes it. Neither the router's budget nor
``min_quality`` applies to these three, and they neither begin nor change a conversation. None of the first
four explores: the PMF is one-hot on the arm, over all eligible arms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.types import Conversation, Reason, Scores

CERTAIN = frozenset(
    {
        Reason.PINNED,
        Reason.OVERRIDE,
        Reason.WORKFLOW,
        Reason.STICKY,
        Reason.PROMOTION,
        Reason.ESCALATION,
    }
)
"""The reasons of decisions that no policy drew; their propensity is 1."""


DRAWN = frozenset({Reason.POLICY, Reason.TIER, Reason.GREEDY, Reason.INCUMBENT})
"""The reasons of decisions that were their policy's to make: nothing had settled them."""


class Pin(NamedTuple):
    """The arm that a request must have; ``by`` says who demands it, for the error message."""

    arm: str
    reason: Reason
    by: str


class StickyConversation(NamedTuple):
    """A conversation as stored, and what a promotion must gain in utility and costs in USD."""

    conversation: Conversation
    promote_gain: float
    switch_usd: float


def make_pin(override: str | None, workflow: str | None, workflows: Mapping[str, str]) -> Pin | None:
    """The pin of a request, None without one. ``workflows`` maps names to arms. Raises InvalidInput."""
    if workflow is not None and workflow not in workflows:
        fix = f"use one of {', '.join(workflows)}" if workflows else "declare it under [[workflows]]"
        raise InvalidInput("workflow", f"{workflow!r} is not a workflow", fix)
    if override is not None:
        return Pin(override, Reason.OVERRIDE, "the override names")
    if workflow is not None:
        return Pin(workflows[workflow], Reason.WORKFLOW, f"workflow {workflow!r} is pinned to")
    return None


def apply_precedence(
    pin: Pin | None, kept: StickyConversation | None, scores: Scores, cost_weight: float
) -> tuple[int, Reason] | None:
    """Index of the arm that the decision must have, and why; None if the policy chooses."""
    if pin is not None:
        return scores.arms.index(pin.arm), pin.reason
    if kept is None or kept.conversation.arm not in scores.arms:
        return None
    present = scores.arms.index(kept.conversation.arm)
    better = _find_promotion(kept, present, scores, cost_weight)
    return (present, Reason.STICKY) if better is None else (better, Reason.PROMOTION)


def _find_promotion(kept: StickyConversation, present: int, scores: Scores, cost_weight: float) -> int | None:
    """The best of the arms that cost more, when u_best − u_present ≥ gain + λ · cost of the switch."""
    if kept.conversation.promoted or not kept.promote_gain:
        return None
    dearer = np.flatnonzero(scores.cost_usd > scores.cost_usd[present])
    if not dearer.size:
        return None
    best = int(dearer[scores.utility[dearer].argmax()])
    gain = scores.utility[best] - scores.utility[present]
    return best if gain >= kept.promote_gain + cost_weight * kept.switch_usd else None


def check_workflows(workflows: Mapping[str, str], arms: Collection[str], disabled: Collection[str]) -> None:
    """Raise ConfigError if a workflow is pinned to an unknown or disabled arm."""
    for name, arm in workflows.items():
        if arm in disabled:
            raise ConfigError(f"workflows: {name!r} is pinned to arm {arm!r}, which has enabled = false")
        if arm not in arms:
            fix = f"use one of {', '.join(sorted(arms))}"
            raise ConfigError(f"workflows: {name!r} is pinned to {arm!r}, which is not an arm; {fix}")
