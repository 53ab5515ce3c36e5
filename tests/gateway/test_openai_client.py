"""The official OpenAI client in front of the gateway, with nothing changed but its base_url."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from bandit_router.providers.scripted import Scene
from bandit_router.types import CallOutcome, Reason, Usage
from tests.gateway.conftest import Gateway, gateway_to
from tests.providers.upstream import wait_until

USAGE = Usage(input_tokens=8, cache_read_tokens=4, output_tokens=3, reasoning_tokens=1)
HELLO = Scene(
    pieces=("Hello", " wor", "ld"),
    usage=USAGE,
    headers={"x-request-id": "req_up", "x-ratelimit-limit-requests": "9"},
)
BUSY = Scene(status=503, error="overloaded")
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


def client_of(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.openai_url, api_key="sk-client", max_retries=2)


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_answered_routed_priced_and_credited(tmp_path: Path, stream: bool) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway, client_of(gateway) as client:
        if stream:
            with client.chat.completions.create(model="auto", messages=MESSAGES, stream=True) as chunks:
                parts = list(chunks)
            answer_id = parts[0].id
            assert "".join(c.choices[0].delta.content or "" for c in parts if c.choices) == "Hello world"
            assert all(c.usage is None for c in parts)  # nobody asked for it
        else:
            raw = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES)
            answer = raw.parse()
            answer_id = answer.id
            assert answer.choices[0].message.content == "Hello world"
            assert raw.headers["x-bandit-arm"] == "cheap"
            assert raw.headers["x-bandit-fallbacks"] == "0"
            assert raw.headers["x-request-id"] == "req_up"
            assert raw.headers["x-ratelimit-limit-requests"] == "9"
        ((decision, end),) = gateway.read_calls(1)
        assert (decision.arm, decision.reason) == ("cheap", Reason.POLICY)
        assert (end.outcome, end.answer_id, end.status, end.usage) == (
            CallOutcome.ANSWERED,
            answer_id,
            200,
            USAGE,
        )
        assert end.cost_usd == pytest.approx((8 + 4 + 2 * 3) / 1e6)  # no cache price: that of the input
        assert end.cost_reported
        metrics = gateway.read_metrics(decision.id)
        assert metrics["cost_usd"] == end.cost_usd
        assert (metrics["error"], metrics["refusal"], metrics["truncated"], metrics["empty"]) == (0, 0, 0, 0)
        assert ("ttft_s" in metrics) is stream
        assert 0.0 < metrics.get("ttft_s", 0.0001) <= metrics["latency_s"]
        said = httpx.post(
            f"{gateway.service.url}/v1/feedback", json={"decision_id": answer_id, "metrics": {"quality": 1}}
        )
        assert said.json() == {"decision_id": decision.id, "outcomes": {"quality": "recorded"}}
    call = gateway.upstreams["cheap"].call
    assert "sk-client" not in str(call.headers)
    assert b'"model":"cheap-model"' in call.body.replace(b" ", b"")


@pytest.mark.parametrize("stream", [False, True])
def test_responses_are_answered(tmp_path: Path, stream: bool) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway, client_of(gateway) as client:
        if stream:
            events = list(client.responses.create(model="auto", input="Say hello.", stream=True))
            assert events[-1].type == "response.completed"
            answer = events[-1].response
        else:
            answer = client.responses.create(model="auto", input="Say hello.")
        assert answer.output_text == "Hello world"
        ((_, end),) = gateway.read_calls(1)
        assert (end.outcome, end.answer_id, end.usage) == (CallOutcome.ANSWERED, answer.id, USAGE)


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_goes_to_the_next_arm_as_a_decision_of_its_own(tmp_path: Path, stream: bool) -> None:
    with gateway_to(tmp_path, {"cheap": BUSY, "dear": HELLO}) as gateway, client_of(gateway) as client:
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES, stream=stream)
        raw.http_response.read()
        assert raw.headers["x-bandit-arm"] == "dear"
        assert raw.headers["x-bandit-fallbacks"] == "1"
        (first, failed), (second, answered) = gateway.read_calls(2)
        assert (failed.outcome, failed.status, failed.cost_usd) == (CallOutcome.FAILED, 503, 0.0)
        assert (second.reason, second.parent, second.arm) == (Reason.FALLBACK, first.id, "dear")
        assert "its call failed" in second.excluded["cheap"]
        assert answered.outcome is CallOutcome.ANSWERED
        assert raw.headers["x-bandit-decision"] == second.id
        assert gateway.read_metrics(first.id) == {"cost_usd": 0.0, "error": 1.0}
        why = httpx.get(f"{gateway.service.url}/v1/decisions/{second.id}").json()["why"]
        assert first.id in why


@pytest.mark.parametrize(
    ("status", "raised", "calls"),
    [
        (400, openai.BadRequestError, 1),
        (401, openai.AuthenticationError, 2),
        (404, openai.NotFoundError, 2),
        (429, openai.RateLimitError, 2),
        (500, openai.InternalServerError, 2),
    ],
)
def test_out_of_arms_the_client_raises_what_the_last_one_said_and_asks_no_more(
    tmp_path: Path, status: int, raised: type[openai.APIStatusError], calls: int
) -> None:
    scene = Scene(status=status, error="scripted words", headers={"retry-after": "7"})
    with gateway_to(tmp_path, {"cheap": scene, "dear": scene}) as gateway, client_of(gateway) as client:
        with pytest.raises(raised, match="scripted words") as caught:
            client.chat.completions.create(model="auto", messages=MESSAGES)
        headers = caught.value.response.headers
        assert headers["retry-after"] == "7"
        assert headers.get("x-should-retry") == ("false" if status in (429, 500) else None)
        assert headers["x-bandit-fallbacks"] == str(calls - 1)
        assert len(gateway.read_calls(calls)) == calls


def test_a_stream_cut_after_its_first_content_raises_and_is_not_repeated(tmp_path: Path) -> None:
    cut = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, cut_after=3)
    with gateway_to(tmp_path, {"cheap": cut, "dear": HELLO}) as gateway, client_of(gateway) as client:
        got: list[str] = []
        with client.chat.completions.create(model="auto", messages=MESSAGES, stream=True) as chunks:
            parts = (chunk.choices[0].delta.content or "" for chunk in chunks)
            with pytest.raises(openai.APIError):
                got.extend(parts)
        assert got
        assert "Hello world".startswith("".join(got))
        ((decision, end),) = gateway.read_calls(1)
        assert end.outcome is CallOutcome.CUT
        assert (end.cost_usd, end.cost_reported) == (decision.expected_cost_usd, False)
        assert gateway.read_metrics(decision.id)["error"] == 1.0


def test_a_stream_cut_before_its_first_content_goes_to_the_next_arm(tmp_path: Path) -> None:
    cut = Scene(pieces=("Hello", " wor", "ld"), cut_after=1)  # the role alone
    with gateway_to(tmp_path, {"cheap": cut, "dear": HELLO}) as gateway, client_of(gateway) as client:
        with client.chat.completions.create(model="auto", messages=MESSAGES, stream=True) as chunks:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "Hello world"
        outcomes = [end.outcome for _, end in gateway.read_calls(2)]
        assert outcomes == [CallOutcome.FAILED, CallOutcome.ANSWERED]


@pytest.mark.parametrize(
    "scene",
    [
        Scene(pieces=("x",) * 1000, gap_s=0.02),
        Scene(pieces=("x",), first_token_s=60.0),
    ],
    ids=["in the middle", "before the first byte"],
)
def test_a_client_that_leaves_cancels_upstream_and_is_accounted_once(tmp_path: Path, scene: Scene) -> None:
    with gateway_to(tmp_path, {"cheap": scene, "dear": scene}) as gateway:
        httpx.get(f"{gateway.openai_url}/models")  # the arms are open, so that the call begins at once
        body = {"model": "auto", "messages": MESSAGES, "stream": True}
        with (
            suppress(httpx.ReadTimeout),
            httpx.stream("POST", f"{gateway.openai_url}/chat/completions", json=body, timeout=2.0) as answer,
        ):
            next(answer.iter_bytes())
        ((decision, end),) = gateway.read_calls(1)
        wait_until(gateway.upstreams["cheap"].call.departed.is_set)
        assert end.outcome is CallOutcome.LEFT
        assert end.cost_usd == decision.expected_cost_usd > 0.0
        assert "error" not in gateway.read_metrics(decision.id)


def test_an_arm_is_called_by_its_name_and_another_name_is_unknown(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": BUSY}) as gateway, client_of(gateway) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="dear", messages=MESSAGES)
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="gpt-nothing", messages=MESSAGES)
        assert caught.value.code == "model_not_found"
        ((decision, _),) = gateway.read_calls(1)
        assert (decision.arm, decision.reason) == ("dear", Reason.OVERRIDE)
        assert [model.id for model in client.models.list()] == ["auto", "claude-auto", "cheap", "dear"]


def test_a_conversation_keeps_its_arm_and_a_new_one_of_the_same_words_begins_anew(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway, client_of(gateway) as client:
        later = [*MESSAGES, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Again."}]
        for messages in (MESSAGES, later, MESSAGES):
            client.chat.completions.create(model="auto", messages=messages)
        reasons = [decision.reason for decision, _ in gateway.read_calls(3)]
        assert reasons == [Reason.POLICY, Reason.STICKY, Reason.POLICY]


def test_a_field_that_an_arm_does_not_take_masks_it(tmp_path: Path) -> None:
    arm = {"unsupported": ["seed"]}
    with (
        gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}, arm) as gateway,
        client_of(gateway) as client,
        pytest.raises(openai.BadRequestError, match="does not take the field seed"),
    ):
        client.chat.completions.create(model="auto", messages=MESSAGES, seed=1)


def test_options_come_by_header(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway, client_of(gateway) as client:
        options = {"x-bandit-forbid": "cheap", "x-bandit-tier": "free", "x-bandit-conversation": "c1"}
        client.chat.completions.create(model="auto", messages=MESSAGES, extra_headers=options)
        with pytest.raises(openai.BadRequestError, match="x-bandit-deadline"):
            client.chat.completions.create(
                model="auto",
                messages=MESSAGES,
                extra_headers={"x-bandit-deadline": "soon"},
            )
        ((decision, _),) = gateway.read_calls(1)
        assert (decision.arm, decision.conversation, decision.signals["tier"]) == ("dear", "c1", "free")


def test_an_arm_that_cools_is_not_eligible_and_the_log_says_so(tmp_path: Path) -> None:
    limited = Scene(status=429, headers={"retry-after": "60"})
    with gateway_to(tmp_path, {"cheap": limited, "dear": HELLO}) as gateway, client_of(gateway) as client:
        for _ in range(2):
            client.chat.completions.create(model="auto", messages=MESSAGES)
        *_, (decision, _) = gateway.read_calls(3)
        assert (decision.arm, decision.eligible, decision.parent) == ("dear", ("dear",), None)
        assert decision.excluded == {"cheap": "cooling: upstream answered 429"}
        assert len(gateway.upstreams["cheap"].app.calls) == 1


def test_when_every_arm_cools_the_client_hears_when_to_come_back(tmp_path: Path) -> None:
    limited = Scene(status=429, headers={"retry-after": "60"})
    with gateway_to(tmp_path, {"cheap": limited, "dear": limited}) as gateway, client_of(gateway) as client:
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="auto", messages=MESSAGES)
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="auto", messages=MESSAGES)
        assert caught.value.status_code == 503
        assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert len(gateway.read_calls(2)) == 2


def test_an_arm_with_as_many_calls_as_it_may_have_is_passed_over(tmp_path: Path) -> None:
    slow = Scene(pieces=("x",) * 1000, gap_s=0.02)
    scripts = {"cheap": slow, "dear": HELLO}
    with gateway_to(tmp_path, scripts, {"max_concurrency": 1}) as gateway, client_of(gateway) as client:
        with client.chat.completions.create(model="auto", messages=MESSAGES, stream=True):
            client.chat.completions.create(model="auto", messages=MESSAGES)
        (_, left), (decision, _) = gateway.read_calls(2)
        assert (left.outcome, decision.arm) == (CallOutcome.LEFT, "dear")
        assert decision.excluded == {"cheap": "has max_concurrency calls"}


def test_an_answer_id_of_several_decisions_asks_for_the_decision(tmp_path: Path) -> None:
    same = Scene(raw=b'{"id":"chatcmpl-1","choices":[{"index":0,"message":{"content":"Hi"}}]}')
    with gateway_to(tmp_path, {"cheap": same, "dear": same}) as gateway:
        for _ in range(2):
            body = {"model": "auto", "messages": MESSAGES}
            answer = httpx.post(f"{gateway.openai_url}/chat/completions", json=body)
            assert answer.content == same.raw
        gateway.read_calls(2)
        url = f"{gateway.service.url}/v1/feedback"
        for answer_id, status in (("chatcmpl-1", 409), ("chatcmpl-2", 404)):
            said = httpx.post(url, json={"decision_id": answer_id, "metrics": {"quality": 1}})
            assert said.status_code == status


def test_no_text_and_no_key_is_in_the_log_or_the_tables(tmp_path: Path) -> None:
    secret = "planted-secret-text"
    failing = Scene(status=500, error=secret)
    with gateway_to(tmp_path, {"cheap": failing, "dear": failing}) as gateway:
        with openai.OpenAI(base_url=gateway.openai_url, api_key=secret) as client, suppress(openai.APIError):
            client.chat.completions.create(model="auto", messages=[{"role": "user", "content": secret}])
        gateway.read_calls(2)
        assert secret not in gateway.service.log
        folder = gateway.service.database.parent
        written = b"".join(path.read_bytes() for path in folder.glob("router.db*"))
        assert secret.encode() not in written
