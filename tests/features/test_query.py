from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.features import query_from_messages, query_from_text, read_query
from bandit_router.types import Query
from bandit_router.validation import check_text

CHAT: list[dict[str, object]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Rayleigh"},
]


def test_a_text_is_a_first_turn_of_its_own_length() -> None:
    assert query_from_text("Why?", user_tier="free") == Query(
        text="Why?", turn=1, user_tier="free", prompt_chars=4
    )


def test_a_chat_is_its_newest_user_message_its_user_turns_and_all_its_characters() -> None:
    assert query_from_messages(CHAT, user_tier="premium") == Query(
        text="Why is the sky blue?", turn=2, user_tier="premium", prompt_chars=9 + 5 + 3 + 20 + 8
    )


def test_text_parts_are_joined_and_other_parts_carry_no_text() -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "text", "text": "this?"},
    ]
    query = query_from_messages([{"role": "user", "content": parts}])
    assert (query.text, query.prompt_chars) == ("What is\nthis?", 12)


def test_an_image_alone_is_a_user_turn_without_text() -> None:
    query = query_from_messages([{"role": "user", "content": [{"type": "image", "source": {}}]}])
    assert (query.text, query.turn, query.prompt_chars) == ("", 1, 0)


@pytest.mark.parametrize("call", [{"content": None}, {}])
def test_an_assistant_message_may_lack_content(call: dict[str, object]) -> None:
    query = query_from_messages([{"role": "user", "content": "Weather?"}, {"role": "assistant", **call}])
    assert query.prompt_chars == 8


@pytest.mark.parametrize("content", ["", []])
def test_a_user_turn_may_be_empty(content: object) -> None:
    query = query_from_messages([{"role": "user", "content": "Hi"}, {"role": "user", "content": content}])
    assert (query.text, query.turn) == ("Hi", 2)


def test_a_system_prompt_alone_is_a_first_turn_without_text() -> None:
    query = query_from_messages([{"role": "system", "content": "Write a haiku."}])
    assert (query.text, query.turn, query.prompt_chars) == ("", 1, 14)


def test_results_of_tools_are_no_turn_of_the_user() -> None:
    results = [{"type": "tool_result", "tool_use_id": "1", "content": "4 °C"}]
    query = query_from_messages(
        [{"role": "user", "content": "Weather?"}, *({"role": "user", "content": results},) * 3]
    )
    assert (query.text, query.turn) == ("Weather?", 1)


@pytest.mark.parametrize(
    "items", ["Why?", [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}]]
)
def test_responses_are_read_from_input(items: object) -> None:
    query = read_query({"input": items, "instructions": "Be brief."})
    assert query == Query(text="Why?", prompt_chars=4 + 9)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"instructions": "Be brief."}, "messages"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
    ],
)
def test_a_body_is_refused_by_the_field_that_the_caller_sent(body: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_query(body)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "content", ["Hi", [{"type": "text", "text": "Hi"}], ({"type": "text", "text": "Hi"},)]
)
def test_content_is_a_string_or_any_sequence_of_parts(content: object) -> None:
    assert query_from_messages(({"role": "user", "content": content},)).text == "Hi"


def _user(content: object) -> list[dict[str, object]]:
    return [{"role": "system", "content": ""}, {"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        ("Hello", "messages"),
        (b"Hello", "messages"),
        ({"role": "user", "content": "Hello"}, "messages"),
        (None, "messages"),
        ([{"role": "system"}], "messages"),
        ([{"role": "system", "content": ""}, {"role": "assistant", "content": None}], "messages"),
        (["Hello"], "messages[0]"),
        ([{"content": "Hello"}], "messages[0].role"),
        ([{"role": 1, "content": "Hello"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        (_user(None), "messages[1].content"),
        (_user(7), "messages[1].content"),
        (_user(b"Hello"), "messages[1].content"),
        (_user({"type": "text", "text": "Hello"}), "messages[1].content"),
        (_user(["Hello"]), "messages[1].content[0]"),
        (_user([{"text": "Hello"}]), "messages[1].content[0].type"),
        (_user([{"type": "image"}, {"type": "text"}]), "messages[1].content[1].text"),
        (_user([{"type": "input_text", "text": None}]), "messages[1].content[0].text"),
        (_user("a\0b"), "messages[1].content"),
        (_user([{"type": "text", "text": "a\ud800"}]), "messages[1].content[0].text"),
        ([{"type": 7}], "messages[0].type"),
        (_user([{"type": "text", "text": 7}]), "messages[1].content[0].text"),
        ([*_user("Hello"), {"role": "assistant", "content": 7}], "messages[2].content"),
    ],
)
def test_wrong_messages_are_refused_by_the_path_of_the_fault(messages: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        query_from_messages(messages)
    assert caught.value.field == field
    assert caught.value.fix


@pytest.mark.parametrize("text", [None, 7, b"Why?", ["Why?"], ""])
def test_a_query_that_is_no_string_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInput, match="query"):
        query_from_text(text)


@pytest.mark.parametrize(
    "read",
    [
        lambda tier: query_from_text("a", user_tier=tier),
        lambda tier: query_from_messages(CHAT, user_tier=tier),
    ],
)
def test_a_tier_that_is_no_string_is_refused(read: Any) -> None:
    with pytest.raises(InvalidInput, match="user_tier"):
        read(3)


@pytest.mark.parametrize(("query", "text"), [("Hello", "Hello"), (CHAT, "Why is the sky blue?")])
def test_read_query_takes_text_and_messages(query: str | Sequence[Mapping[str, object]], text: str) -> None:
    assert read_query(query, user_tier="free").text == text


@pytest.mark.parametrize("text", [None, "a", "ü", "日本語 🙂", " ", "x" * 10])
def test_ordinary_text_passes_the_check(text: str | None) -> None:
    check_text("field", text, 10)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("x" * 11, "has 11 characters"),
        ("a\0b", "NUL"),
        ("ü\0b", "NUL"),
        ("a\ud800", "surrogate"),
        (7, "is int"),
    ],
)
def test_unusable_text_is_refused_with_its_field(text: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        check_text("conversation", text, 10)
    assert caught.value.field == "conversation"
