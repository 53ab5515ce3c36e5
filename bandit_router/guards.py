"""What narrows the choice before a policy sees it: switched-off arms, capabilities, context windows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bandit_router.errors import InvalidInput, NoEligibleArm
from bandit_router.types import Arm


def narrow(
    arms: Sequence[Arm],
    *,
    input_tokens: int,
    require: Collection[str] = (),
    allow: Collection[str] | None = None,
) -> list[Arm]:
    """The arms a query may go to, in order. Raises NoEligibleArm, which says what excluded each.

    ``require`` lists capabilities the model must have; ``allow`` names the only arms the caller
    accepts. A model must hold the prompt and the answer expected of it in its context window.
    """
    if allow is not None:
        unknown = sorted(set(allow) - {arm.name for arm in arms})
        if unknown:
            known = ", ".join(arm.name for arm in arms)
            raise InvalidInput("arms", f"{unknown[0]!r} is not an arm", f"use some of {known}")
    excluded = {}
    eligible = []
    for arm in arms:
        why = _obstacle(arm, input_tokens, require, allow)
        if why is None:
            eligible.append(arm)
        else:
            excluded[arm.name] = why
    if not eligible:
        raise NoEligibleArm(excluded)
    return eligible


def _obstacle(
    arm: Arm, input_tokens: int, require: Collection[str], allow: Collection[str] | None
) -> str | None:
    if not arm.enabled:
        return "disabled"
    if allow is not None and arm.name not in allow:
        return "not among the arms the caller allows"
    lacking = [capability for capability in require if capability not in arm.capabilities]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    needed = input_tokens + arm.expected_output_tokens
    if arm.context_window is not None and needed > arm.context_window:
        return f"context window of {arm.context_window} tokens is smaller than the {needed} needed"
    return None
