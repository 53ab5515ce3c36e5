"""Transcripts: the same conversation is the same text in every dialect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.features import write_transcript

TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "5"},
    {"role": "user", "content": "Really?"},
]
WRITTEN = "[system]\nBe brief.\n\n[user]\nWhat is 2 + 2?\n\n[assistant]\n5\n\n[user]\nReally?"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": "Be brief."}, *TALK]},
        {"system": "Be brief.", "messages": TALK},
        {"system": [{"type": "text", "text": "Be brief."}], "messages": TALK},
        {"instructions": "Be brief.", "input": TALK},
        {
            "instructions": "Be brief.",
            "input": [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in TALK],
        },
    ],
)
def test_a_conversation_in_any_dialect(body: dict[str, Any]) -> None:
    assert write_transcript(body) == WRITTEN


@given(st.text(min_size=1).filter(str.strip))
def test_a_single_question_is_just_its_text(text: str) -> None:
    for body in ({"messages": [{"role": "user", "content": text}]}, {"input": text}):
        assert write_transcript(body) == text


def test_tools_and_media_leave_a_trace() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:…"}}
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    chat = {
        "messages": [
            {"role": "user", "content": [image, {"type": "text", "text": "Add."}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "4", "tool_call_id": "c"},
        ]
    }
    first, second, third = write_transcript(chat).split("\n\n")
    assert first == "[user]\n[image_url]\nAdd."
    assert '"name": "add"' in second
    assert third == "[tool]\n4"
    items = [
        {"role": "user", "content": "Add."},
        {"type": "function_call", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "output": "4"},
    ]
    assert write_transcript({"input": items}).split("\n\n") == [
        "[user]\nAdd.",
        '[assistant]\n{"name": "add", "arguments": "{}"}',
        '[tool]\n{"output": "4"}',
    ]
    blocks = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "add", "input": {"a": 2}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "4"}]},
    ]
    assert write_transcript({"messages": blocks}) == (
        '[assistant]\n{"name": "add", "input": {"a": 2}}\n\n[user]\n4'
    )
