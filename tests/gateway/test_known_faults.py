"""Faults that other gateways have, looked for in a running one; each check fails on what a naive one sends.

Those that show in the bytes of one request or one answer are in ``dialects/test_faults.py``; that nothing is
retried twice, and that ``retry-after`` passes, in the comparisons with the provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from bandit_router.providers.scripted import Scene, Script
from bandit_router.types import CallOutcome, Reason, Usage
from tests.gateway.conftest import Gateway, gateway_to

USAGE = Usage(input_tokens=8, output_tokens=3)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE)
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def ask(
    gateway: Gateway, path: str = CHAT, headers: Mapping[str, str] | None = None, **fields: Any
) -> httpx.Response:
    body = {"model": "auto", "messages": MESSAGES, **fields}
    return httpx.post(f"{gateway.service.url}{path}", json=body, headers=headers, timeout=30.0)


def ask_directly(gateway: Gateway, arm: str, **fields: Any) -> bytes:
    """What the server of an arm itself answers, as far as it gets."""
    body = {"model": f"{arm}-model", "messages": MESSAGES, **fields}
    got = b""
    with httpx.stream("POST", f"{gateway.upstreams[arm].url}{CHAT}", json=body) as answer:
        try:
            for chunk in answer.iter_raw():
                got += chunk
        except httpx.RemoteProtocolError:
            pass
    return got


def must_fail(check: Callable[[bytes], None], naive: bytes) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(naive)


def read_events(answer: bytes) -> list[Any]:
    """The data of the events of a chat stream. Raises ValueError."""
    datas = [event.removeprefix(b"data: ") for event in answer.split(b"\n\n") if event]
    return [data if data == b"[DONE]" else orjson.loads(data) for data in datas]


def check_ends_in_error(answer: bytes) -> None:
    """A stream with whole events, of which one error is the last."""
    events = read_events(answer)
    assert isinstance(events[-1], dict)
    assert "error" in events[-1]
    assert sum("error" in event for event in events) == 1


def test_bytes_sent_twice_and_a_model_that_lies_after_a_fallback(tmp_path: Path) -> None:
    cut = Scene(pieces=("Hello",), cut_after=1)  # after the role
    with gateway_to(tmp_path, {"cheap": cut, "dear": HELLO}) as gateway:
        answer = ask(gateway, **WITH_USAGE)
        first, second = (
            ask_directly(gateway, "cheap", **WITH_USAGE),
            ask_directly(gateway, "dear", **WITH_USAGE),
        )

        def check(answer: bytes) -> None:
            assert answer == second
            assert {event["model"] for event in read_events(answer)[:-1]} == {"dear-model"}

        check(answer.content)
        must_fail(check, first + second)
        must_fail(check, second.replace(b"dear-model", b"cheap-model"))
        assert answer.headers["x-bandit-arm"] == "dear"
        (_, failed), (_, answered) = gateway.read_calls(2)
        assert (failed.served_model, answered.served_model) == ("cheap-model", "dear-model")


def test_a_second_failure_after_headers_went_out(tmp_path: Path) -> None:
    """The arm fallen back to is cut: its status is with the client, and nothing may follow but an error."""
    cut = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, cut_after=3)
    scripts = {"cheap": Scene(status=503), "dear": cut, "dearest": HELLO}
    with gateway_to(tmp_path, scripts) as gateway:
        answer = ask(gateway, **WITH_USAGE)
        assert (answer.status_code, answer.headers["x-bandit-fallbacks"]) == (200, "1")
        check_ends_in_error(answer.content)
        passed = ask_directly(gateway, "dear", **WITH_USAGE)
        assert answer.content.startswith(passed)
        must_fail(check_ends_in_error, passed)  # a clean end
        must_fail(check_ends_in_error, passed + b'HTTP/1.1 502 Bad Gateway\r\n\r\n{"error":{}}')
        must_fail(check_ends_in_error, passed + ask_directly(gateway, "dearest", **WITH_USAGE))
        outcomes = [end.outcome for _, end in gateway.read_calls(2)]
        assert outcomes == [CallOutcome.FAILED, CallOutcome.CUT]
        assert gateway.upstreams["dearest"].app.calls[1:] == []  # but for the one of this test


def test_no_time_out_between_tokens(tmp_path: Path) -> None:
    stalled = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, stall_after=3)
    with gateway_to(tmp_path, {"cheap": stalled, "dear": HELLO}, {"gap_timeout_s": 0.3}) as gateway:
        check_ends_in_error(ask(gateway, **WITH_USAGE).content)
        ((_, end),) = gateway.read_calls(1)
        assert end.outcome is CallOutcome.CUT
        assert (end.error or "").startswith("timeout")


SIGNATURE = "EqoBCkgIARABGAIiQL+/=="
THOUGHT = {"type": "thinking", "thinking": "1/2 \\u00fc", "signature": SIGNATURE}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNATURE}


def sign(answer: dict[str, Any]) -> Script:
    return lambda _: Scene(raw=orjson.dumps(answer))


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [THOUGHT, {"type": "text", "text": "Half."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "model": "m",
    "status": "completed",
    "output": [REASONING],
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
FIRST_TURN: dict[str, dict[str, Any]] = {
    "/v1/messages": {"max_tokens": 9, "messages": MESSAGES},
    "/v1/responses": {"input": MESSAGES},
}
SECOND_TURN: dict[str, dict[str, Any]] = {
    "/v1/messages": {
        "max_tokens": 9,
        "messages": [*MESSAGES, {"role": "assistant", "content": MESSAGE["content"]}, *MESSAGES],
    },
    "/v1/responses": {"input": [*MESSAGES, REASONING, *MESSAGES]},
}


@pytest.mark.parametrize(("path", "answer"), [("/v1/messages", MESSAGE), ("/v1/responses", RESPONSE)])
def test_signed_and_encrypted_reasoning_goes_to_the_arm_that_made_it(
    tmp_path: Path, path: str, answer: dict[str, Any]
) -> None:
    """The policy would take the cheap arm, but for the signature; its bytes are as they were."""
    with gateway_to(tmp_path, {"cheap": sign(answer), "dear": sign(answer)}) as gateway:
        url = f"{gateway.service.url}{path}"
        httpx.post(url, json={"model": "auto", **FIRST_TURN[path]}, headers={"x-bandit-forbid": "cheap"})
        second = orjson.dumps({"model": "auto", **SECOND_TURN[path]})
        json_type = {"content-type": "application/json"}
        assert httpx.post(url, content=second, headers=json_type).headers["x-bandit-arm"] == "dear"
        sent = gateway.upstreams["dear"].app.calls[-1].body
        assert sent == second.replace(b'"auto"', b'"dear-model"', 1)
        (_, _), (decision, _) = gateway.read_calls(2)
        assert decision.excluded == {"cheap": "cannot go on from what dear answered"}
        naive = {"model": "auto", **FIRST_TURN[path]}  # what does not look at signatures takes the cheap arm
        assert httpx.post(url, json=naive).headers["x-bandit-arm"] == "cheap"


def test_the_request_that_follows_an_answer_at_once_goes_to_the_arm_that_gave_it(tmp_path: Path) -> None:
    """The policy would take the cheap arm, and the end of the first call is not committed yet."""
    with gateway_to(tmp_path, {"cheap": sign(RESPONSE), "dear": sign(RESPONSE)}) as gateway:
        url, first = f"{gateway.service.url}/v1/responses", {"model": "auto", "input": MESSAGES}
        second = {**first, "previous_response_id": RESPONSE["id"]}
        with httpx.Client(timeout=60.0) as client:
            client.post(url, json=first, headers={"x-bandit-forbid": "cheap"})
            assert client.post(url, json=second).headers["x-bandit-arm"] == "dear"
            assert client.post(url, json=first).headers["x-bandit-arm"] == "cheap"


IMAGES: dict[str, dict[str, Any]] = {
    CHAT: {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}
        ]
    },
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a/b.png"}]}]
    },
    "/v1/messages": {
        "max_tokens": 9,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}],
            }
        ],
    },
}


def test_images_to_a_text_only_arm(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}, {"capabilities": ["tools"]}) as gateway:
        for path, fields in IMAGES.items():
            refused = httpx.post(f"{gateway.service.url}{path}", json={"model": "auto", **fields})
            assert refused.status_code == 400
            assert "vision" in refused.text
        assert ask(gateway).status_code == 200
        ((decision, _),) = gateway.read_calls(1)
        assert decision.reason is Reason.POLICY
        assert sum(len(upstream.app.calls) for upstream in gateway.upstreams.values()) == 1
