"""A request as a text for a model to read: every turn with its role, in any dialect."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

_SYSTEM_FIELDS = ("system", "instructions")
_CALL_FIELDS = ("tool_calls", "function_call", "name", "arguments", "output")
_RESULT = "_output"


def write_transcript(body: Mapping[str, Any]) -> str:
    """The conversation of a request body; just the text where it is one message of a user.

    Calls of tools are written as the JSON they are. Of media there is a mark of their type.
    """
    turns = [(role, text) for role, text in _iterate_turns(body) if text.strip()]
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"[{role}]\n{text}" for role, text in turns)


def _iterate_turns(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in _SYSTEM_FIELDS:
        yield "system", _write_content(body.get(field))
    given = body.get("messages", body.get("input"))
    if isinstance(given, str):
        yield "user", given
    elif isinstance(given, Sequence):
        for turn in given:
            if isinstance(turn, Mapping):
                yield _find_role(turn), _write_turn(turn)


def _find_role(turn: Mapping[str, Any]) -> str:
    """The role of a turn; an item without one is a call of a tool, or its result."""
    of_item = "tool" if str(turn.get("type")).endswith(_RESULT) else "assistant"
    return str(turn.get("role") or of_item)


def _write_turn(turn: Mapping[str, Any]) -> str:
    return "\n".join(filter(None, (_write_content(turn.get("content")), _write_fields(turn, _CALL_FIELDS))))


def _write_content(content: object) -> str:
    """The text of a content: a string, or parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    return "\n".join(_write_part(part) for part in content if isinstance(part, Mapping))


def _write_part(part: Mapping[str, Any]) -> str:
    match part.get("type"):
        case "tool_use":
            return _write_fields(part, ("name", "input"))
        case "tool_result":
            return _write_content(part.get("content"))
        case kind:
            text = part.get("text")
            return text if isinstance(text, str) else f"[{kind}]"


def _write_fields(part: Mapping[str, Any], names: Collection[str]) -> str:
    fields = {name: part[name] for name in names if part.get(name)}
    return json.dumps(fields, ensure_ascii=False) if fields else ""
