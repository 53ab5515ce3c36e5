"""Calls of the router's own: in the log before they are sent, priced, and ended exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from bandit_router.features import read_prompt
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.worst_case import price_worst
from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.router import AsyncRouter
from bandit_router.store.own_calls import OwnBudget, OwnCallPlan
from bandit_router.types import CallOutcome, CallResult, Purpose

_PATIENCE_S = 60.0
_COSTS_NOTHING = FailureKind.STATUS, FailureKind.CONNECT


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRequest:
    """A text that an arm is to answer for the router itself. The other fields are those of its call."""

    purpose: Purpose
    text: str
    max_output_tokens: int
    budget: OwnBudget | None = None
    decision_id: str | None = None
    run: str | None = None
    item: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnAnswer:
    """An answer, and what it took."""

    call_id: str
    text: str
    result: CallResult


def _keep_nothing(answer: OwnAnswer) -> None:
    del answer


async def make_own_call(
    router: AsyncRouter,
    arm: CallableArm,
    request: OwnRequest,
    keep: Callable[[OwnAnswer], None] = _keep_nothing,
) -> OwnAnswer:
    """The answer of an arm, as :func:`finish_own_call` has it. Raises OwnBudgetSpent before that, too."""
    call_id = await begin_own_call(router, arm, request)
    return await finish_own_call(router, arm, request, call_id, keep)


async def begin_own_call(router: AsyncRouter, arm: CallableArm, request: OwnRequest) -> str:
    """The id of a call that is in the log now, and is to be sent. Raises OwnBudgetSpent."""
    return await router.begin_own_call(_plan_call(arm, request), request.budget)


async def finish_own_call(
    router: AsyncRouter,
    arm: CallableArm,
    request: OwnRequest,
    call_id: str,
    keep: Callable[[OwnAnswer], None],
) -> OwnAnswer:
    """Send a call that has begun. ``keep``, which may block, stores the answer before the call is ended.

    A call that is cancelled is not ended: upstream may go on with it, and it is lost when its time is over.
    Raises UpstreamError.
    """
    began = time.monotonic()
    try:
        completion = await arm.provider.complete(request.text, max_output_tokens=request.max_output_tokens)
    except UpstreamError as failure:
        await router.end_own_call(call_id, _make_failure(arm, request, failure, time.monotonic() - began))
        raise
    result = CallResult(
        outcome=CallOutcome.ANSWERED,
        cost_usd=arm.price(completion.usage),
        cost_reported=True,
        latency_s=time.monotonic() - began,
        usage=completion.usage,
        served_model=completion.model,
    )
    answer = OwnAnswer(call_id=call_id, text=completion.text, result=result)
    await asyncio.to_thread(keep, answer)
    await router.end_own_call(call_id, result)
    return answer


def _plan_call(arm: CallableArm, request: OwnRequest) -> OwnCallPlan:
    return OwnCallPlan(
        purpose=request.purpose,
        arm=arm.name,
        worst_usd=find_worst_usd(arm, request),
        lost_after_s=arm.timeout_s + _PATIENCE_S,
        decision_id=request.decision_id,
        run=request.run,
        item=request.item,
    )


def _make_failure(
    arm: CallableArm, request: OwnRequest, failure: UpstreamError, latency_s: float
) -> CallResult:
    """A call that upstream refused, or never got, costs nothing; any other may have cost the most."""
    return CallResult(
        outcome=CallOutcome.FAILED,
        cost_usd=0.0 if failure.kind in _COSTS_NOTHING else find_worst_usd(arm, request),
        latency_s=latency_s,
        status=failure.status,
        error=f"{failure.kind}: {failure}",
    )


def find_worst_usd(arm: CallableArm, request: OwnRequest) -> float:
    """The most that a call may cost, if upstream keeps to ``max_output_tokens``."""
    return price_worst(arm, read_prompt(request.text).window_tokens, request.max_output_tokens)
