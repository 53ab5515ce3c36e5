"""Responses: what is read of a request, and answers that end in other ways than the examples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects import DIALECTS, DialectRequest
from bandit_router.types import Need
from tests.gateway.dialects.examples import REQUESTS
from tests.gateway.dialects.examples.example import body, named
from tests.gateway.dialects.examples.responses import event, response

RESPONSES = DIALECTS["responses"]
USER, AGAIN = {"role": "user", "content": "Why?"}, {"role": "user", "content": "And then?"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Because."}]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "5"}


def read(**members: Any) -> DialectRequest:
    return RESPONSES.read_request(json.dumps({**REQUESTS["responses"], **members}).encode())


def test_what_is_read() -> None:
    request = read(stream=True, max_output_tokens=7, prompt_cache_key="k", metadata={"x-bandit-user": "u"})
    assert (request.stream, request.max_output_tokens, request.cache_key) == (True, 7, "k")
    assert request.options == {"user": "u"}
    assert request.fields == {"model", "input", "stream", "max_output_tokens", "prompt_cache_key"}
    assert request.prompt.text == "Why?"
    assert request.wants_usage


def test_needs() -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    request = read(input=[image], tools=[{"type": "function"}], text={"format": {"type": "json_schema"}})
    assert set(request.prompt.needs) == {Need.VISION, Need.TOOLS, Need.JSON}


def test_input_may_be_missing_where_upstream_has_it() -> None:
    raw = b'{"model": "auto", "prompt": {"id": "pmpt_1"}}'
    assert RESPONSES.read_request(raw).prompt.text == ""
    with pytest.raises(InvalidInput, match=r"^input: "):
        RESPONSES.read_request(b'{"model": "auto"}')


def test_thread() -> None:
    first = read(instructions="Be brief.", input=[USER])
    assert first.thread is None
    assert read(instructions="Be brief.", input="Why?").new_thread == first.new_thread is not None
    for turns in ([USER, SAID, AGAIN], [USER, CALL, RESULT]):
        later = read(instructions="Be brief.", input=turns)
        assert (later.thread, later.new_thread) == (first.new_thread, None)
    reminded = [USER, SAID, {"role": "developer", "content": "Be brief."}, AGAIN]
    assert read(instructions="Be brief.", input=reminded).thread == first.new_thread
    assert read(input=[USER, SAID, AGAIN]).thread not in (None, first.new_thread)
    assert read(input=[USER, RESULT]).thread is None


@pytest.mark.parametrize(
    ("members", "pin", "key"),
    [
        ({"previous_response_id": "resp_1"}, "resp_1", None),
        ({"conversation": "conv_1"}, "conv_1", "conv_1"),
        ({"conversation": {"id": "conv_1"}, "prompt_cache_key": "k"}, "conv_1", "conv_1"),
        ({"input": [USER, {"type": "item_reference", "id": "rs_1"}, AGAIN]}, "rs_1", None),
        ({"input": [USER, SAID, AGAIN]}, None, None),
    ],
)
def test_pins(members: dict[str, Any], pin: str | None, key: str | None) -> None:
    request = read(**members)
    assert (request.pin, request.cache_key) == (pin, key)
    if "input" not in members:
        assert request.thread is request.new_thread is None  # the first turn is upstream's


@pytest.mark.parametrize("kind", ["reasoning", "compaction"])
def test_encrypted_items_pin(kind: str) -> None:
    items = [USER, {"type": kind, "id": "rs_1", "encrypted_content": "gAAAA"}, SAID, AGAIN]
    pin = read(input=items).pin
    assert pin is not None
    assert pin.startswith("signature:")


def test_a_response_in_the_background_is_not_finished() -> None:
    tap = RESPONSES.open_tap(read())
    tap.feed(body(response("queued")))
    tap.finish()
    assert tap.facts.answer_id == "resp_Ab1"
    assert tap.facts.finish is None


def test_an_error_may_stand_under_its_name() -> None:
    tap = RESPONSES.open_tap(read(stream=True))
    tap.feed(named(event("error", error={"type": "server_error", "code": "overloaded", "message": "sk-1"})))
    assert tap.facts.error == "overloaded"
