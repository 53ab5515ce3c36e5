"""Prompts of every dialect: what is counted, what it needs, and what is never read as text."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.features.prompt import estimate_tokens, read_prompt
from bandit_router.types import Need

LONG = "word " * 40_000  # 200,000 characters, 50,000 tokens
PICTURE = base64.b64encode(bytes(range(256)) * 800).decode()  # 200 kB
USER: dict[str, Any] = {"role": "user", "content": "Why?"}


def content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


PLACES: dict[str, dict[str, Any]] = {
    "content": {"messages": [{"role": "user", "content": LONG}]},
    "text part": content(text_part(LONG)),
    "system message": {"messages": [{"role": "system", "content": LONG}, USER]},
    "developer message": {"messages": [{"role": "developer", "content": LONG}, USER]},
    "result of a tool": {"messages": [USER, {"role": "tool", "tool_call_id": "1", "content": LONG}]},
    "result of a function": {"messages": [USER, {"role": "function", "name": "f", "content": LONG}]},
    "arguments of a tool": {
        "messages": [
            USER,
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": LONG}}]},
        ]
    },
    "arguments of a function": {
        "messages": [USER, {"role": "assistant", "function_call": {"name": "f", "arguments": LONG}}]
    },
    "refusal": {"messages": [USER, {"role": "assistant", "refusal": LONG}]},
    "reasoning": {"messages": [USER, {"role": "assistant", "content": "So.", "reasoning_content": LONG}]},
    "input": {"input": LONG},
    "input text": {"input": [{"role": "user", "content": [{"type": "input_text", "text": LONG}]}]},
    "output text": {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": LONG}]}]},
    "function call": {"input": [USER, {"type": "function_call", "name": "f", "arguments": LONG}]},
    "function call output": {"input": [USER, {"type": "function_call_output", "output": LONG}]},
    "reasoning summary": {
        "input": [USER, {"type": "reasoning", "summary": [{"type": "summary_text", "text": LONG}]}]
    },
    "instructions": {"input": "Why?", "instructions": LONG},
    "system": {"messages": [USER], "system": LONG},
    "system blocks": {"messages": [USER], "system": [text_part(LONG)]},
    "tool use": {
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"code": LONG}}]},
        ]
    },
    "tool result": content({"type": "tool_result", "content": LONG}),
    "tool result blocks": content({"type": "tool_result", "content": [text_part(LONG)]}),
    "thinking": {
        "messages": [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": LONG}]}]
    },
    "text document": content({"type": "document", "source": {"type": "text", "data": LONG}}),
    "document of parts": content(
        {"type": "document", "source": {"type": "content", "content": [text_part(LONG)]}}
    ),
    "title of a document": content(
        {"type": "document", "title": LONG, "source": {"type": "url", "url": "https://example.org"}}
    ),
    "tools": {"messages": [USER], "tools": [{"name": "f", "description": LONG}]},
    "functions": {"messages": [USER], "functions": [{"name": "f", "parameters": {"enum": [LONG]}}]},
    "response format": {"messages": [USER], "response_format": {"json_schema": {"description": LONG}}},
    "text format": {"input": "Why?", "text": {"format": {"schema": {"description": LONG}}}},
    "unknown part": content({"type": "hologram", "hologram": {"layers": [{"label": LONG}]}}),
    "unknown item": {"input": [USER, {"type": "telepathy", "thought": LONG}]},
    "unknown field": {"messages": [USER], "next_years_field": [{"note": LONG}]},
}


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_a_long_text_counts_wherever_it_is(body: dict[str, Any]) -> None:
    prompt = read_prompt(body)
    assert 50_000 <= prompt.input_tokens < 56_000
    assert 80_000 <= prompt.window_tokens < 115_000


MEDIA: dict[str, tuple[dict[str, Any], Need]] = {
    "image by URL": ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, Need.VISION),
    "image in base64": (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        Need.VISION,
    ),
    "input image": ({"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}, Need.VISION),
    "Anthropic's image": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        Need.VISION,
    ),
    "image of an MCP tool": (
        {"type": "tool_result", "content": [{"type": "image", "data": PICTURE, "mimeType": "image/png"}]},
        Need.VISION,
    ),
    "file": (
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PICTURE}"},
        },
        Need.DOCUMENTS,
    ),
    "file by id": ({"type": "file", "file": {"file_id": "file-1"}}, Need.DOCUMENTS),
    "input file": ({"type": "input_file", "file_url": "https://example.org/a.pdf"}, Need.DOCUMENTS),
    "document": (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PICTURE}},
        Need.DOCUMENTS,
    ),
    "audio": ({"type": "input_audio", "input_audio": {"data": PICTURE, "format": "mp3"}}, Need.AUDIO),
}


@pytest.mark.parametrize(("part", "need"), MEDIA.values(), ids=MEDIA)
def test_media_need_a_capability_and_are_no_text(part: dict[str, Any], need: Need) -> None:
    prompt = read_prompt(content(part, text_part("What is this?")))
    assert prompt.text == "What is this?"
    assert need in prompt.needs
    assert 100 <= prompt.input_tokens <= 15_000  # as text, 270,000 characters would be 67,000 tokens
    assert prompt.input_tokens <= prompt.window_tokens <= 45_000


def test_an_image_counts_by_the_rule_of_its_provider() -> None:
    empty = read_prompt(content()).input_tokens

    def tokens(part: dict[str, Any]) -> int:
        return read_prompt(content(part)).input_tokens - empty

    url = "https://example.org/a.png"
    assert 765 <= tokens({"type": "image_url", "image_url": {"url": url}}) < 775
    assert 85 <= tokens({"type": "image_url", "image_url": {"url": url, "detail": "low"}}) < 97
    assert 1400 <= tokens({"type": "image", "source": {"type": "url", "url": url}}) < 1410


@pytest.mark.parametrize("kind", ["file", "input_file", "document"])
def test_a_document_counts_by_its_size(kind: str) -> None:
    small, large = (
        read_prompt(content({"type": kind, "file_data": PICTURE * times})).input_tokens for times in (1, 3)
    )
    assert small > 10_000
    assert large == pytest.approx(3 * small, rel=0.01)


def test_base64_in_a_part_of_unknown_type_is_no_text() -> None:
    for part in (
        {"type": "video", "bytes": PICTURE},
        {"type": "video", "url": f"data:video/mp4;base64,{PICTURE}"},
    ):
        assert read_prompt(content(part)).input_tokens < 15_000
    reasoning = {"type": "reasoning", "encrypted_content": PICTURE}
    assert read_prompt({"input": [USER, reasoning]}).input_tokens < 15_000


def test_base64_that_the_user_typed_is_text() -> None:
    assert read_prompt(content(text_part(PICTURE))).input_tokens > 60_000


NEEDS: dict[str, tuple[dict[str, Any], tuple[Need, ...]]] = {
    "nothing": ({"messages": [USER]}, ()),
    "no tools": ({"messages": [USER], "tools": []}, ()),
    "tools": ({"messages": [USER], "tools": [{"name": "f"}]}, (Need.TOOLS,)),
    "functions": ({"messages": [USER], "functions": [{"name": "f"}]}, (Need.TOOLS,)),
    "a call": ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "1"}]}]}, (Need.TOOLS,)),
    "no call": ({"messages": [USER, {"role": "assistant", "content": "", "tool_calls": []}]}, ()),
    "a result": ({"messages": [USER, {"role": "tool", "content": "4"}]}, (Need.TOOLS,)),
    "a tool use": (content({"type": "tool_use", "input": {"type": "image"}}), (Need.TOOLS,)),
    "a call item": ({"input": [USER, {"type": "function_call", "arguments": "{}"}]}, (Need.TOOLS,)),
    "JSON": ({"messages": [USER], "response_format": {"type": "json_object"}}, (Need.JSON,)),
    "a schema": ({"messages": [USER], "response_format": {"type": "json_schema"}}, (Need.JSON,)),
    "plain text": ({"messages": [USER], "response_format": {"type": "text"}}, ()),
    "a schema in responses": ({"input": "Why?", "text": {"format": {"type": "json_schema"}}}, (Need.JSON,)),
    "a screenshot": (
        {"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot"}}]},
        (Need.VISION, Need.TOOLS),
    ),
    "a schema that speaks of files": (
        {"messages": [USER], "tools": [{"parameters": {"type": "file", "format": "image"}}]},
        (Need.TOOLS,),
    ),
}


@pytest.mark.parametrize(("body", "needs"), NEEDS.values(), ids=NEEDS)
def test_the_needs_of_a_request(body: dict[str, Any], needs: tuple[Need, ...]) -> None:
    assert read_prompt(body).needs == needs


@pytest.mark.parametrize("text", ["Why?", "为什么天是蓝的？", "x" * 10_000])
def test_a_text_is_weighed_as_it_is(text: str) -> None:
    prompt = read_prompt(text)
    assert prompt[:3] == (text, 1, len(text))
    assert prompt.input_tokens == estimate_tokens(text) <= prompt.window_tokens


def test_messages_and_a_body_of_messages_are_the_same() -> None:
    assert read_prompt([USER]) == read_prompt({"messages": [USER]})


def test_fields_that_no_model_reads_do_not_count() -> None:
    body = {"messages": [USER], "model": LONG, "metadata": {"note": LONG}, "user": LONG}
    assert read_prompt(body).input_tokens == read_prompt([USER]).input_tokens


def test_a_message_costs_as_much_as_a_template_adds() -> None:
    # OpenAI adds 3 tokens to a message, and 3 to the whole.
    plain = 100 * estimate_tokens("How are you?")
    tokens = read_prompt([{"role": "user", "content": "How are you?"}] * 100).input_tokens
    assert 100 * 3 <= tokens - plain <= 100 * 5


def test_nesting_deeper_than_python_recurses_is_read() -> None:
    nested: Any = "x" * 4000
    for _ in range(5000):
        nested = {"content": [nested]}
    assert read_prompt(content({"type": "tool_result", "content": nested})).input_tokens > 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "data"]), inner),
    max_leaves=6,
)
PARTS = st.dictionaries(st.text(), JSON).map(lambda part: {**part, "type": "unknown"})


@given(parts=st.lists(PARTS, max_size=3), more=PARTS)
def test_any_part_is_read_and_a_part_more_never_counts_less(
    parts: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    before, after = read_prompt(content(*parts)), read_prompt(content(*parts, more))
    assert 1 <= before.input_tokens < after.input_tokens
    assert before.window_tokens < after.window_tokens
    assert set(before.needs) <= set(after.needs)


def test_a_prompt_that_was_read_before_is_a_prompt() -> None:
    prompt = read_prompt([USER])
    assert read_prompt(prompt) is prompt
