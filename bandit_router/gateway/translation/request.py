"""A chat request as a request for a message. The fields named here are all that are translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bandit_router.gateway.translation.closed import Members
from bandit_router.gateway.translation.tools import translate_tools
from bandit_router.gateway.translation.turns import translate_messages

API_VERSION = "2026-10-21"
"""The version of Anthropic's API that all of this is written for."""

_MOST_USER_CHARS = 256

# What says nothing of the answer besides null: the default of both APIs, or a switch that is off.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "temperature": (1, 1.0),  # Anthropic has no sampling parameters any more; 1 samples as they are without
    "top_p": (1, 1.0),
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "logit_bias": ({},),
    "logprobs": (False,),
    "store": (False,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "verbosity": ("medium",),
    "reasoning_effort": (),
    "seed": (),
    "service_tier": (),
    "top_logprobs": (),
    "audio": (),
    "moderation": (),
    "prediction": (),
    "prompt_cache_retention": (),
}
_ABOUT_THE_REQUEST = ("model", "metadata", "prompt_cache_key")
"""Nothing that a model reads: the arm has its own model; the others sort requests, here and at OpenAI."""


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A translated request, but for its model: the JSON of its members, and the tokens that it asks for.

    ``forces_tool``: it says that a tool has to be called, which not every model takes.
    """

    members: bytes
    max_tokens: int | None
    forces_tool: bool

    def write(self, model: str, max_tokens: int) -> bytes:
        """The body, for a model; ``max_tokens`` holds if the request asks for no number."""
        most = max_tokens if self.max_tokens is None else self.max_tokens
        head = orjson.dumps({"model": model, "max_tokens": most})
        return head[:-1] + b"," + self.members + b"}"


def translate_request(body: Mapping[str, Any]) -> MessagesRequest:
    """The translation of a chat body. Raises Untranslatable naming the first field that is in the way."""
    members = Members(body)
    system, turns = translate_messages(members.take("messages"))
    fields: dict[str, Any] = {"messages": turns}
    if system:
        fields["system"] = system
    fields |= translate_tools(members)
    fields |= _translate_stop(members)
    fields |= _translate_user(members)
    if members.take_flag("stream"):
        fields["stream"] = True
    _check_stream_options(members)
    max_tokens = _take_one_of(members, "max_completion_tokens", "max_tokens", is_valid=_is_limit)
    for name, values in _NEUTRAL.items():
        members.take_neutral(name, *values)
    for name in _ABOUT_THE_REQUEST:
        members.take(name)
    members.finish()
    forces_tool = fields.get("tool_choice", {}).get("type") in ("any", "tool")
    return MessagesRequest(orjson.dumps(fields)[1:-1], max_tokens, forces_tool)


def _translate_stop(members: Members) -> dict[str, Any]:
    stop = members.take("stop")
    if stop is None or stop == []:
        return {}
    sequences = [stop] if isinstance(stop, str) else stop
    if not isinstance(sequences, list) or not all(map(_is_visible, sequences)):
        members.refuse("stop")
    return {"stop_sequences": sequences}


def _is_visible(sequence: object) -> bool:
    """Whether it is a text that does not consist of white space, which Anthropic takes for no stop."""
    return isinstance(sequence, str) and bool(sequence.strip())


def _translate_user(members: Members) -> dict[str, Any]:
    """The end user, whom both APIs take to detect abuse, under the new name or the old one."""
    user = _take_one_of(members, "safety_identifier", "user", is_valid=_is_user)
    return {} if user is None else {"metadata": {"user_id": user}}


def _is_user(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_USER_CHARS


def _is_limit(value: object) -> bool:
    return type(value) is int and 0 < value < 2**31


def _take_one_of(members: Members, *names: str, is_valid: Callable[[object], bool]) -> Any:
    """The value that a field has under any of its names; None if it has none. Two that differ are refused."""
    values = {name: members.take(name) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    chosen = next(iter(given.values()), None)
    for name, value in given.items():
        if not is_valid(value) or value != chosen:
            members.refuse(name)
    return chosen


def _check_stream_options(members: Members) -> None:
    """Usage is included or not; a translated stream is never padded."""
    given = members.take("stream_options")
    if given is not None:
        options = Members(given, members.at("stream_options"))
        options.take_flag("include_usage")
        options.take_neutral("include_obfuscation", False)
        options.finish()
