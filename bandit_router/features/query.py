"""Read a Query from what callers send: text or chat messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from bandit_router.errors import InvalidInput
from bandit_router.types import Query
from bandit_router.validation import check_string

_CHARS_PER_TOKEN = 4


def read_query(query: str | Sequence[Mapping[str, object]], *, user_tier: str | None = None) -> Query:
    """A Query from text or from chat messages. Raises InvalidInput."""
    if isinstance(query, str):
        return query_from_text(query, user_tier=user_tier)
    return query_from_messages(query, user_tier=user_tier)


def query_from_text(text: str, *, user_tier: str | None = None) -> Query:
    """A one-turn Query. Raises InvalidInput unless ``text`` is a string."""
    text = check_string("query", text)
    return Query(text=text, user_tier=_check_tier(user_tier), prompt_chars=len(text))


def query_from_messages(messages: Sequence[Mapping[str, object]], *, user_tier: str | None = None) -> Query:
    """A Query from chat messages, each with ``role`` and ``content``, oldest first.

    ``content`` is a string, or a list of parts of which those of type "text" carry ``text``; the text
    parts of one message are joined by a newline. Other parts (images and the like) and missing content
    of a message that is not the user's (an assistant's tool call) carry no text.
    ``text`` becomes that of the newest user message with any, ``turn`` the number of user messages,
    ``prompt_chars`` the characters of all messages.

    Raises InvalidInput naming the part at fault, for example ``messages[2].content``.
    """
    if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
        _refuse("messages", "is not a list", "send a list of objects with role and content")
    if not messages:
        _refuse("messages", "is empty", "send at least one message of role 'user'")
    newest, turn, prompt_chars = "", 0, 0
    for i, message in enumerate(messages):
        role, texts = _read_message(message, f"messages[{i}]")
        prompt_chars += sum(map(len, texts))
        if role == "user":
            turn += 1
            newest = "\n".join(texts) or newest
    if turn == 0:
        _refuse("messages", "has no user message", "send at least one message of role 'user'")
    return Query(text=newest, turn=turn, user_tier=_check_tier(user_tier), prompt_chars=prompt_chars)


def estimate_input_tokens(query: Query) -> int:
    """Estimated tokens of the whole prompt: ceil(prompt_chars / 4), at least 1.

    Four characters a token is the usual rule of thumb for English; code and other scripts need more
    tokens. It prices queries before any model has counted.
    """
    return max(1, -(-query.prompt_chars // _CHARS_PER_TOKEN))


def _read_message(message: object, field: str) -> tuple[str, list[str]]:
    if not isinstance(message, Mapping):
        _refuse(field, "is not an object", "send role and content")
    role = check_string(f"{field}.role", message.get("role"))
    content = message.get("content")
    if content is None and role != "user":
        return role, []
    return role, _read_content(content, f"{field}.content")


def _read_content(content: object, field: str) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, bytes) or not isinstance(content, Sequence):
        _refuse(field, "is neither text nor a list of parts", "send a string or a list of parts")
    texts = []
    for i, part in enumerate(content):
        if not isinstance(part, Mapping):
            _refuse(f"{field}[{i}]", "is not an object", "send a part with its type")
        if check_string(f"{field}[{i}].type", part.get("type")) == "text":
            texts.append(check_string(f"{field}[{i}].text", part.get("text")))
    return texts


def _check_tier(user_tier: object) -> str | None:
    return None if user_tier is None else check_string("user_tier", user_tier)


def _refuse(field: str, problem: str, fix: str) -> NoReturn:
    raise InvalidInput(field, problem, fix)
