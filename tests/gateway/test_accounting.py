"""What a call costs and what is measured of it, whichever way it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandit_router.gateway.accounting import CallRecord, make_end, make_metrics
from bandit_router.gateway.dialects import DIALECTS
from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.providers.scripted.forms import render
from bandit_router.types import CallEnd, CallOutcome, Usage
from tests.gateway.dialects.examples import REQUESTS
from tests.store.examples import decision

USAGE = Usage(input_tokens=100, output_tokens=40)
FORMATS: dict[str, dict[str, Any]] = {
    "chat": {"response_format": {"type": "json_object"}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
}
LONG = ("A piece of an answer. ",) * 1000
CUT = UpstreamError(FailureKind.CUT, "the answer ended early")

each_dialect = pytest.mark.parametrize("name", DIALECTS)
each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def price(usage: Usage) -> float:
    """A dollar for a token of input, two for one of output."""
    return usage.input_tokens + 2.0 * usage.output_tokens


def watch(name: str, scene: Scene, *, stream: bool, chunks: int | None = None, **fields: Any) -> CallRecord:
    """The record of a call whose answer has come, or the first ``chunks`` of it."""
    raw = json.dumps({**REQUESTS[name], **fields, "stream": stream}).encode()
    dialect = DIALECTS[name]
    request = dialect.read_request(raw)
    sent = ScriptedRequest.read(dialect.path, dialect.write_request(raw, request, "m"), {})
    assert sent is not None
    tap = dialect.open_tap(request)
    for chunk in render(scene, sent)[1][:chunks]:
        tap.feed(chunk)
    if chunks is None:
        tap.finish()
    expected = decision(expected_cost_usd=500.0)
    return CallRecord(decision=expected, started_at=0.0, sent=True, input_tokens=7, facts=tap.facts)


def measure(record: CallRecord) -> dict[str, float]:
    end = make_end(record, CallOutcome.ANSWERED, 1.0, price)
    return make_metrics(end, record.facts, is_fault=False)


@each_dialect
@each_way
@pytest.mark.parametrize(
    ("pieces", "invalid"),
    [
        (('{"city": ', '"Köln"}'), 0.0),
        (("[1,", " 2]"), 0.0),
        (('{"city": ', '"Kö'), 1.0),
        (('```json\n{"city": 1}\n', "```"), 1.0),
        (("Sure! ", "{}"), 1.0),
        ((), 1.0),
    ],
)
def test_json_that_was_asked_for_is_parsed(
    name: str, stream: bool, pieces: tuple[str, ...], invalid: float
) -> None:
    record = watch(name, Scene(pieces=pieces, usage=USAGE), stream=stream, **FORMATS[name])
    assert measure(record)["invalid_json"] == invalid


@each_dialect
@each_way
def test_no_json_is_missed_where_none_was_asked_for(name: str, stream: bool) -> None:
    asked = FORMATS[name]
    assert "invalid_json" not in measure(watch(name, Scene(pieces=("Hello",)), stream=stream))
    refusal = Scene(pieces=("No.",), finish="refusal")
    assert "invalid_json" not in measure(watch(name, refusal, stream=stream, **asked))
    call = Scene(tool=("f", "{}"), finish="tool")
    assert "invalid_json" not in measure(watch(name, call, stream=stream, **asked))


def end_of(record: CallRecord, outcome: CallOutcome) -> CallEnd:
    return make_end(record, outcome, 1.0, price, CUT if outcome is CallOutcome.CUT else None)


@each_dialect
@pytest.mark.parametrize("outcome", [CallOutcome.CUT, CallOutcome.LEFT])
def test_a_stream_that_ended_early_costs_what_has_passed_by(name: str, outcome: CallOutcome) -> None:
    record = watch(name, Scene(pieces=LONG, usage=USAGE), stream=True, chunks=900)
    end = end_of(record, outcome)
    assert not end.cost_reported
    assert end.cost_usd == pytest.approx(2 * 900 * len(LONG[0]) / 4, rel=0.02)


@each_dialect
@pytest.mark.parametrize("outcome", [CallOutcome.CUT, CallOutcome.LEFT])
def test_it_costs_at_least_what_was_expected(name: str, outcome: CallOutcome) -> None:
    record = watch(name, Scene(pieces=LONG, usage=USAGE), stream=True, chunks=8)
    assert end_of(record, outcome).cost_usd == 500.0


@each_dialect
@each_way
@pytest.mark.parametrize("tokens", [40, 0])
def test_usage_that_is_reported_is_the_cost_though_it_be_none(name: str, stream: bool, tokens: int) -> None:
    usage = Usage(input_tokens=tokens, output_tokens=tokens)
    end = end_of(watch(name, Scene(pieces=LONG, usage=usage), stream=stream), CallOutcome.ANSWERED)
    assert (end.cost_usd, end.cost_reported) == (3 * tokens, True)


@each_way
def test_an_answer_without_usage_costs_the_prompt_and_what_it_says(stream: bool) -> None:
    message = {"content": "x" * 400, "reasoning_content": "y" * 40}
    event = json.dumps({"id": "c", "choices": [{"delta": message, "finish_reason": "stop"}]})
    body = json.dumps({"id": "c", "choices": [{"message": message, "finish_reason": "stop"}]})
    raw = f"data: {event}\n\ndata: [DONE]\n\n" if stream else body
    end = end_of(watch("chat", Scene(raw=raw.encode()), stream=stream), CallOutcome.ANSWERED)
    assert (end.cost_usd, end.cost_reported) == (7 + 2 * 110, False)


def test_a_call_that_was_refused_or_never_sent_costs_nothing() -> None:
    refused = UpstreamError(FailureKind.STATUS, "upstream answered 500", status=500)
    record = watch("chat", Scene(), stream=True, chunks=0)
    assert make_end(record, CallOutcome.FAILED, 1.0, price, refused).cost_usd == 0.0
    record.sent = False
    assert make_end(record, CallOutcome.LEFT, 1.0, price).cost_usd == 0.0
