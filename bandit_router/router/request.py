"""The options of :meth:`Router.route`: check them, and make the request to decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bandit_router.cascade.retry import make_retry_signals
from bandit_router.errors import InvalidInput
from bandit_router.features import Pipeline, estimate_input_tokens, read_query
from bandit_router.objective.pacing import PacingState, affordable_usd, compute_cost_weight
from bandit_router.router.conversations import expiry_cutoff
from bandit_router.router.options import RouteOptions, given_options
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import Request
from bandit_router.routing.eligibility import Limits
from bandit_router.routing.precedence import Pin, make_pin
from bandit_router.settings import Settings
from bandit_router.settings.routing import RouterSection
from bandit_router.signals import Signaller, compute_signals
from bandit_router.types import NO_SIGNALS, FloatArray, Goal, Query, Signals
from bandit_router.validation import (
    KEY_CHARS,
    NAME_CHARS,
    check_id,
    check_names,
    check_number,
    check_text,
    hash_request,
)


def make_request(
    query: str | Sequence[Mapping[str, Any]] | None,
    options: RouteOptions,
    *,
    settings: Settings,
    pipeline: Pipeline,
    signallers: Sequence[Signaller],
    goal: Goal | None,
    pacing_state: PacingState,
    now: float,
) -> tuple[Request, str]:
    """Check the arguments of :meth:`Router.route`: a request, and the digest that identifies it.

    ``pacing_state`` is the state of ``goal`` at ``now``, Unix time. Raises InvalidInput.
    """
    _check_options(options)
    pin, conversation = _pin_from(options, settings), options.get("conversation")
    check_text("conversation", conversation, KEY_CHARS)
    parsed, x, tokens = _parse_query(query, options, pipeline)
    signals = _caller_signals(options)
    if signallers:
        signals = {**signals, **compute_signals(signallers, parsed, x)}
    deadline = _deadline_from(options, settings.router)
    if settings.cascade.enabled:
        signals = {**signals, **make_retry_signals(tokens, deadline)}
    request = Request(
        x=x,
        cost_weight=_resolve_cost_weight(options, settings.router, goal, pacing_state),
        limits=Limits(
            input_tokens=tokens,
            require=options.get("require") or (),
            allow=options.get("arms"),
            max_cost_usd=check_number("max_cost_usd", options.get("max_cost_usd"), math.inf),
            min_quality=check_number(
                "min_quality", options.get("min_quality"), settings.router.min_quality, most=1.0
            ),
            affordable_usd=math.inf if pin else affordable_usd(pacing_state, goal),
            forbid=options.get("forbid") or (),
            pin=pin,
            deadline=deadline,
        ),
        conversation=conversation,
        idempotency_key=options.get("idempotency_key"),
        query=parsed.text if parsed is not None and settings.router.log_queries else None,
        signals=signals,
        parent=options.get("instead_of"),
        since=None if conversation is None or pin else expiry_cutoff(settings.conversations, now),
    )
    return request, hash_request(request.idempotency_key, "route", query, given_options(options))


def _check_options(options: RouteOptions) -> None:
    """Raise InvalidInput for an unknown option, or a malformed name or list of names."""
    if unknown := options.keys() - RouteOptions.__annotations__.keys():
        allowed = ", ".join(RouteOptions.__annotations__)
        raise InvalidInput(min(unknown), "is not an option", f"use some of {allowed}")
    check_text("user_tier", options.get("user_tier"), KEY_CHARS)
    check_text("idempotency_key", options.get("idempotency_key"), KEY_CHARS)
    check_names("require", options.get("require"))
    check_names("arms", options.get("arms"))
    check_names("forbid", options.get("forbid"))


def _pin_from(options: RouteOptions, settings: Settings) -> Pin | None:
    """The arm that the caller or a workflow pins, if any. Raises InvalidInput."""
    override, workflow = options.get("override"), options.get("workflow")
    replaced = options.get("instead_of")
    if override is None and workflow is None and replaced is None:
        return None
    check_text("override", override, NAME_CHARS)
    check_text("workflow", workflow, NAME_CHARS)
    check_id(replaced, "instead_of")
    if override is None and replaced is not None:
        raise InvalidInput("instead_of", "comes without override", "name the arm to use instead")
    return make_pin(override, workflow, settings.workflow_arms())


def _parse_query(
    query: str | Sequence[Mapping[str, Any]] | None, options: RouteOptions, pipeline: Pipeline
) -> tuple[Query | None, FloatArray, int]:
    """The query, its context x and its input tokens; no query and 0 tokens for a caller who sends x."""
    features = options.get("features")
    if query is not None and features is None:
        parsed = read_query(query, user_tier=options.get("user_tier"))
        return parsed, pipeline.context(parsed), estimate_input_tokens(parsed)
    if features is not None and query is None:
        return None, pipeline.check_vector(features), 0
    raise InvalidInput("query", "and features exclude each other", "send exactly one of them")


def _caller_signals(options: RouteOptions) -> Signals:
    """The signals that the caller gives: tier and workflow."""
    tier, workflow = options.get("user_tier"), options.get("workflow")
    if tier is None and workflow is None:
        return NO_SIGNALS
    signals = {"tier": tier, "workflow": workflow}
    return {name: value for name, value in signals.items() if value is not None}


def _resolve_cost_weight(
    options: RouteOptions, section: RouterSection, goal: Goal | None, pacing_state: PacingState
) -> float:
    """λ, 1/USD: the caller's, or else that of the goal, or else the router's."""
    cost_weight = options.get("cost_weight")
    if cost_weight is None and goal is not None:
        return compute_cost_weight(pacing_state, goal)
    return check_number("cost_weight", cost_weight, section.cost_weight)


def _deadline_from(options: RouteOptions, section: RouterSection) -> Deadline | None:
    """The deadline of the call, if the caller gives one. Raises InvalidInput."""
    seconds, level = options.get("deadline_s"), options.get("deadline_level")
    if level is not None and seconds is None:
        raise InvalidInput("deadline_level", "comes without deadline_s", "send both, or neither")
    if seconds is None:
        return None
    deadline = Deadline(
        check_number("deadline_s", seconds, math.inf),
        check_number("deadline_level", level, section.deadline_level, most=1.0),
    )
    if deadline.seconds == 0.0:
        raise InvalidInput("deadline_s", "is 0", "give seconds above 0, or leave it out")
    if not 0.0 < deadline.level < 1.0:
        raise InvalidInput("deadline_level", f"is {deadline.level:g}", "give a number above 0 and below 1")
    return deadline
