"""Instructions: the part of a prompt that an application writes, its system prompt and its tools."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

_SYSTEM_FIELDS = ("system", "instructions")
_SYSTEM_ROLES = ("system", "developer")
_TOOL_FIELDS = ("tools", "functions")


class Instructions(NamedTuple):
    """The texts of the system prompt, and the names of the tools in their order."""

    texts: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    def digest(self) -> bytes:
        """The hash of exactly these instructions."""
        content = "\0".join((*self.texts, "\0", *self.tools))
        return hashlib.blake2b(content.encode(errors="replace"), digest_size=16).digest()


NO_INSTRUCTIONS = Instructions()

TaskSource = str | Instructions
"""What names the task of a request: the caller, or what the application wrote of its prompt."""


def read_instructions(body: Mapping[str, Any]) -> Instructions:
    """The instructions of a request body in any dialect; what is not in its form is passed over.

    Messages of the system count up to the first turn of somebody else.
    """
    contents = [body.get(field) for field in _SYSTEM_FIELDS]
    turns = body.get("messages") or body.get("input")
    if isinstance(turns, Sequence) and not isinstance(turns, str):
        contents += [turn.get("content") for turn in takewhile(_is_of_system, turns)]
    texts = tuple(text for content in contents for text in _read_texts(content))
    tools = tuple(name for field in _TOOL_FIELDS for name in _read_tool_names(body.get(field)))
    return Instructions(texts, tools) if texts or tools else NO_INSTRUCTIONS


def _is_of_system(turn: object) -> bool:
    return isinstance(turn, Mapping) and turn.get("role") in _SYSTEM_ROLES


def _read_texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        content = [{"text": content}]
    if not isinstance(content, Sequence):
        return
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(text, str) and text.strip():
            yield text


def _read_tool_names(tools: object) -> Iterator[str]:
    """The name of each tool; of one that the provider runs, its type."""
    if not isinstance(tools, Sequence):
        return
    for tool in tools:
        if isinstance(tool, Mapping):
            function = tool.get("function")
            described = function if isinstance(function, Mapping) else tool
            name = described.get("name") or tool.get("type")
            if isinstance(name, str):
                yield name
