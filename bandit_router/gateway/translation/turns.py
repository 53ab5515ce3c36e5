"""The messages of a chat as system prompt and turns.

Anthropic's turns alternate and begin and end with the user; turns of one role that follow each other are one.
The results of the tools that a turn calls stand first in the next.
"""

from __future__ import annotations

import re
from typing import Any

import jiter
import orjson

from bandit_router.gateway.translation.closed import Members, Untranslatable, iterate_list
from bandit_router.gateway.translation.contents import Block, translate_contents, translate_texts

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]+")


def translate_messages(messages: object) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of the system prompt, and the turns. Raises Untranslatable."""
    conversation = _Conversation()
    for place, message in iterate_list(messages, "messages"):
        members = Members(message, place)
        conversation.add(members)
        members.finish()
    conversation.finish()
    return conversation.system, conversation.turns


class _Conversation:
    """What has been translated so far. ``_open`` are the calls without a result, ``_open_at`` their place."""

    def __init__(self) -> None:
        self.system: list[Block] = []
        self.turns: list[dict[str, Any]] = []
        self._ids: set[str] = set()
        self._open: set[str] = set()
        self._open_at = ""
        self._last_role_at = "messages"

    def add(self, members: Members) -> None:
        role = members.take("role")
        self._last_role_at = members.at("role")
        if role != "tool":
            self._require_results()
        if role in ("system", "developer") and not self.turns:
            self.system += translate_texts(members.take("content"), members.at("content"))
        elif role == "user":
            self._add_turn("user", translate_contents(members.take("content"), members.at("content")))
        elif role == "assistant" and self.turns:
            self._add_turn("assistant", self._translate_answer(members))
        elif role == "tool":
            self._add_turn("user", [self._translate_result(members)])
        else:
            members.refuse("role")

    def finish(self) -> None:
        self._require_results()
        if not self.turns or self.turns[-1]["role"] != "user":  # an answer would go on in the last turn
            raise Untranslatable(self._last_role_at)

    def _add_turn(self, role: str, blocks: list[Block]) -> None:
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks})

    def _translate_answer(self, members: Members) -> list[Block]:
        content, calls = members.take("content"), members.take("tool_calls")
        for name in ("refusal", "audio", "function_call"):
            members.take_neutral(name)
        members.take_neutral("annotations", [])
        has_calls, has_content = calls not in (None, []), content not in (None, "", [])
        blocks = translate_texts(content, members.at("content")) if has_content or not has_calls else []
        if has_calls:
            self._open_at = members.at("tool_calls")
            blocks += [self._translate_call(call, at) for at, call in iterate_list(calls, self._open_at)]
        return blocks

    def _translate_call(self, call: object, place: str) -> Block:
        members = Members(call, place)
        call_id = members.take_text("id")
        if not _CALL_ID.fullmatch(call_id) or call_id in self._ids:
            members.refuse("id")
        if members.take("type") != "function":
            members.refuse("type")
        function = Members(members.take("function"), members.at("function"))
        name, arguments = function.take_text("name"), function.take_text("arguments")
        if not TOOL_NAME.fullmatch(name):
            function.refuse("name")
        if not _is_object(arguments):
            function.refuse("arguments")
        function.finish()
        members.finish()
        self._ids.add(call_id)
        self._open.add(call_id)
        return {"type": "tool_use", "id": call_id, "name": name, "input": orjson.Fragment(arguments)}

    def _translate_result(self, members: Members) -> Block:
        call_id = members.take_text("tool_call_id")
        if call_id not in self._open:
            members.refuse("tool_call_id")
        self._open.remove(call_id)
        block = {"type": "tool_result", "tool_use_id": call_id}
        content = members.take("content")
        if content == "":
            return block
        return {**block, "content": translate_texts(content, members.at("content"))}

    def _require_results(self) -> None:
        if self._open:
            raise Untranslatable(self._open_at)


def _is_object(arguments: str) -> bool:
    try:
        value = jiter.from_json(arguments.encode(), catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError:
        return False
    return isinstance(value, dict)
