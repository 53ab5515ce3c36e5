"""Cascades of the gateway: a cheap answer is held until it is known how sure its arm is of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

import bandit_router
from bandit_router.errors import ConfigError
from bandit_router.providers.scripted import Scene, Script, ScriptedRequest
from bandit_router.types import CallOutcome, Purpose, Reason, Usage
from tests.gateway.conftest import arms_to, read_calls
from tests.providers.upstream import Upstream

USAGE = Usage(input_tokens=8, output_tokens=3)
SURE = Scene(pieces=("It", " is", " 25."), token_probability=0.9, usage=USAGE)
UNSURE = Scene(pieces=("Maybe", " it is", " 24?"), token_probability=0.5, usage=USAGE)
DEAR = Scene(pieces=("It is", " exactly", " 25."), token_probability=0.2, usage=USAGE)
QUESTION: Any = [{"role": "user", "content": "How many primes are there below 100?"}]
TOOL_RESULT: Any = [
    *QUESTION,
    {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "count", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "25"},
]
PATHS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": QUESTION},
    "/v1/responses": {"input": QUESTION[0]["content"]},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 99},
}
CASCADE = {
    "enabled": True,
    "expensive": "dear",
    "threshold": 0.7,
    "epsilon": 0.0,
    "confidence": "token_probability",
}

each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class Place:
    """A gateway in this process, its arms, and its log."""

    def __init__(self, settings: Path, upstreams: dict[str, Upstream]) -> None:
        self.settings = settings
        self.upstreams = upstreams

    def ask(self, *, stream: bool, messages: Any = QUESTION, **options: Any) -> str:
        """The text that the official client gets."""
        with self.open_client() as client:
            create = client.chat.completions.create
            if not stream:
                answer = create(model="auto", messages=messages, **options)
                return answer.choices[0].message.content or ""
            chunks = list(create(model="auto", messages=messages, stream=True, **options))
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    def ask_for_bytes(self, path: str = "/v1/chat/completions", **fields: Any) -> str:
        """The body as it comes."""
        with bandit_router.http_client(self.settings) as client:
            body = {"model": "auto"} | PATHS[path] | fields
            return client.post(path, json=body).raise_for_status().text

    @contextmanager
    def open_client(self) -> Iterator[openai.OpenAI]:
        http_client = bandit_router.http_client(self.settings)
        with openai.OpenAI(api_key="k", http_client=http_client, max_retries=0) as client:
            yield client

    def bodies(self, arm: str) -> list[dict[str, Any]]:
        """The requests that an arm has had."""
        return [json.loads(call.body) for call in self.upstreams[arm].app.calls]


@contextmanager
def cascading(
    folder: Path,
    cheap: Script | Scene,
    dear: Scene = DEAR,
    *,
    logprobs: bool = True,
    policy: dict[str, Any] | None = None,
    **cascade: Any,
) -> Iterator[Place]:
    arms: dict[str, Script | Scene] = {"cheap": cheap, "dear": dear}
    section = {key: value for key, value in (CASCADE | cascade).items() if value is not None}
    sections = {"cascade": section} | ({} if policy is None else {"policy": policy})
    with arms_to(folder, arms, {"logprobs": logprobs}, **sections) as (settings, upstreams):
        yield Place(settings, dict(upstreams))


@each_way
def test_a_sure_answer_is_passed_on_without_what_it_was_judged_by(tmp_path: Path, stream: bool) -> None:
    with cascading(tmp_path, SURE) as place:
        assert place.ask(stream=stream) == SURE.text
        raw = place.ask_for_bytes(stream=stream)
        assert '"logprobs":null' in raw
        assert '"logprob"' not in raw
        assert [body["logprobs"] for body in place.bodies("cheap")] == [True, True]
        assert place.bodies("dear") == []
    for decision, end in read_calls(tmp_path / "router.db", 2):
        assert (decision.reason, end.outcome) == (Reason.POLICY, CallOutcome.ANSWERED)
        assert (end.ttft_s is not None) == stream


@each_way
def test_a_doubtful_answer_is_retried_with_the_request_as_it_came(tmp_path: Path, stream: bool) -> None:
    with cascading(tmp_path, UNSURE) as place:
        assert place.ask(stream=stream, temperature=0.5) == DEAR.text
        (second,) = place.bodies("dear")
        assert second.pop("model") == "dear-model"
        assert second.pop("stream", False) == stream
        second.pop("stream_options", None)
        assert second == {"messages": QUESTION, "temperature": 0.5}
    (first, first_end), (retry, retry_end) = read_calls(tmp_path / "router.db", 2)
    assert (retry.parent, retry.reason, retry.arm) == (first.id, Reason.ESCALATION, "dear")
    assert (first_end.outcome, retry_end.outcome) == (CallOutcome.ANSWERED, CallOutcome.ANSWERED)
    assert first_end.ttft_s is None  # nobody has seen it
    assert (retry_end.ttft_s is not None) == stream
    with bandit_router.Router.open(place.settings) as router:
        chain = router.chain(first.id)
    assert chain.cost_usd == first_end.cost_usd + retry_end.cost_usd > 0
    assert chain.latency_s == pytest.approx((first_end.latency_s or 0.0) + (retry_end.latency_s or 0.0))


@each_way
def test_log_probabilities_that_the_client_wants_are_its_own(tmp_path: Path, stream: bool) -> None:
    with cascading(tmp_path, SURE, logprobs=False) as place:
        assert '"logprob":-0.10' in place.ask_for_bytes(stream=stream, logprobs=True)
    with cascading(tmp_path, UNSURE, logprobs=False) as place:
        assert place.ask(stream=stream, logprobs=True) == DEAR.text


@pytest.mark.parametrize(
    ("options", "arm"),
    [
        ({"messages": TOOL_RESULT}, {}),
        ({"model": "cheap"}, {}),
        ({"n": 2}, {}),
        ({}, {"logprobs": False}),
        ({}, {"confidence": None}),
        ({"extra_headers": {"x-bandit-forbid": "dear"}}, {}),
    ],
    ids=["tool loop", "named arm", "two answers", "no probabilities", "not asked to", "not allowed"],
)
def test_what_is_not_held(tmp_path: Path, options: dict[str, Any], arm: dict[str, Any]) -> None:
    with cascading(tmp_path, UNSURE, **arm) as place, place.open_client() as client:
        request = {"model": "auto", "messages": QUESTION} | options
        answer = client.chat.completions.create(**request)
        assert answer.choices[0].message.content == UNSURE.text
        assert all("logprobs" not in body for body in place.bodies("cheap"))


def test_a_conversation_that_goes_on_is_not_held(tmp_path: Path) -> None:
    follow_up = [*QUESTION, {"role": "assistant", "content": SURE.text}, {"role": "user", "content": "Sure?"}]
    with cascading(tmp_path, SURE) as place:
        place.ask(stream=False)
        place.ask(stream=False, messages=follow_up)
        first, second = place.bodies("cheap")
        assert "logprobs" in first
        assert "logprobs" not in second


def test_a_call_of_a_tool_is_passed_on(tmp_path: Path) -> None:
    call = Scene(tool=("count", "{}"), finish="tool", token_probability=0.1, usage=USAGE)
    with cascading(tmp_path, call) as place:
        place.ask(stream=False)
        assert place.bodies("dear") == []


@each_way
def test_a_held_answer_is_better_than_none(tmp_path: Path, stream: bool) -> None:
    with cascading(tmp_path, UNSURE, Scene(status=500)) as place:
        assert place.ask(stream=stream) == UNSURE.text
    outcomes = [end.outcome for _, end in read_calls(tmp_path / "router.db", 2)]
    assert outcomes == [CallOutcome.ANSWERED, CallOutcome.FAILED]


@each_way
def test_a_held_answer_that_is_cut_falls_back_as_if_it_had_never_begun(tmp_path: Path, stream: bool) -> None:
    cut = Scene(pieces=UNSURE.pieces, usage=USAGE, cut_after=2)
    with cascading(tmp_path, cut if stream else Scene(raw=b'{"id":')) as place:
        assert place.ask(stream=stream) == DEAR.text
    (first, end), (second, _) = read_calls(tmp_path / "router.db", 2)
    assert end.outcome is (CallOutcome.CUT if stream else CallOutcome.FAILED)
    assert second.reason is Reason.FALLBACK
    assert second.parent == first.id


@pytest.mark.parametrize(("verdict", "text"), [("Yes.", SURE.text), ("No, it is 25.", DEAR.text)])
@pytest.mark.parametrize("path", PATHS)
def test_an_arm_checks_answers_in_any_dialect(tmp_path: Path, path: str, verdict: str, text: str) -> None:
    def check(request: ScriptedRequest) -> Scene:
        is_check = b"Is the proposed answer correct?" in request.body
        assert is_check == (SURE.text.encode() in request.body)
        return Scene(pieces=(verdict,), usage=USAGE) if is_check else SURE

    asked: dict[str, Any] = {"confidence": "self_check", "self_check_arm": "cheap"}
    with cascading(tmp_path, check, logprobs=False, **asked) as place:
        assert text in place.ask_for_bytes(path)
        assert len(place.bodies("cheap")) == 2
        assert all(SURE.text not in json.dumps(body) for body in place.bodies("dear"))
    ((made, _), *_) = read_calls(tmp_path / "router.db", 1 if text == SURE.text else 2)
    with bandit_router.Router.open(place.settings) as router:
        ((purpose, _, calls, usd),) = router.own_costs()
    assert (purpose, calls) == (Purpose.SELF_CHECK, 1)
    assert usd == pytest.approx(14e-6)  # 8 tokens at 1 USD, 3 at 2 USD a million
    assert made.arm == "cheap"


@pytest.mark.parametrize(("samples", "text"), [(("25", "25."), SURE.text), (("25", "24"), DEAR.text)])
def test_two_short_samples_agree_or_not(tmp_path: Path, samples: tuple[str, str], text: str) -> None:
    sampled = iter(samples)

    def answer(request: ScriptedRequest) -> Scene:
        if b"at most twelve words" in request.body:
            return Scene(pieces=(next(sampled),), usage=USAGE)
        return SURE

    with cascading(tmp_path, answer, logprobs=False, confidence="agreement") as place:
        assert place.ask(stream=False) == text


def test_an_answer_that_cannot_be_checked_is_passed_on(tmp_path: Path) -> None:
    def answer(request: ScriptedRequest) -> Scene:
        return Scene(status=500) if b"Is the proposed answer correct?" in request.body else SURE

    asked: dict[str, Any] = {"confidence": "self_check", "self_check_arm": "cheap"}
    with cascading(tmp_path, answer, logprobs=False, **asked) as place:
        assert place.ask(stream=False) == SURE.text


def test_a_query_that_rules_find_simple_is_not_held(tmp_path: Path) -> None:
    rules = {"name": "heuristic", "cheap": "cheap", "expensive": "dear", "low": 0.3, "epsilon": 0.0}
    with cascading(tmp_path, UNSURE, policy=rules) as place:
        assert place.ask(stream=False) == UNSURE.text
        longer = [{"role": "user", "content": "Explain it. " * 50}]
        assert place.ask(stream=False, messages=longer) == DEAR.text


@pytest.mark.parametrize(
    ("cascade", "said"),
    [
        ({"enabled": False}, "cascade.confidence: is of no use while cascades are off; set enabled = true"),
        ({"confidence": "self_check"}, "cascade.self_check_arm: None is not an arm; use one of cheap, dear"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, cascade: dict[str, Any], said: str) -> None:
    with cascading(tmp_path, SURE, **cascade) as place, pytest.raises(ConfigError, match=said):
        bandit_router.Router.open(place.settings)


def test_comments_keep_a_held_stream_alive(tmp_path: Path) -> None:
    slow = Scene(pieces=SURE.pieces, token_probability=0.9, usage=USAGE, gap_s=0.1)
    with cascading(tmp_path, slow, keep_alive_s=0.05) as place:
        raw = place.ask_for_bytes(stream=True)
        assert raw.startswith(": the answer is being checked\n\n: ")
        assert raw.rstrip().endswith("data: [DONE]")
        assert place.ask(stream=True) == slow.text


def test_a_held_stream_that_fails_ends_with_an_error(tmp_path: Path) -> None:
    failing = Scene(status=500, first_token_s=0.2)
    with (
        cascading(tmp_path, failing, failing, keep_alive_s=0.05) as place,
        pytest.raises(openai.APIError, match="no arm answered"),
    ):
        place.ask(stream=True)
