"""Tokens and needs of a request: every key and every string of its JSON, whatever part it is in.

The walk needs no list of part types. It counts media by stated amounts and everything else as text, so that
a part type of next year is counted, too. Keys, roles and ids stand for what a provider's own template adds:
three or four tokens for each message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bandit_router.features.prompt.media import (
    MEDIA_NEEDS,
    is_text_document,
    weigh_media,
    weigh_opaque,
    without_payload,
)
from bandit_router.features.prompt.tokens import TokenWeight, weigh_text
from bandit_router.types import Need

_NOT_PROMPT = frozenset({"model", "metadata", "user", "logit_bias"})
_DEFINITIONS = frozenset(
    {"tools", "functions", "response_format", "text", "output_format", "output_config", "tool_choice"}
)
_TEXT_KEYS = frozenset(
    {"text", "content", "arguments", "input", "output", "instructions", "system"}
    | {"thinking", "reasoning", "reasoning_content", "refusal"}
)
_MESSAGE_KEYS = {"role", "content"}
_SPEAKERS = ("user", "assistant", "system", "developer")
_JSON_FORMATS = ("json_object", "json_schema")


class Contents(NamedTuple):
    """The weight of a request and what it needs, in the order of :class:`~bandit_router.types.Need`."""

    weight: TokenWeight
    needs: tuple[Need, ...]


def weigh_contents(body: Mapping[str, Any]) -> Contents:
    """The contents of a request body in any dialect."""
    tally = _Tally()
    for field, value in body.items():
        if field not in _DEFINITIONS and field not in _NOT_PROMPT:
            tally.add_parts(value)
    if not _DEFINITIONS.isdisjoint(body):
        _add_definitions(tally, body)
    return tally.contents()


def _add_definitions(tally: _Tally, body: Mapping[str, Any]) -> None:
    """Count the definitions of tools and formats, and note what they need."""
    for field in _DEFINITIONS & body.keys():
        tally.add_json(body[field])
    if body.get("tools") or body.get("functions"):
        tally.needs.add(Need.TOOLS)
    if _asks_for_json(body):
        tally.needs.add(Need.JSON)


class _Tally:
    """The strings, the weight of media and the needs met so far."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.media: list[TokenWeight] = []
        self.needs: set[Need] = set()

    def contents(self) -> Contents:
        weight = weigh_text("".join(self.strings))
        if self.media:
            weights = [weight, *self.media]
            weight = TokenWeight(sum(w.likely for w in weights), sum(w.most for w in weights))
        return Contents(weight, tuple(need for need in Need if need in self.needs) if self.needs else ())

    def add_json(self, value: Any) -> None:
        """Count JSON that the model reads as text: all keys, strings and numbers."""
        waiting = [value]  # a stack, since callers' objects may nest deeper than Python recurses
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                self.strings.append(value)
            elif isinstance(value, Mapping):
                self.strings += map(str, value)
                waiting += value.values()
            elif _is_list(value):
                waiting += value
            elif value is not None:
                self.strings.append(str(value))

    def add_parts(self, value: Any) -> None:
        """Count messages, items and parts. A string under a key of texts is text, else perhaps base64."""
        waiting = [(value, True)]
        while waiting:
            value, is_text = waiting.pop()
            if isinstance(value, str):
                self._add_string(value, is_text)
            elif isinstance(value, dict) and value.keys() == _MESSAGE_KEYS and _is_plain(value):
                self.strings += value  # the way of most messages, and fast
                self.strings += value.values()
            elif isinstance(value, dict) or (not isinstance(value, list) and isinstance(value, Mapping)):
                waiting += self._open_part(value)
            elif _is_list(value):
                waiting += [(member, is_text) for member in value]
            else:
                self.add_json(value)

    def _add_string(self, text: str, is_text: bool) -> None:
        weight = None if is_text else weigh_opaque(text)
        if weight is None:
            self.strings.append(text)
        else:
            self.media.append(weight)

    def _open_part(self, part: Mapping[str, Any]) -> list[tuple[Any, bool]]:
        """Count the part itself; what remains to be counted below it, each with whether it is text."""
        kind = part.get("type")
        need = MEDIA_NEEDS.get(kind) if isinstance(kind, str) else None
        if need is not None and not is_text_document(part):
            self.needs.add(need)
            self.media.append(weigh_media(part, need))
            self.add_json(without_payload(part))
            return []
        self.strings += map(str, part)
        if not _is_of_tools(part, kind):
            return [(value, key in _TEXT_KEYS) for key, value in part.items()]
        self.needs.add(Need.TOOLS)
        arguments = part.get("input")  # an object of the tool's own, with types that are no parts
        self.add_json(arguments)
        return [(value, key in _TEXT_KEYS) for key, value in part.items() if key != "input"]


def _is_list(value: object) -> bool:
    return isinstance(value, list) or (
        isinstance(value, Sequence) and not isinstance(value, bytes | bytearray)
    )


def _is_plain(message: Mapping[str, Any]) -> bool:
    return isinstance(message["content"], str) and message["role"] in _SPEAKERS


def _is_of_tools(part: Mapping[str, Any], kind: object) -> bool:
    """Whether a message or part calls a tool or brings the result of a call."""
    if isinstance(kind, str) and ("tool" in kind or kind.endswith(("_call", "_call_output"))):
        return True
    if part.get("role") in ("tool", "function"):
        return True
    return bool(part.get("tool_calls") or part.get("function_call"))


def _asks_for_json(body: Mapping[str, Any]) -> bool:
    """Whether the answer is to be JSON, in the words of any dialect."""
    holders = [body.get(field) for field in ("text", "output_config")]
    formats = [holder.get("format") for holder in holders if isinstance(holder, Mapping)]
    formats += [body.get(field) for field in ("response_format", "output_format")]
    return any(isinstance(f, Mapping) and f.get("type") in _JSON_FORMATS for f in formats)
