"""Messages: what is read of a request, and usage that grows from event to event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandit_router.gateway.dialects import DIALECTS, DialectRequest
from bandit_router.types import Need, Usage
from tests.gateway.dialects.examples import REQUESTS
from tests.gateway.dialects.examples.example import named
from tests.gateway.dialects.examples.messages import MESSAGE_START, block, message, message_delta

MESSAGES = DIALECTS["messages"]
USER, AGAIN = {"role": "user", "content": "Why?"}, {"role": "user", "content": "And then?"}
SAID = {"role": "assistant", "content": [{"type": "text", "text": "Because."}]}


def read(**members: Any) -> DialectRequest:
    return MESSAGES.read_request(json.dumps({**REQUESTS["messages"], **members}).encode())


def test_what_is_read() -> None:
    request = read(stream=True, system="Be brief.", metadata={"user_id": "u"})
    assert (request.stream, request.max_output_tokens, request.wants_usage) == (True, 64, True)
    assert request.fields == {"model", "max_tokens", "messages", "stream", "system", "metadata"}
    assert request.options == {}


def test_needs() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}}
    request = read(messages=[{"role": "user", "content": [image]}], tools=[{"name": "f", "input_schema": {}}])
    assert set(request.prompt.needs) == {Need.VISION, Need.TOOLS}


def test_thread() -> None:
    first = read(system="Be brief.")
    cached = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    later = read(system=cached, messages=[USER, SAID, AGAIN])
    assert first.thread is None
    assert later.thread == first.new_thread is not None
    assert read(messages=[USER, SAID]).thread is None  # a prefill


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "EqoB"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{"type": "web_search_result", "encrypted_content": "EoQB", "url": "u", "title": "t"}],
        },
    ],
)
def test_signed_and_encrypted_parts_pin(part: dict[str, Any]) -> None:
    pin = read(messages=[USER, {"role": "assistant", "content": [part]}, AGAIN]).pin
    assert pin is not None
    assert pin.startswith("signature:")


def test_arguments_named_signature_do_not_pin() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "sign", "input": {"signature": "mine"}}
    assert read(messages=[USER, {"role": "assistant", "content": [call]}, AGAIN]).pin is None


def test_later_counts_replace_earlier_ones() -> None:
    tap = MESSAGES.open_tap(read(stream=True))
    tap.feed(named(MESSAGE_START, message_delta("end_turn", input_tokens=700, cache_read_input_tokens=None)))
    assert tap.facts.usage == Usage(
        input_tokens=700, cache_read_tokens=1000, cache_write_tokens=50, output_tokens=90
    )


@pytest.mark.parametrize(
    ("members", "tier"),
    [
        ({"service_tier": "standard"}, None),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
    ],
)
def test_service_tier(members: dict[str, str], tier: str | None) -> None:
    tap = MESSAGES.open_tap(read())
    usage = {"input_tokens": 5, "output_tokens": 5, **members}
    tap.feed(json.dumps(message([], "end_turn", usage)).encode())
    tap.finish()
    assert tap.facts.usage is not None
    assert tap.facts.usage.service_tier == tier


@pytest.mark.parametrize("kind", ["redacted_thinking", "server_tool_use", "text"])
def test_blocks_that_are_content_by_themselves(kind: str) -> None:
    tap = MESSAGES.open_tap(read(stream=True))
    tap.feed(named(MESSAGE_START, block(kind, **({"text": "a"} if kind == "text" else {}))))
    assert tap.facts.began


def test_count_of_tokens_passes() -> None:
    tap = MESSAGES.open_tap(read())
    tap.feed(b'{"input_tokens": 14}')
    tap.finish()
    assert tap.facts.complete
    assert tap.facts.error is None


def test_an_error_in_one_piece() -> None:
    tap = MESSAGES.open_tap(read())
    tap.feed(MESSAGES.error_body(529, "sk-secret"))
    tap.finish()
    assert tap.facts.error == "overloaded_error"
