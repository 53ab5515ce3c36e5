"""The options of :meth:`Router.route`: check them, and make the request to decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from bandit_router.cascade.retry import make_retry_signals
from bandit_router.errors import ArmForbidden, InvalidInput
from bandit_router.features import (
    NO_INSTRUCTIONS,
    Pipeline,
    Prompt,
    PromptSource,
    TaskSource,
    query_from_prompt,
    read_prompt,
)
from bandit_router.objective.pacing import PacingState, affordable_usd, compute_cost_weight
from bandit_router.router.conversations import expiry_cutoff
from bandit_router.router.options import (
    CallRequest,
    RouteOptions,
    check_one_source,
    check_option_names,
    given_options,
)
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import Request
from bandit_router.routing.eligibility import Limits
from bandit_router.routing.precedence import Pin, make_pin
from bandit_router.security.users import hash_user
from bandit_router.settings import Settings
from bandit_router.settings.routing import RouterSection
from bandit_router.signals import Signaller, compute_signals
from bandit_router.types import (
    DIALECT,
    INCUMBENT,
    NEEDS,
    NO_SIGNALS,
    NO_TASK,
    TIER,
    WILL_BE_RATED,
    FloatArray,
    Goal,
    Query,
    Reason,
    Signals,
)
from bandit_router.validation import (
    KEY_CHARS,
    NAME_CHARS,
    USER_CHARS,
    check_boolean,
    check_count,
    check_names,
    check_number,
    check_text,
    hash_request,
    read_id,
    read_task,
)


def make_request(
    source: PromptSource | None,
    options: RouteOptions,
    *,
    settings: Settings,
    pipeline: Pipeline,
    signallers: Sequence[Signaller],
    goal: Goal | None,
    pacing_state: PacingState,
    now: float,
    user_secret: str,
    find_task: Callable[[TaskSource], int | None],
    granted: Collection[str] | None = None,
    key_id: str | None = None,
    is_call: bool = False,
) -> tuple[Request, str]:
    """Check the arguments of :meth:`Router.route`: a request, and the digest that identifies it.

    ``pacing_state`` is the state of ``goal`` at ``now``, Unix time. Users are hashed with ``user_secret``.
    With ``granted``, the caller may have only these arms called; ``key_id`` is logged with the decision.
    A call of the gateway goes by its system prompt where it names no task, unless the settings say otherwise.
    The request keeps the ``task_source`` of a task whose number ``find_task`` does not know.
    Raises InvalidInput, or ArmForbidden for an override.
    """
    options = _check_options(options)
    pin, conversation = _pin_from(options, settings), options.get("conversation")
    if pin is not None and pin.reason is Reason.OVERRIDE and granted is not None and pin.arm not in granted:
        raise ArmForbidden(pin.arm)
    check_text("conversation", conversation, KEY_CHARS)
    prompt, query, x = _read_context(source, options, pipeline)
    signals = _given_signals(options, prompt)
    if signallers:
        signals = {**signals, **compute_signals(signallers, query, x)}
    deadline = _deadline_from(options, settings.router)
    tokens, window_tokens = _count_tokens(prompt, options.get("input_tokens"))
    if settings.cascade.enabled:
        signals = {**signals, **make_retry_signals(tokens, deadline)}
    task_source = _find_task_source(options, prompt, _goes_by_prompt(settings.features.task, is_call))
    task = None if task_source is None else find_task(task_source)
    request = Request(
        x=x,
        cost_weight=_resolve_cost_weight(options, settings.router, goal, pacing_state),
        limits=Limits(
            input_tokens=tokens,
            window_tokens=window_tokens,
            needs=() if prompt is None else prompt.needs,
            require=options.get("require") or (),
            allow=options.get("arms"),
            granted=granted,
            max_cost_usd=check_number("max_cost_usd", options.get("max_cost_usd"), math.inf),
            min_quality=check_number(
                "min_quality", options.get("min_quality"), settings.router.min_quality, most=1.0
            ),
            affordable_usd=math.inf if pin else affordable_usd(pacing_state, goal),
            forbid=options.get("forbid") or (),
            incumbent=options.get("incumbent"),
            pin=pin,
            deadline=deadline,
        ),
        conversation=conversation,
        idempotency_key=options.get("idempotency_key"),
        query=query.text or None if query is not None and settings.router.log_queries else None,
        user=_name_user(options.get("user"), settings.router, user_secret),
        signals=signals,
        parent=options.get("instead_of"),
        since=None if conversation is None or pin else expiry_cutoff(settings.conversations, now),
        key_id=key_id,
        task=NO_TASK if task is None else task,
        task_source=task_source if task is None else None,
    )
    # Another caller's decision may be of an arm that this one may not have.
    bound = () if granted is None else (sorted(granted),)
    return request, hash_request(request.idempotency_key, "route", source, given_options(options), *bound)


def add_call(request: Request, call: CallRequest, now: float) -> Request:
    """The request for a decision whose arm is called at once."""
    is_fallback = call.failed is not None
    return replace(
        request,
        limits=request.limits._replace(mask=call.mask),
        signals={**request.signals, **call.signals, DIALECT: call.dialect},
        parent=call.failed if is_fallback else request.parent,
        fallback=is_fallback,
        since=now if call.new_conversation and request.since is not None else request.since,
    )


def _check_options(options: RouteOptions) -> RouteOptions:
    """The options, with a decision id in the form it is logged in.

    Raises InvalidInput for an unknown option, or a malformed name or list of names.
    """
    check_option_names(options)
    check_text("user", options.get("user"), USER_CHARS)
    check_text("user_tier", options.get("user_tier"), KEY_CHARS)
    check_text("incumbent", options.get("incumbent"), NAME_CHARS)
    check_text("idempotency_key", options.get("idempotency_key"), KEY_CHARS)
    check_count("input_tokens", options.get("input_tokens"))
    check_boolean("will_be_rated", options.get("will_be_rated"))
    check_names("require", options.get("require"))
    check_names("arms", options.get("arms"))
    check_names("forbid", options.get("forbid"))
    replaced = options.get("instead_of")
    return options if replaced is None else {**options, "instead_of": read_id(replaced, "instead_of")}


def _pin_from(options: RouteOptions, settings: Settings) -> Pin | None:
    """The arm that the caller or a workflow pins, if any. Raises InvalidInput."""
    override, workflow = options.get("override"), options.get("workflow")
    replaced = options.get("instead_of")
    if override is None and workflow is None and replaced is None:
        return None
    check_text("override", override, NAME_CHARS)
    check_text("workflow", workflow, NAME_CHARS)
    if override is None and replaced is not None:
        raise InvalidInput("instead_of", "comes without override", "name the arm to use instead")
    return make_pin(override, workflow, settings.workflow_arms())


def _read_context(
    source: PromptSource | None, options: RouteOptions, pipeline: Pipeline
) -> tuple[Prompt | None, Query | None, FloatArray]:
    """The prompt, its query and its context x; only x for a caller who sends x. Raises InvalidInput."""
    check_one_source(source, options)
    if source is not None:
        prompt = read_prompt(source)
        query = query_from_prompt(prompt, user_tier=options.get("user_tier"))
        return prompt, query, pipeline.context(query)
    features = options.get("features")
    assert features is not None
    return None, None, pipeline.check_vector(features)


def _count_tokens(prompt: Prompt | None, counted: int | None) -> tuple[int, int]:
    """The input tokens, and the number that they rarely exceed: the caller's count, or else the estimates."""
    if counted is not None:
        return counted, counted
    return (0, 0) if prompt is None else (prompt.input_tokens, prompt.window_tokens)


def _goes_by_prompt(setting: str | None, is_call: bool) -> bool:
    return is_call if setting is None else setting == "system-prompt"


def _find_task_source(options: RouteOptions, prompt: Prompt | None, by_prompt: bool) -> TaskSource | None:
    """What names the task: the caller, or else the prompt if that may. Raises InvalidInput."""
    task = options.get("task")
    if task is not None:
        return read_task("task", task)
    if not by_prompt or prompt is None or prompt.instructions == NO_INSTRUCTIONS:
        return None
    return prompt.instructions


def _name_user(user: str | None, section: RouterSection, secret: str) -> str | None:
    """The user as the log has it."""
    return user if user is None or section.log_users else hash_user(secret, user)


def _given_signals(options: RouteOptions, prompt: Prompt | None) -> Signals:
    """The signals that come with the call: tier, workflow, needs of the prompt, whether it will be rated."""
    tier, workflow = options.get("user_tier"), options.get("workflow")
    rated, incumbent = options.get("will_be_rated"), options.get("incumbent")
    needs = None if prompt is None else ",".join(prompt.needs) or None
    if tier is None and workflow is None and needs is None and rated is None and incumbent is None:
        return NO_SIGNALS
    coin = None if rated is None else float(rated)
    signals = {
        TIER: tier,
        "workflow": workflow,
        NEEDS: needs,
        WILL_BE_RATED: coin,
        INCUMBENT: incumbent,
    }
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
