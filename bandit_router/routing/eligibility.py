"""Eligibility: filter the arms by switches, capabilities, context windows, costs, quality and deadline."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from bandit_router.errors import ArmExcluded, InvalidInput, NoEligibleArm
from bandit_router.posterior.latency import Latencies
from bandit_router.routing.deadline import Deadline, exclude_late_arms
from bandit_router.routing.precedence import Pin
from bandit_router.types import Arm, Scores

TOO_DEAR = "may cost more than the budget has left for one call"
NOT_GRANTED = "the API key is not for this arm"


class Limits(NamedTuple):
    """The limits of a request on its arms. Costs are USD per call.

    ``input_tokens`` are the tokens of the prompt; where they are estimated, they rarely exceed
    ``window_tokens``. ``needs`` are what the prompt shows a need for: it excludes arms that state
    capabilities without it. ``require`` lists capabilities that the arm must state; ``allow`` names the only
    arms the caller accepts.
    ``mask`` says of arms that cannot be called why not, in words; ``granted`` names the only arms that the
    caller may have called.
    ``max_cost_usd`` is the caller's and excludes arms that are expected to cost more. ``affordable_usd`` is
    what the router's budget has left for this call: it excludes arms that may cost more, but never the one
    expected to cost least. ``min_quality`` excludes arms that are not good enough for the query, but never
    the best. ``forbid`` names arms the caller does not accept, ``incumbent`` the one it would have used. If
    the arm of ``pin`` is excluded, no other replaces it.
    """

    input_tokens: int
    window_tokens: int = 0
    needs: Collection[str] = ()
    require: Collection[str] = ()
    allow: Collection[str] | None = None
    max_cost_usd: float = math.inf
    affordable_usd: float = math.inf
    min_quality: float = 0.0
    forbid: Collection[str] = ()
    incumbent: str | None = None
    mask: Mapping[str, str] = MappingProxyType({})
    granted: Collection[str] | None = None
    pin: Pin | None = None
    deadline: Deadline | None = None


def filter_arms(
    arms: Sequence[Arm],
    limits: Limits,
    costs_usd: Mapping[str, float],
    latencies: Latencies | None = None,
    high_usd: Mapping[str, float] | None = None,
) -> tuple[list[Arm], dict[str, str]]:
    """The eligible arms, in order, and the reason that excluded each of the others.

    ``costs_usd`` is the expected cost of every arm, ``latencies`` their timings, None if not known.
    ``high_usd`` is the cost that a call exceeds rarely, which the budget must bear; the expected one if None.
    A model must hold the prompt and the answer expected of it in its context window: ``window_tokens``, or if
    that leaves nothing to choose from, ``input_tokens``.

    Raises NoEligibleArm, ArmExcluded for the arm of a pin, and InvalidInput for unknown names.
    """
    check_arm_names(arms, limits)
    eligible, excluded = _split_arms(arms, limits, costs_usd)
    if not eligible or (limits.pin is not None and limits.pin.arm in excluded):
        eligible, excluded = _split_arms(arms, limits._replace(window_tokens=0), costs_usd)
    if limits.deadline is not None and latencies is not None:
        excluded |= exclude_late_arms(latencies, [arm.name for arm in eligible], limits.deadline)
        eligible = [arm for arm in eligible if arm.name not in excluded]
    if limits.pin is not None and limits.pin.arm in excluded:
        raise ArmExcluded(limits.pin.by, limits.pin.arm, excluded)
    if not eligible:
        raise NoEligibleArm(excluded, _suggest_capabilities(arms, limits))
    if limits.affordable_usd == math.inf:
        return eligible, excluded
    costs = {arm.name: costs_usd[arm.name] for arm in eligible}
    left = affordable_arms(costs, high_usd or costs, limits.affordable_usd)
    excluded |= {arm.name: TOO_DEAR for arm in eligible if arm.name not in left}
    return [arm for arm in eligible if arm.name in left], excluded


def affordable_arms(
    costs_usd: Mapping[str, float], high_usd: Mapping[str, float], most_usd: float
) -> dict[str, float]:
    """The expected costs of the arms whose calls rarely cost more than this, and always the lowest."""
    lowest = min(costs_usd.values())
    return {arm: cost for arm, cost in costs_usd.items() if high_usd[arm] <= most_usd or cost <= lowest}


def exclude_low_quality(scores: Scores, min_quality: float) -> dict[str, str]:
    """The arms to exclude whose mean plus width is below the floor, each with the reason.

    An uncertain arm that may be good enough stays, and so does the best one.
    """
    best = int(scores.mean.argmax())
    below = scores.mean + scores.std < min_quality
    return {
        arm: f"expected quality {scores.mean[k]:.2g} is below min_quality {min_quality:g}"
        for k, arm in enumerate(scores.arms)
        if below[k] and k != best
    }


def check_arm_names(arms: Sequence[Arm], limits: Limits) -> None:
    """Raise InvalidInput for the name of an unknown arm."""
    if limits.allow is None and not limits.forbid and limits.pin is None and limits.incumbent is None:
        return
    known = [arm.name for arm in arms]
    named = {"arms": limits.allow or (), "forbid": limits.forbid}
    if limits.pin is not None:
        named[limits.pin.reason.value] = [limits.pin.arm]
    if limits.incumbent is not None:
        named["incumbent"] = [limits.incumbent]
    for field, names in named.items():
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise InvalidInput(field, f"{unknown[0]!r} is not an arm", f"use some of {', '.join(known)}")


def _split_arms(
    arms: Sequence[Arm], limits: Limits, costs_usd: Mapping[str, float]
) -> tuple[list[Arm], dict[str, str]]:
    """The arms that nothing excludes by itself, and the reason that excludes each of the others."""
    reasons = {arm.name: _explain_exclusion(arm, limits, costs_usd) for arm in arms}
    eligible = [arm for arm in arms if reasons[arm.name] is None]
    return eligible, {name: why for name, why in reasons.items() if why is not None}


def _suggest_capabilities(arms: Sequence[Arm], limits: Limits) -> str:
    """How to make arms eligible that lack what the prompt needs; empty if none lacks it."""
    unmet = {need for arm in arms for need in arm.unmet_needs(limits.needs)}
    if not unmet:
        return ""
    return (
        f"add {', '.join(sorted(unmet))} to the capabilities of an arm whose model has it, or add such an arm"
    )


def _explain_exclusion(arm: Arm, limits: Limits, costs_usd: Mapping[str, float]) -> str | None:
    if not arm.enabled:
        return "disabled"
    if limits.granted is not None and arm.name not in limits.granted:
        return NOT_GRANTED
    if arm.name in limits.mask:
        return limits.mask[arm.name]
    if limits.allow is not None and arm.name not in limits.allow:
        return "not among the arms the caller allows"
    if arm.name in limits.forbid:
        return "forbidden by the caller"
    lacking = [capability for capability in limits.require if capability not in arm.capabilities]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    if unmet := arm.unmet_needs(limits.needs):
        return f"lacks {', '.join(unmet)}, which the prompt needs"
    needed = max(limits.input_tokens, limits.window_tokens) + arm.expected_output_tokens
    if arm.context_window is not None and needed > arm.context_window:
        return f"context window of {arm.context_window} tokens is smaller than the {needed} needed"
    if costs_usd[arm.name] > limits.max_cost_usd:
        return f"expected to cost {costs_usd[arm.name]:.3g} USD, more than max_cost_usd"
    return None
