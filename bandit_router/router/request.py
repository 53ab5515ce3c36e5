"""What may be asked of :meth:`Router.route`, and the request that comes of it once it is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from bandit_router.cascade.escalation import signals_of
from bandit_router.errors import InvalidInput
from bandit_router.features import Pipeline, input_tokens, read_query
from bandit_router.objective.pacing import PacingState, affordable_usd, cost_weight_of
from bandit_router.router.conversations import since_of
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import Request
from bandit_router.routing.eligibility import Limits
from bandit_router.routing.precedence import Pin, make_pin
from bandit_router.settings import Settings
from bandit_router.settings.routing import RouterSection
from bandit_router.signals import Signaller, read_signals
from bandit_router.types import NO_SIGNALS, FloatArray, Goal, Query, Signals
from bandit_router.validation import (
    KEY_CHARS,
    NAME_CHARS,
    check_id,
    check_names,
    check_number,
    check_text,
    digest_of,
)


class RouteOptions(TypedDict, total=False):
    """What :meth:`Router.route` takes besides the query. All of it is optional."""

    features: Sequence[float] | FloatArray | None
    """Your own context instead of a query: d − 1 numbers, the bias is added."""
    user_tier: str | None
    """Tier of the user; "premium" and "free" are features."""
    cost_weight: float | None
    """Reward given up to save one dollar, 1/USD; the router's own, or its goal's, by default."""
    max_cost_usd: float | None
    """Most that the call may be expected to cost, USD."""
    min_quality: float | None
    """Reward that a model may be expected to reach; the router's by default. The best stays."""
    require: Sequence[str]
    """Capabilities the model must have."""
    arms: Sequence[str] | None
    """The only arms acceptable, by name."""
    conversation: str | None
    """Your id of the conversation, which keeps its arm unless ``conversations.sticky`` is off."""
    idempotency_key: str | None
    """The same key with the same request returns the same decision."""
    forbid: Sequence[str]
    """Arms that are not acceptable, by name."""
    override: str | None
    """The arm it has to be, by name, whatever the policy, a workflow or the conversation would choose."""
    instead_of: str | None
    """With ``override``: the decision whose answer would not do. It gets the feedback override = 1."""
    workflow: str | None
    """One of the workflows of the settings, which says what arm it has to be."""
    deadline_s: float | None
    """Seconds within which the call is to be answered."""
    deadline_level: float | None
    """How often, in (0, 1); the router's own by default."""


def make_request(
    query: str | Sequence[Mapping[str, Any]] | None,
    options: RouteOptions,
    *,
    settings: Settings,
    pipeline: Pipeline,
    signallers: Sequence[Signaller],
    goal: Goal | None,
    pace: PacingState,
    now: float,
) -> tuple[Request, str]:
    """Check what :meth:`Router.route` was given: a request, and the digest that tells it from another.

    ``pace`` is how the ``goal`` stands at ``now``, Unix time. Raises InvalidInput.
    """
    _check_options(options)
    pin, conversation = _pin(options, settings), options.get("conversation")
    check_text("conversation", conversation, KEY_CHARS)
    read, x, tokens = _read(query, options, pipeline)
    signals = _signals(options)
    if signallers:
        signals = {**signals, **read_signals(signallers, read, x)}
    deadline = _deadline(options, settings.router)
    if settings.cascade.enabled:
        signals = {**signals, **signals_of(tokens, deadline)}
    request = Request(
        x=x,
        cost_weight=_cost_weight(options, settings.router, goal, pace),
        limits=Limits(
            input_tokens=tokens,
            require=options.get("require") or (),
            allow=options.get("arms"),
            max_cost_usd=check_number("max_cost_usd", options.get("max_cost_usd"), math.inf),
            min_quality=check_number(
                "min_quality", options.get("min_quality"), settings.router.min_quality, most=1.0
            ),
            affordable_usd=math.inf if pin else affordable_usd(pace, goal),
            forbid=options.get("forbid") or (),
            pin=pin,
            deadline=deadline,
        ),
        conversation=conversation,
        idempotency_key=options.get("idempotency_key"),
        query=read.text if read is not None and settings.router.log_queries else None,
        signals=signals,
        parent=options.get("instead_of"),
        since=None if conversation is None or pin else since_of(settings.conversations, now),
    )
    return request, digest_of(request.idempotency_key, "route", query, options)


def _check_options(options: RouteOptions) -> None:
    if unknown := options.keys() - RouteOptions.__annotations__.keys():
        allowed = ", ".join(RouteOptions.__annotations__)
        raise InvalidInput(min(unknown), "is not an option", f"use some of {allowed}")
    check_text("user_tier", options.get("user_tier"), KEY_CHARS)
    check_text("idempotency_key", options.get("idempotency_key"), KEY_CHARS)
    check_names("require", options.get("require"))
    check_names("arms", options.get("arms"))
    check_names("forbid", options.get("forbid"))


def _pin(options: RouteOptions, settings: Settings) -> Pin | None:
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


def _read(
    query: str | Sequence[Mapping[str, Any]] | None, options: RouteOptions, pipeline: Pipeline
) -> tuple[Query | None, FloatArray, int]:
    """The query, its context and how many tokens it has; of a caller who sends vectors only the context."""
    features = options.get("features")
    if query is not None and features is None:
        read = read_query(query, user_tier=options.get("user_tier"))
        return read, pipeline.context(read), input_tokens(read)
    if features is not None and query is None:
        return None, pipeline.check_vector(features), 0
    raise InvalidInput("query", "and features exclude each other", "send exactly one of them")


def _signals(options: RouteOptions) -> Signals:
    """What the caller says of a query besides its context."""
    tier, workflow = options.get("user_tier"), options.get("workflow")
    if tier is None and workflow is None:
        return NO_SIGNALS
    known = {"tier": tier, "workflow": workflow}
    return {name: value for name, value in known.items() if value is not None}


def _cost_weight(
    options: RouteOptions, section: RouterSection, goal: Goal | None, pace: PacingState
) -> float:
    asked = options.get("cost_weight")
    if asked is None and goal is not None:
        return cost_weight_of(pace, goal)
    return check_number("cost_weight", asked, section.cost_weight)


def _deadline(options: RouteOptions, section: RouterSection) -> Deadline | None:
    seconds, level = options.get("deadline_s"), options.get("deadline_level")
    if level is not None and seconds is None:
        raise InvalidInput("deadline_level", "is there without deadline_s", "send both, or neither")
    if seconds is None:
        return None
    asked = Deadline(
        check_number("deadline_s", seconds, math.inf),
        check_number("deadline_level", level, section.deadline_level, most=1.0),
    )
    if asked.seconds == 0.0:
        raise InvalidInput("deadline_s", "is 0", "give seconds above 0, or leave it out")
    if not 0.0 < asked.level < 1.0:
        raise InvalidInput("deadline_level", f"is {asked.level:g}", "give a number above 0 and below 1")
    return asked
