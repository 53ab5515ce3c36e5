"""Spans: one for each decision and each call, in the caller's trace, and no text in any of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import bandit_router
from bandit_router.providers.scripted import Scene
from bandit_router.types import Usage
from tests.gateway.conftest import arms_to, read_calls

SECRET = "a text of the user"
FAILS = Scene(status=500)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=Usage(input_tokens=8, output_tokens=3))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is exported meanwhile; the process has no tracer provider before and after."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda *_, **__: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def test_a_decision_and_a_call_that_falls_back_are_spans_of_the_callers_trace(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    with arms_to(tmp_path, {"cheap": FAILS, "dear": HELLO}) as (settings, _):
        http_client = bandit_router.http_client(settings)
        with openai.OpenAI(api_key="in-process", http_client=http_client, max_retries=0) as client:
            client.chat.completions.create(
                model="auto",
                messages=[{"role": "user", "content": SECRET}],
                extra_headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
            )
        (first, _), (second, end) = read_calls(tmp_path / "router.db", 2)
    finished = [span for span in spans.get_finished_spans() if span.instrumentation_scope is not None]
    routes = [span for span in finished if span.name == "route"]
    failed, answered = sorted((s for s in finished if s.kind is SpanKind.CLIENT), key=lambda s: s.name)
    assert [attributes(s)["bandit_router.decision"] for s in routes] == [first.id, second.id]
    assert {s.context.trace_id for s in (*routes, failed, answered)} == {int(TRACE, 16)}
    assert all(s.parent is not None and s.parent.span_id == int(PARENT, 16) for s in routes)
    assert (failed.name, failed.status.status_code) == ("chat cheap-model", StatusCode.ERROR)
    assert attributes(failed)["error.type"] == "500"
    assert (
        attributes(answered).items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "dear-model",
            "gen_ai.response.id": end.answer_id,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 8,
            "gen_ai.usage.output_tokens": 3,
            "bandit_router.decision": second.id,
            "bandit_router.arm": "dear",
            "bandit_router.cost_usd": end.cost_usd,
        }.items()
    )
    assert SECRET not in json.dumps([json.loads(span.to_json()) for span in finished])


def test_the_library_traces_its_decisions(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    with arms_to(tmp_path, {"cheap": HELLO}) as (settings, _), bandit_router.Router.open(settings) as router:
        decision = router.route(SECRET)
        with pytest.raises(bandit_router.RouterError):
            router.route(SECRET, forbid=["cheap"])
    refused, routed = sorted(spans.get_finished_spans(), key=lambda s: len(attributes(s)))
    assert attributes(routed)["bandit_router.arm"] == decision.arm
    assert attributes(routed)["bandit_router.propensity"] == 1.0
    assert refused.status.status_code is StatusCode.ERROR


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
