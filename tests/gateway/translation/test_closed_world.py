"""What the translator does not know masks the arm, and is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from anthropic.types import StopReason
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from bandit_router.errors import InvalidInput
from bandit_router.gateway.adapters import ChatToMessages
from bandit_router.gateway.translation.answer import FINISH_REASONS
from tests.contracts.dialect import change_value
from tests.gateway.translation.conftest import (
    ADAPTER,
    MOST,
    explain,
    make_chat_exchange,
    require_anthropic_request,
)
from tests.gateway.translation.requests import write_chats

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
FULL: dict[str, Any] = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "auto"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "A cat."},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 9,
}
TAKEN = {
    *(
        "messages",
        "model",
        "max_completion_tokens",
        "max_tokens",
        "stop",
        "stream",
        "stream_options",
        "tools",
    ),
    *("tool_choice", "parallel_tool_calls", "user", "safety_identifier", "metadata", "prompt_cache_key"),
    *(
        "n",
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "store",
    ),
    *("modalities", "response_format", "verbosity", "reasoning_effort", "seed", "service_tier", "audio"),
    *("top_logprobs", "moderation", "prediction", "prompt_cache_retention"),
}
"""Fields of which the translator knows at least one value."""

NEVER_TAKEN = {"function_call", "functions", "prompt_cache_options", "web_search_options"}


def find_objects(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a request and its place, but for schemas, whose members are anybody's."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_objects(item, f"{place}[{index}]")
    elif isinstance(value, dict):
        yield place, value
        for key, member in value.items():
            if key not in ("parameters", "metadata"):
                yield from find_objects(member, f"{place}.{key}" if place else key)


def test_a_full_request_is_translated() -> None:
    assert explain(FULL) is None


@pytest.mark.parametrize("place", [place for place, _ in find_objects(FULL)])
@pytest.mark.parametrize("value", [1, None, {}], ids=["value", "null", "object"])
def test_an_unknown_field_masks_at_every_level(place: str, value: object) -> None:
    request = copy.deepcopy(FULL)
    dict(find_objects(request))[place]["frobnicate"] = value
    assert explain(request) == f"does not translate {place}.frobnicate".replace(" .", " ")


@given(request=write_chats(), data=st.data())
def test_an_unknown_field_masks_any_request(request: dict[str, Any], data: st.DataObject) -> None:
    request = {"model": "auto", **copy.deepcopy(request)}
    assert explain(request) is None
    place, members = data.draw(st.sampled_from(list(find_objects(request))))
    if place not in ("response_format",):  # which is known as a whole
        members["frobnicate"] = 1
        assert explain(request) == f"does not translate {place}.frobnicate".replace(" .", " ")


@given(request=change_value(FULL))
def test_any_other_value_is_translated_or_masks(request: dict[str, Any]) -> None:
    try:
        exchange = make_chat_exchange(json.dumps(request).encode())
    except InvalidInput:
        return  # no arm gets it
    if ADAPTER.find_obstacle(exchange) is None:
        require_anthropic_request(json.loads(ADAPTER.write_body(exchange)))


@pytest.mark.parametrize("calls", [{}, 0, False, ""])
def test_what_is_empty_in_another_way_than_null_masks(calls: object) -> None:
    request = {"model": "auto", **messages(USER, {**ASSISTANT, "tool_calls": calls}, USER)}
    assert explain(request) == "does not translate messages[1].tool_calls"


def test_a_name_that_cannot_be_stored_is_escaped() -> None:
    assert explain({**FULL, "a\0\n": 1}) == r"does not translate 'a\x00\n'"


def test_every_field_of_the_official_client_is_decided_upon() -> None:
    kinds = (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
    fields = {name for kind in kinds for name in kind.__optional_keys__ | kind.__required_keys__}
    assert fields == TAKEN | NEVER_TAKEN


def test_every_stop_reason_of_the_official_client_is_decided_upon() -> None:
    assert set(get_args(StopReason)) == FINISH_REASONS.keys() | {"pause_turn"}


TEXT = {"type": "text", "text": "x"}
USER = {"role": "user", "content": "Why?"}
ASSISTANT = {"role": "assistant", "content": "Because."}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def messages(*turns: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(turns)}


def content(*parts: dict[str, Any]) -> dict[str, Any]:
    return messages({"role": "user", "content": list(parts)})


def image(url: str, **rest: str) -> dict[str, Any]:
    return content(TEXT, {"type": "image_url", "image_url": {"url": url, **rest}})


def calls(**changes: Any) -> dict[str, Any]:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "r"}
    return messages(USER, {"role": "assistant", "tool_calls": [{**CALL, **changes}]}, result)


def function(**changes: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **changes}}]}


RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "r"}
CALLS = {"role": "assistant", "content": "", "tool_calls": [CALL]}
OPAQUE: list[tuple[dict[str, Any], str]] = [
    # top-level fields with a value that says something
    ({"n": 2}, "n"),
    ({"n": True}, "n"),
    ({"temperature": 0.7}, "temperature"),
    ({"temperature": 0}, "temperature"),
    ({"top_p": 0.9}, "top_p"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"presence_penalty": -1}, "presence_penalty"),
    ({"logit_bias": {"50256": -100}}, "logit_bias"),
    ({"logprobs": True}, "logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"seed": 0}, "seed"),
    ({"store": True}, "store"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"voice": "alloy", "format": "mp3"}}, "audio"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"verbosity": "low"}, "verbosity"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"stream_options": []}, "stream_options"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_tokens": 1.0}, "max_tokens"),
    ({"stop": " "}, "stop"),
    ({"stop": ["x", "\n"]}, "stop"),
    ({"stop": {}}, "stop"),
    ({"user": 5}, "user"),
    ({"user": "a", "safety_identifier": "b"}, "user"),
    ({"user": "x" * 257}, "user"),
    # turns
    (messages({"role": "system", "content": "x"}), "messages[0].role"),
    (messages(ASSISTANT, USER), "messages[0].role"),
    (messages(USER, ASSISTANT), "messages[1].role"),
    (messages(USER, {"role": "system", "content": "x"}, USER), "messages[1].role"),
    (messages(USER, {"role": "function", "name": "f", "content": "x"}), "messages[1].role"),
    (messages({**USER, "name": "Ada"}), "messages[0].name"),
    (messages(USER, {**ASSISTANT, "refusal": "No."}, USER), "messages[1].refusal"),
    (
        messages(USER, {**ASSISTANT, "function_call": {"name": "f", "arguments": "{}"}}, USER),
        "messages[1].function_call",
    ),
    (messages(USER, {"role": "assistant", "content": ""}, USER), "messages[1].content"),
    (messages({"role": "user", "content": " \n"}), "messages[0].content"),
    # parts
    (content(TEXT, {"type": "text", "text": ""}), "messages[0].content[1].text"),
    (
        content(TEXT, {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}),
        "messages[0].content[1].type",
    ),
    (content(TEXT, {"type": "file", "file": {"file_id": "x"}}), "messages[0].content[1].type"),
    (
        content({**TEXT, "prompt_cache_breakpoint": {"mode": "explicit"}}),
        "messages[0].content[0].prompt_cache_breakpoint",
    ),
    (image("http://example.org/cat.png"), "messages[0].content[1].image_url.url"),
    (image("data:image/bmp;base64,AAAA"), "messages[0].content[1].image_url.url"),
    (image("data:image/png,AAAA"), "messages[0].content[1].image_url.url"),
    (image("https://example.org/cat.png", detail="low"), "messages[0].content[1].image_url.detail"),
    # tool calls and results
    (calls(id="call.1"), "messages[1].tool_calls[0].id"),
    (calls(type="custom"), "messages[1].tool_calls[0].type"),
    (calls(function={"name": "f g", "arguments": "{}"}), "messages[1].tool_calls[0].function.name"),
    (calls(function={"name": "f", "arguments": ""}), "messages[1].tool_calls[0].function.arguments"),
    (calls(function={"name": "f", "arguments": "[]"}), "messages[1].tool_calls[0].function.arguments"),
    (
        calls(function={"name": "f", "arguments": '{"a":1,"a":2}'}),
        "messages[1].tool_calls[0].function.arguments",
    ),
    (messages(USER, CALLS), "messages[1].tool_calls"),
    (messages(USER, CALLS, USER), "messages[1].tool_calls"),
    (messages(USER, RESULT), "messages[1].tool_call_id"),
    (messages(USER, CALLS, RESULT, RESULT), "messages[3].tool_call_id"),
    (messages(USER, CALLS, {**RESULT, "tool_call_id": "call_2"}), "messages[2].tool_call_id"),
    (messages(USER, CALLS, RESULT, CALLS, RESULT), "messages[3].tool_calls[0].id"),
    (messages(USER, CALLS, {**RESULT, "content": " "}), "messages[2].content"),
    # tools
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ({"tools": [TOOL, TOOL]}, "tools[1].function.name"),
    (function(strict=True), "tools[0].function.strict"),
    (function(description=5), "tools[0].function.description"),
    (function(parameters={}), "tools[0].function.parameters"),
    (function(parameters={"type": "object", "anyOf": []}), "tools[0].function.parameters"),
    (function(name="f g"), "tools[0].function.name"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice.function.name",
    ),
    ({"tools": [TOOL], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
]


@pytest.mark.parametrize(("changes", "field"), OPAQUE)
def test_a_value_without_an_exact_translation_masks(changes: dict[str, Any], field: str) -> None:
    assert explain({"model": "auto", **messages(USER), **changes}) == f"does not translate {field}"


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 1, "temperature": 1, "top_p": 1.0, "store": False, "logprobs": False},
        dict.fromkeys(
            ["n", "temperature", "seed", "stop", "tools", "tool_choice", "user", "stream", "reasoning_effort"]
        ),
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"metadata": {"x-bandit-tier": "free"}, "prompt_cache_key": "k"},
        {"max_tokens": MOST, "max_completion_tokens": MOST},
    ],
)
def test_a_value_that_says_nothing_is_taken(changes: dict[str, Any]) -> None:
    assert explain({"model": "auto", **messages(USER), **changes}) is None


def test_more_tokens_than_the_model_can_answer_with_mask() -> None:
    request = {"model": "auto", **messages(USER), "max_tokens": MOST + 1}
    assert explain(request) == f"answers with at most {MOST} tokens"


@pytest.mark.parametrize(
    ("model", "takes_it"),
    [
        ("claude-3-haiku-20240307", True),
        ("claude-opus-4-8", True),
        ("claude-sonnet-5", True),
        ("claude-opus-5-20260701", True),
        ("claude-haiku-5-5", True),
        ("claude-opus-5-5", False),
        ("claude-sonnet-5-5-20260922", False),
        ("claude-fable-5-1", False),
        ("claude-opus-6", False),
        ("my-claude", False),
    ],
)
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "f"}}, "auto", "none"]
)
def test_a_tool_has_to_be_called_only_by_models_that_take_it(model: str, takes_it: bool, choice: Any) -> None:
    request = {"model": "auto", **messages(USER), "tools": [TOOL], "tool_choice": choice}
    obstacle = ChatToMessages(model, MOST).find_obstacle(make_chat_exchange(json.dumps(request).encode()))
    takes_it |= choice in ("auto", "none")
    assert obstacle == (None if takes_it else "does not translate tool_choice")


def test_numbers_of_any_size_in_a_schema_are_kept_or_mask() -> None:
    schema = {"type": "object", "properties": {"a": {"maximum": 2**70}}}
    request = {"model": "auto", **messages(USER), **function(parameters=schema)}
    assert explain(request) is None
    infinite = json.dumps(request).replace(str(2**70), "1e999").encode()
    assert (
        ADAPTER.find_obstacle(make_chat_exchange(infinite))
        == "does not translate tools[0].function.parameters"
    )
