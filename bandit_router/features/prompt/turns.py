"""The user's text and turns in messages or items, which features are made of, with checks of their form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from bandit_router.errors import InvalidInput
from bandit_router.validation import check_string, check_text

_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_FIX = "send at least one message of role 'user'"


class Turns(NamedTuple):
    """The newest user text, the number of user messages, and the characters of all texts.

    Tool calls, their results and media have no characters here: ``chars`` is a feature, which posteriors have
    learned with as it is. Tokens are counted by :mod:`~bandit_router.features.prompt.contents`.
    """

    text: str
    turn: int
    chars: int


def read_turns(messages: object, field: str) -> Turns:
    """The turns of ``messages`` or ``input``, oldest first; ``field`` names it in errors.

    A message has ``role`` and ``content``, a string or a list of parts; the texts of one message are joined
    by a newline. An item with a ``type`` and no role, and a user message that only brings results of tools,
    are no turns. Raises InvalidInput naming the part at fault, for example ``messages[2].content``.
    """
    if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
        _refuse(field, "is not a list", "send a list of objects with role and content")
    if not messages:
        _refuse(field, "is empty", _FIX)
    newest, turn, chars = "", 0, 0
    for i, message in enumerate(messages):
        role, texts = _read_message(message, f"{field}[{i}]")
        chars += sum(map(len, texts))
        if role == "user":
            turn += 1
            newest = "\n".join(texts) or newest
    if turn == 0 and not any(map(_says_anything, messages)):
        _refuse(field, "has no user message", _FIX)
    return Turns(newest, turn, chars)


def count_chars(content: object) -> int:
    """The characters of a system prompt: a string or a list of text parts."""
    if content is None:
        return 0
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, Sequence):
        return 0
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return sum(len(text) for text in texts if isinstance(text, str))


def _read_message(message: object, field: str) -> tuple[str, list[str]]:
    """Role and texts of a message. An item without a role has neither."""
    if not isinstance(message, Mapping):
        _refuse(field, "is not an object", "send role and content")
    if "role" not in message and "type" in message:
        check_string(f"{field}.type", message["type"])
        return "", []
    role = check_string(f"{field}.role", message.get("role"))
    content = message.get("content")
    if content is None and role != "user":
        return role, []
    texts = _read_content(content, f"{field}.content")
    if role == "user" and not isinstance(content, str) and _is_only_tool_results(content):
        return "tool", texts
    return role, texts


def _read_content(content: object, field: str) -> list[str]:
    if isinstance(content, str):
        _check_characters(field, content)
        return [content]
    if isinstance(content, bytes) or not isinstance(content, Sequence):
        _refuse(field, "is neither text nor a list of parts", "send a string or a list of parts")
    texts = []
    for i, part in enumerate(content):
        if not isinstance(part, Mapping):
            _refuse(f"{field}[{i}]", "is not an object", "send a part with its type")
        if check_string(f"{field}[{i}].type", part.get("type")) in _TEXT_PARTS:
            texts.append(check_string(f"{field}[{i}].text", part.get("text")))
            _check_characters(f"{field}[{i}].text", texts[-1])
    return texts


def _check_characters(field: str, text: str) -> None:
    """Raise InvalidInput for characters that no text may have; an empty text has none."""
    if text:
        check_text(field, text)


def _is_only_tool_results(content: Any) -> bool:
    return bool(content) and all(part["type"] == "tool_result" for part in content)


def _says_anything(message: Mapping[str, Any]) -> bool:
    return bool(message.get("content")) or bool(message.keys() - {"role", "content", "name"})


def _refuse(field: str, problem: str, fix: str) -> NoReturn:
    raise InvalidInput(field, problem, fix)
