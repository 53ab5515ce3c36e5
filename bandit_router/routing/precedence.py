"""What goes before the policy, and in which order. The only place that says so:

1. override: the caller names the arm;
2. workflow: the settings pin the arm, for every step of a known workflow;
3. conversation: it keeps the arm it began with, but for one promotion to a dearer one;
4. the policy chooses. Where the arm of a conversation is not eligible, it chooses among the rest, for this
   call only: the conversation keeps its arm.

Override and workflow get their arm, or an error that says what excludes it; they are not held to what the
router's budget has left for a call, nor to ``min_quality``, and they neither begin a conversation nor change
one. None of the first three is exploration: the PMF is one-hot on the arm, over all that were eligible.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.types import Conversation, Reason, Scores

CERTAIN = frozenset({Reason.OVERRIDE, Reason.WORKFLOW, Reason.STICKY, Reason.PROMOTION, Reason.ESCALATION})
"""The reasons of decisions that no policy drew; their propensity is 1."""


class Pin(NamedTuple):
    """The arm that a request must have; ``by`` says who says so, for the error when it cannot."""

    arm: str
    reason: Reason
    by: str


class StickyConversation(NamedTuple):
    """A conversation as it was found, and what a promotion takes: a gain in utility and a cost in USD."""

    conversation: Conversation
    promote_gain: float
    switch_usd: float


def make_pin(override: str | None, workflow: str | None, workflows: Mapping[str, str]) -> Pin | None:
    """The pin of a request, if it has one. ``workflows`` maps names to arms. Raises InvalidInput."""
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
    """Index of the arm that the decision must have, and why; None where the policy chooses."""
    if pin is not None:
        return scores.arms.index(pin.arm), pin.reason
    if kept is None or kept.conversation.arm not in scores.arms:
        return None
    present = scores.arms.index(kept.conversation.arm)
    better = _promotion(kept, present, scores, cost_weight)
    return (present, Reason.STICKY) if better is None else (better, Reason.PROMOTION)


def _promotion(kept: StickyConversation, present: int, scores: Scores, cost_weight: float) -> int | None:
    """The best of the arms that cost more, when u_best − u_present ≥ gain + λ · cost of the switch."""
    if kept.conversation.promoted or not kept.promote_gain:
        return None
    dearer = np.flatnonzero(scores.cost_usd > scores.cost_usd[present])
    if not dearer.size:
        return None
    best = int(dearer[scores.utility[dearer].argmax()])
    gain = scores.utility[best] - scores.utility[present]
    return best if gain >= kept.promote_gain + cost_weight * kept.switch_usd else None


def check_workflows(workflows: Mapping[str, str], arms: Collection[str], off: Collection[str]) -> None:
    """Raise ConfigError when a workflow is pinned to an arm that is not there, or off in the settings."""
    for name, arm in workflows.items():
        if arm in off:
            raise ConfigError(f"workflows: {name!r} is pinned to arm {arm!r}, which has enabled = false")
        if arm not in arms:
            fix = f"use one of {', '.join(sorted(arms))}"
            raise ConfigError(f"workflows: {name!r} is pinned to {arm!r}, which is not an arm; {fix}")
