"""The account of a call: its end, its cost, and the metrics of its decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import jiter

from bandit_router.gateway.dialects.base import AnswerFacts
from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.types import CallEnd, CallOutcome, Decision, Usage

PriceUsage = Callable[[Usage], float]
"""USD for the tokens of a call that ended now."""

_BYTES_PER_TOKEN = 4

_TOOL_FINISHES = ("tool_calls", "function_call", "tool_use")
_REQUEST_IDS = ("x-request-id", "request-id")


@dataclass(kw_only=True, slots=True)
class CallRecord:
    """What is known of a call while it goes on. Times are those of the monotonic clock, seconds.

    ``input_tokens`` is how many the prompt is likely to have.
    """

    decision: Decision
    started_at: float
    input_tokens: int
    sent: bool = False
    first_content_at: float | None = None
    status: int | None = None
    headers: Sequence[tuple[str, str]] = ()
    facts: AnswerFacts = field(default_factory=AnswerFacts)


def make_end(
    call: CallRecord,
    outcome: CallOutcome,
    ended_at: float,
    price: PriceUsage,
    failure: UpstreamError | None = None,
) -> CallEnd:
    """The end of a call, at ``ended_at`` on the monotonic clock."""
    facts = call.facts
    cost_usd, reported = _find_cost(call, outcome, price, failure)
    error = facts.error if failure is None else f"{failure.kind}: {failure}"
    return CallEnd(
        decision_id=call.decision.id,
        outcome=outcome,
        cost_usd=cost_usd,
        cost_reported=reported,
        ttft_s=None if call.first_content_at is None else call.first_content_at - call.started_at,
        latency_s=ended_at - call.started_at,
        status=call.status,
        usage=facts.usage,
        served_model=facts.served_model,
        request_id=_read_request_id(call.headers),
        answer_id=facts.answer_id,
        finish=facts.finish,
        error=error,
    )


def make_metrics(
    end: CallEnd,
    facts: AnswerFacts,
    *,
    is_fault: bool,
    wants_json: bool = True,
    in_conversation: bool = False,
) -> dict[str, float]:
    """What a call says of its decision. Without ``wants_json`` a text that is kept need not be JSON.

    The next request of a conversation may revise what is 0 so far: see
    :mod:`bandit_router.gateway.follow_ups`.

    ``error`` is upstream's fault alone. A call that failed, was cut or was left says nothing of how long an
    answer takes, nor of how it would have ended.
    """
    metrics = {"cost_usd": end.cost_usd}
    if is_fault:
        metrics["error"] = 1.0
    if end.ttft_s is not None:
        metrics["ttft_s"] = end.ttft_s
    if end.outcome is CallOutcome.LEFT:
        metrics["abandoned"] = 1.0
    if end.outcome is CallOutcome.ANSWERED and end.latency_s is not None:
        metrics |= {
            "error": 0.0,
            "latency_s": end.latency_s,
            "refusal": float(facts.refused),
            "truncated": float(facts.truncated),
            "empty": float(facts.empty),
            "abandoned": 0.0,
        }
        if in_conversation:
            metrics["regenerated"] = 0.0
        if facts.finish in _TOOL_FINISHES:
            metrics["tool_error"] = 0.0
        if wants_json and facts.text is not None and is_final_text(facts):
            metrics["invalid_json"] = float(not _is_json("".join(facts.text)))
    return metrics


def _find_cost(
    call: CallRecord, outcome: CallOutcome, price: PriceUsage, failure: UpstreamError | None
) -> tuple[float, bool]:
    """The cost, USD, and whether it follows from the usage upstream reported.

    A call that upstream refused, or that it never got, costs nothing. One that ended early costs what has
    passed by, and at least what was expected of it: upstream may have gone on.
    """
    usage, expected_usd = call.facts.usage, call.decision.expected_cost_usd
    if usage is not None and (outcome is CallOutcome.ANSWERED or call.facts.complete):
        return price(usage), True
    refused = failure is not None and failure.kind in (FailureKind.STATUS, FailureKind.CONNECT)
    if usage is None and (refused or not call.sent):
        return 0.0, False
    passed_usd = price(_estimate_usage(call))
    return passed_usd if call.facts.complete else max(expected_usd, passed_usd), False


def _estimate_usage(call: CallRecord) -> Usage:
    """The tokens of what has passed by; upstream's counts so far where they are more."""
    usage = call.facts.usage or Usage(input_tokens=call.input_tokens)
    passed = -(-call.facts.output_bytes // _BYTES_PER_TOKEN)
    return replace(usage, output_tokens=max(usage.output_tokens, passed))


def is_final_text(facts: AnswerFacts) -> bool:
    """Whether an answer is to be read as a text: it is no refusal, and calls no tool."""
    return not facts.refused and facts.finish not in _TOOL_FINISHES and bool(facts.text or facts.empty)


def _is_json(text: str) -> bool:
    try:
        jiter.from_json(text.encode(), allow_inf_nan=False)
    except ValueError:
        return False
    return True


def _read_request_id(headers: Sequence[tuple[str, str]]) -> str | None:
    values: Mapping[str, str] = {name.lower(): value for name, value in headers}
    return next((values[name] for name in _REQUEST_IDS if name in values), None)
