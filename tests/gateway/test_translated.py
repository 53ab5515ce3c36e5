"""A chat client in front of Claude: the official OpenAI client, through a real gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from bandit_router.providers.scripted import Scene
from bandit_router.types import CallOutcome, Reason, Usage
from tests.gateway.conftest import Gateway, gateway_to
from tests.gateway.dialects.examples.example import named
from tests.gateway.dialects.examples.messages import MESSAGE_START, block

USAGE = Usage(input_tokens=8, cache_read_tokens=4, cache_write_tokens=2, output_tokens=3)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, headers={"request-id": "req_up"})
CALL = Scene(pieces=("Let me see.",), tool=("look_up", '{"word": "sky"}'), finish="tool", usage=USAGE)
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]
TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]


def client_of(gateway: Gateway) -> openai.OpenAI:
    headers = {"anthropic-version": "2023-06-01", "idempotency-key": "k"}
    return openai.OpenAI(
        base_url=gateway.openai_url, api_key="sk-client", organization="org", default_headers=headers
    )


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_answered_by_claude_priced_and_credited(tmp_path: Path, stream: bool) -> None:
    with gateway_to(tmp_path, {"claude": HELLO}) as gateway, client_of(gateway) as client:
        if stream:
            chunks = list(client.chat.completions.create(model="auto", messages=MESSAGES, stream=True))
            answer_id = chunks[0].id
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello world"
            assert chunks[-1].choices[0].finish_reason == "stop"
            assert all(chunk.usage is None for chunk in chunks)  # nobody asked for it
        else:
            raw = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES)
            answer = raw.parse()
            answer_id = answer.id
            assert answer.choices[0].message.content == "Hello world"
            assert answer.usage is not None
            assert answer.usage.prompt_tokens == 14
            assert (raw.headers["x-bandit-arm"], raw.headers["request-id"]) == ("claude", "req_up")
        ((decision, end),) = gateway.read_calls(1)
        assert (end.outcome, end.answer_id, end.finish) == (CallOutcome.ANSWERED, answer_id, "end_turn")
        assert (end.usage, end.cost_reported) == (USAGE, True)
        assert answer_id.startswith("msg_")
        metrics = gateway.read_metrics(decision.id)
        assert (metrics["error"], metrics["empty"], "ttft_s" in metrics) == (0.0, 0.0, stream)
        feedback = {"decision_id": answer_id, "metrics": {"quality": 1}}
        said = httpx.post(f"{gateway.service.url}/v1/feedback", json=feedback)
        assert said.json() == {"decision_id": decision.id, "outcomes": {"quality": "recorded"}}
    call = gateway.upstreams["claude"].call
    assert (call.path, call.headers["anthropic-version"]) == ("/v1/messages", "2026-10-21")
    assert call.headers["idempotency-key"] == "k"
    assert not {"openai-organization", "openai-project"} & call.headers.keys()
    assert "sk-client" not in str(call.headers)
    body = json.loads(call.body)
    assert (body["model"], body["max_tokens"]) == ("claude-model", 64_000)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_taken(tmp_path: Path, stream: bool) -> None:
    with gateway_to(tmp_path, {"claude": CALL}) as gateway, client_of(gateway) as client:
        if stream:
            with client.chat.completions.stream(model="auto", messages=MESSAGES, tools=TOOLS) as events:
                choice: Any = events.get_final_completion().choices[0]
        else:
            choice = client.chat.completions.create(model="auto", messages=MESSAGES, tools=TOOLS).choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see.")
        (call,) = choice.message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"word": "sky"})
        said = choice.message.model_dump(exclude={"parsed", "tool_calls"})
        said["tool_calls"] = [
            call.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}})
        ]
        result = {"role": "tool", "tool_call_id": call.id, "content": "blue"}
        turns: Any = [*MESSAGES, said, result]
        client.chat.completions.create(model="auto", messages=turns, tools=TOOLS)
        gateway.read_calls(2)
    body = json.loads(gateway.upstreams["claude"].app.calls[1].body)
    assert [part["type"] for turn in body["messages"] for part in turn["content"]] == [
        "text",
        "text",
        "tool_use",
        "tool_result",
    ]


def test_what_has_no_translation_goes_to_another_arm_and_explain_names_the_field(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"claude": HELLO, "gpt": HELLO}) as gateway, client_of(gateway) as client:
        extra: Any = {"frobnicate": 1}
        client.chat.completions.create(model="auto", messages=MESSAGES, extra_body=extra)
        client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Hi", "name": "Ada"}]
        )
        with pytest.raises(openai.BadRequestError, match="does not translate seed"):
            client.chat.completions.create(model="claude", messages=MESSAGES, seed=1)
        first, second = [decision for decision, _ in gateway.read_calls(2)]
        assert first.excluded == {"claude": "does not translate frobnicate"}
        assert second.excluded == {"claude": "does not translate messages[0].name"}
        explained = httpx.get(f"{gateway.service.url}/v1/decisions/{second.id}").text
        assert "does not translate messages[0].name" in explained


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (429, openai.RateLimitError, "rate_limit_error"),
        (529, openai.InternalServerError, "overloaded_error"),
    ],
)
def test_an_error_comes_in_the_form_of_chat(
    tmp_path: Path, status: int, raised: type[openai.APIStatusError], kind: str
) -> None:
    scene = Scene(status=status, error="scripted words", headers={"retry-after": "7"})
    with gateway_to(tmp_path, {"claude": scene}) as gateway, client_of(gateway) as client:
        with pytest.raises(raised, match="scripted words") as caught:
            client.chat.completions.create(model="auto", messages=MESSAGES)
        body = {"message": "scripted words", "type": kind, "param": None, "code": None}
        assert (caught.value.status_code, caught.value.body) == (status, body)
        assert caught.value.response.headers["retry-after"] == "7"
        gateway.read_calls(1)


def test_a_context_that_is_too_long_goes_on_to_the_next_arm(tmp_path: Path) -> None:
    long = Scene(status=400, error="prompt is too long: 200001 tokens > 200000 maximum")
    with gateway_to(tmp_path, {"claude": long, "gpt": HELLO}) as gateway, client_of(gateway) as client:
        client.chat.completions.create(model="auto", messages=MESSAGES)
        _, (decision, _) = gateway.read_calls(2)
        assert (decision.arm, decision.reason) == ("gpt", Reason.FALLBACK)


def test_a_stream_cut_after_its_first_content_raises(tmp_path: Path) -> None:
    cut = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, cut_after=5)
    with gateway_to(tmp_path, {"claude": cut, "gpt": HELLO}) as gateway, client_of(gateway) as client:
        parts: list[str] = []
        stream = client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIError):
            parts.extend(chunk.choices[0].delta.content or "" for chunk in stream)
        assert "Hello world".startswith("".join(parts))
        ((decision, end),) = gateway.read_calls(1)
        assert (end.outcome, end.cost_reported) == (CallOutcome.CUT, False)
        assert gateway.read_metrics(decision.id)["error"] == 1.0


def test_content_that_chat_has_no_form_for_is_no_answer(tmp_path: Path) -> None:
    search = block("server_tool_use", id="srvtoolu_1", name="web_search", input={})
    odd = Scene(raw=named(MESSAGE_START, search), headers={"content-type": "text/event-stream"})
    with gateway_to(tmp_path, {"claude": odd, "gpt": HELLO}) as gateway, client_of(gateway) as client:
        stream = client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
        assert (
            "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
            == "Hello world"
        )
        (_, failed), (_, answered) = gateway.read_calls(2)
        assert (failed.outcome, answered.outcome) == (CallOutcome.FAILED, CallOutcome.ANSWERED)
        assert "server_tool_use" in (failed.error or "")
