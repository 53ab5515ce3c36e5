"""Whatever the translator takes, the official OpenAI client reads as it was scripted."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.gateway.translation import answer as translated_answer
from bandit_router.providers.usage import write_chat_usage
from tests.gateway.translation.answers import ANSWERS, FINISH, Answer, Block
from tests.gateway.translation.conftest import CREATED, MOST, Upstream
from tests.gateway.translation.requests import read_chat, read_messages, write_chats

CUTS = st.lists(st.integers(0, 100_000), max_size=8)
SHORT: dict[str, Any] = {"messages": [{"role": "user", "content": "Why?"}]}


@given(request=write_chats(), answer=ANSWERS)
def test_in_one_piece(request: dict[str, Any], answer: Answer) -> None:
    upstream = Upstream(answer.body())
    completion = upstream.client().chat.completions.create(model="auto", **request)
    assert read_messages(upstream.bodies[0], MOST) == read_chat(request)
    check_completion(completion, answer)


@given(request=write_chats(), answer=ANSWERS, cuts=CUTS, usage=st.booleans())
def test_streamed(request: dict[str, Any], answer: Answer, cuts: list[int], usage: bool) -> None:
    upstream = Upstream(answer.stream(), cuts)
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(upstream.client().chat.completions.create(model="auto", stream=True, **request, **options))
    assert read_messages(upstream.bodies[0], MOST) == read_chat(request)
    check_chunks(chunks, answer, usage)


@given(answer=ANSWERS, end=st.integers(1, 100_000), cuts=CUTS)
def test_a_stream_that_is_cut_raises(answer: Answer, end: int, cuts: list[int]) -> None:
    stream = answer.stream().rstrip()
    upstream = Upstream(stream[: -1 - end % (len(stream) - 1)], cuts)
    with pytest.raises(openai.APIError):
        list(upstream.client().chat.completions.create(model="auto", stream=True, **SHORT))


def test_the_client_accumulates_a_stream_to_the_answer_in_one_piece() -> None:
    call = Block(kind="tool_use", name="f", call_id="toolu_1", pieces=('{"a": ', "1}"))
    answer = Answer(blocks=(Block(kind="text", pieces=("Hel", "lo")), call), stop="tool_use")
    with Upstream(answer.stream()).client().chat.completions.stream(model="auto", **SHORT) as stream:
        streamed = stream.get_final_completion().choices[0]
    check_choice(streamed, answer)


@pytest.mark.parametrize("naive", ["finish", "usage"])
def test_a_naive_translator_is_found_out(naive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool call that ends as ``stop``; cached tokens that are left out of the prompt's."""
    if naive == "finish":
        monkeypatch.setitem(translated_answer.FINISH_REASONS, "tool_use", "stop")
    else:
        write = write_chat_usage
        monkeypatch.setattr(
            translated_answer,
            "write_chat_usage",
            lambda usage: {**write(usage), "prompt_tokens": usage.input_tokens},
        )
    answer = Answer(blocks=(Block(kind="tool_use", name="f", call_id="toolu_1"),), stop="tool_use", read=9)
    completion = Upstream(answer.body()).client().chat.completions.create(model="auto", **SHORT)
    with pytest.raises(AssertionError):
        check_completion(completion, answer)


def check_completion(completion: Any, answer: Answer) -> None:
    assert (completion.id, completion.model, completion.created) == (
        "msg_01Ab",
        "claude-opus-5-20260701",
        CREATED,
    )
    (choice,) = completion.choices
    check_choice(choice, answer)
    check_usage(completion.usage, answer)
    type(completion).model_validate_json(completion.model_dump_json(exclude_unset=True))


def check_choice(choice: Any, answer: Answer) -> None:
    assert choice.finish_reason == FINISH[answer.stop]
    assert choice.message.content == answer.text
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in choice.message.tool_calls or []
    ]
    assert calls == [(call_id, name, json.loads(given)) for call_id, name, given in answer.calls]


def check_usage(usage: Any, answer: Answer) -> None:
    tokens_in = answer.plain + answer.read + answer.written
    assert (usage.prompt_tokens, usage.completion_tokens) == (tokens_in, answer.output)
    assert usage.total_tokens == tokens_in + answer.output
    assert usage.prompt_tokens_details.cached_tokens == answer.read
    assert usage.completion_tokens_details.reasoning_tokens == answer.thinking


def check_chunks(chunks: list[Any], answer: Answer, wants_usage: bool) -> None:
    assert {chunk.id for chunk in chunks} == {"msg_01Ab"}
    if wants_usage:
        *chunks, last = chunks
        assert last.choices == []
        check_usage(last.usage, answer)
    assert all(chunk.usage is None for chunk in chunks)
    choices = [chunk.choices[0] for chunk in chunks]
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + [FINISH[answer.stop]]
    assert choices[0].delta.role == "assistant"
    texts = [choice.delta.content for choice in choices if choice.delta.content is not None]
    assert ("".join(texts) if texts else None) == answer.text
    calls: dict[int, list[str]] = {}
    for choice in choices:
        for call in choice.delta.tool_calls or []:
            if call.id is not None:
                assert call.index == len(calls)
                calls[call.index] = [call.id, call.function.name, ""]
            calls[call.index][2] += call.function.arguments
    assert [tuple(call) for call in calls.values()] == answer.calls
