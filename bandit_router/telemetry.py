"""OpenTelemetry: a span for each decision and one for each call, where the program has a tracer provider.

Without one they are nothing, and cost next to nothing. The names of attributes are those of the conventions
for generative AI, which are still in development: they stand here and nowhere else
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans). Texts are never part of a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from bandit_router.types import CallEnd, CallOutcome, Decision, Usage

_SCOPE = "bandit_router"

_OPERATION = "gen_ai.operation.name"
_PROVIDER = "gen_ai.provider.name"
_REQUEST_MODEL = "gen_ai.request.model"
_RESPONSE_MODEL = "gen_ai.response.model"
_RESPONSE_ID = "gen_ai.response.id"
_FINISH_REASONS = "gen_ai.response.finish_reasons"
_INPUT_TOKENS = "gen_ai.usage.input_tokens"
_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
_CONVERSATION = "gen_ai.conversation.id"
_ERROR_TYPE = "error.type"
_STATUS = "http.response.status_code"

_DECISION = "bandit_router.decision"
_ARM = "bandit_router.arm"
_REASON = "bandit_router.reason"
_PROPENSITY = "bandit_router.propensity"
_SNAPSHOT = "bandit_router.snapshot"
_COST = "bandit_router.cost_usd"
_OUTCOME = "bandit_router.outcome"

_CHAT = "chat"
_TRACE_HEADER = b"traceparent"


@contextmanager
def join_trace(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[None]:
    """Make spans of the block part of the trace that a request's headers name, if they name one."""
    if not any(name == _TRACE_HEADER for name, _ in headers):
        yield
        return
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def trace_route() -> AbstractContextManager[Span]:
    """A span around a decision."""
    return trace.get_tracer(_SCOPE).start_as_current_span("route")


def describe_decision(span: Span, decision: Decision) -> None:
    """Say in the span of a decision what was decided."""
    if span.is_recording():
        span.set_attributes(
            {
                _DECISION: decision.id,
                _ARM: decision.arm,
                _REASON: decision.reason.value,
                _PROPENSITY: decision.propensity,
                _SNAPSHOT: decision.snapshot,
            }
        )


def begin_call(decision: Decision, provider: str, model: str) -> Span:
    """The span of a call that begins now."""
    span = trace.get_tracer(_SCOPE).start_span(f"{_CHAT} {model}", kind=SpanKind.CLIENT)
    if span.is_recording():
        span.set_attributes(
            {
                _OPERATION: _CHAT,
                _PROVIDER: provider,
                _REQUEST_MODEL: model,
                _DECISION: decision.id,
                _ARM: decision.arm,
            }
        )
        if decision.conversation is not None:
            span.set_attribute(_CONVERSATION, decision.conversation)
    return span


def end_call(span: Span, end: CallEnd) -> None:
    """End the span of a call as the call ended."""
    if span.is_recording():
        usage, finish = end.usage, end.finish
        known = {
            _OUTCOME: end.outcome.value,
            _COST: end.cost_usd,
            _STATUS: end.status,
            _RESPONSE_MODEL: end.served_model,
            _RESPONSE_ID: end.answer_id,
            _FINISH_REASONS: None if finish is None else [finish],
            _INPUT_TOKENS: None if usage is None else _count_input(usage),
            _OUTPUT_TOKENS: None if usage is None else usage.output_tokens,
        }
        span.set_attributes({name: value for name, value in known.items() if value is not None})
        if end.outcome in (CallOutcome.FAILED, CallOutcome.CUT):
            span.set_attribute(_ERROR_TYPE, end.outcome.value if end.status is None else str(end.status))
            span.set_status(StatusCode.ERROR)
    span.end()


def _count_input(usage: Usage) -> int:
    """All tokens of the prompt: the conventions count cached ones in."""
    return usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
