"""What requests of every dialect have in common: model, options, thread and pin."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jiter

from bandit_router.errors import InvalidInput
from bandit_router.features import Prompt
from bandit_router.gateway.dialects.base import OPTION_NAMES, OPTION_PREFIX
from bandit_router.types import Need
from bandit_router.validation import KEY_CHARS, NAME_CHARS, USER_CHARS, check_string, check_text

_Test = Callable[[Mapping[str, Any]], bool]

_MOST_TOKENS = 1_000_000_000
_PARSED_CHARS = 4_096
_ERROR_KEYS = ("error", "isError", "is_error")
_FAILURE = re.compile(r"\s*(?:error\b|traceback \(most recent call last\))", re.IGNORECASE)
_SIGNED_KEYS = ("signature", "encrypted_content", "thought_signature")


def read_model(body: Mapping[str, Any]) -> str:
    """The model that the request names. Raises InvalidInput."""
    model = check_string("model", body.get("model"))
    check_text("model", model, NAME_CHARS)
    return model


def read_options(body: Mapping[str, Any]) -> dict[str, str]:
    """The options of a route call among the members of ``metadata``. Raises InvalidInput."""
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    options = {}
    for key, value in metadata.items():
        if not key.startswith(OPTION_PREFIX):
            continue
        name = key.removeprefix(OPTION_PREFIX)
        if name not in OPTION_NAMES:
            known = ", ".join(OPTION_PREFIX + option for option in OPTION_NAMES)
            raise InvalidInput(f"metadata.{key:.64}", "is not an option", f"send one of {known}")
        options[name] = check_string(f"metadata.{key}", value)
        check_text(f"metadata.{key}", value)
    return options


def read_fields(body: Mapping[str, Any], options: Mapping[str, str]) -> frozenset[str]:
    """The names of the top-level fields, without the ``metadata`` that carries options of ours."""
    return frozenset(body.keys() - {"metadata"} if options else body)


def read_key(body: Mapping[str, Any], field: str) -> str | None:
    """A key of the client's own under ``field``. Raises InvalidInput."""
    key = body.get(field) or None
    check_text(field, key, KEY_CHARS)
    return key


def find_user(fields: Mapping[str, Any], *names: str) -> str | None:
    """The user that the first of these fields names; upstream judges what cannot be one."""
    users = (user for name in names if isinstance(user := fields.get(name), str))
    return next((user for user in users if 0 < len(user) <= USER_CHARS and "\0" not in user), None)


def read_token_limit(body: Mapping[str, Any], *fields: str) -> int | None:
    """The first positive number of tokens under the fields; upstream refuses what else may be there."""
    for field in fields:
        value = body.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return min(value, _MOST_TOKENS)
    return None


def read_thread(
    system: Sequence[object], tools: object, turns: Sequence[Mapping[str, Any]], is_of_model: _Test
) -> tuple[str | None, str | None]:
    """The hash of a conversation that goes on, and that of one which begins; one of both is None.

    ``system`` has the contents of the system prompts before the first turn, ``turns`` the other messages.
    A last turn of the assistant is a prefill. Marks of prompt caching move from turn to turn, and a text may
    come as a string or as a part; neither changes the hash.
    """
    first = {**turns[0], "content": _as_parts(turns[0].get("content"))} if turns else None
    content = json.dumps([[*map(_as_parts, system)], _as_parts(tools), first], sort_keys=True)
    thread = hashlib.sha256(content.encode()).hexdigest()
    return (thread, None) if any(map(is_of_model, turns[:-1])) else (None, thread)


def is_of_assistant(message: Mapping[str, Any]) -> bool:
    """Whether a message is the assistant's."""
    return message.get("role") == "assistant"


def is_of_system(message: Mapping[str, Any]) -> bool:
    """Whether a message is of the system, or the developer, as newer models call it."""
    return message.get("role") in ("system", "developer")


def list_mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; none where there is no list."""
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


def wants_json(prompt: Prompt) -> bool:
    """Whether the answer is to be JSON."""
    return Need.JSON in prompt.needs


def ends_with_tool_result(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last turn is, or holds, what a tool gave back; in the form of any dialect."""
    last = turns[-1] if turns else {}
    kind = last.get("type")
    if last.get("role") in ("tool", "function") or (isinstance(kind, str) and kind.endswith("_output")):
        return True
    return any(part.get("type") == "tool_result" for part in list_mappings(last.get("content")))


def read_tool_results(turns: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether a tool whose result is at the end says that it failed; None if no result is there.

    Anthropic's results have a mark for it. Of others the text tells: an object with an error, or a text that
    begins with the word.
    """
    failed: list[bool] = []
    for turn in reversed(turns):
        results = _list_results(turn)
        if not results:
            break
        failed += map(_has_failed, results)
    return any(failed) if failed else None


def find_signature(turns: Sequence[Mapping[str, Any]]) -> str | None:
    """The pin of the newest signed or encrypted part of the assistant's turns, if there is one."""
    for turn in reversed(turns):
        for part in _list_parts(turn):
            signed = [part.get(key) for key in _SIGNED_KEYS]
            if part.get("type") in ("redacted_thinking", "reasoning.encrypted"):
                signed.append(part.get("data"))
            for signature in signed:
                if isinstance(signature, str) and signature:
                    return f"signature:{hashlib.sha256(signature.encode()).hexdigest()[:32]}"
    return None


def _as_parts(content: object) -> object:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return content
    return [
        {key: value for key, value in part.items() if key != "cache_control"}
        if isinstance(part, Mapping)
        else part
        for part in content
    ]


def _list_parts(turn: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A turn, its parts, and theirs; never the arguments of a tool, whose names are anybody's."""
    yield turn
    for key in ("content", "reasoning_details", "tool_calls"):
        for part in list_mappings(turn.get(key)):
            yield part
            yield from list_mappings(part.get("content"))
            extra = part.get("extra_content")  # Gemini signs its tool calls here
            if isinstance(extra, Mapping):
                yield from (value for value in extra.values() if isinstance(value, Mapping))


def _list_results(turn: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What tools gave back in a turn, in the form of any dialect."""
    kind = turn.get("type")
    if turn.get("role") in ("tool", "function") or (isinstance(kind, str) and kind.endswith("_output")):
        return [turn]
    return [part for part in list_mappings(turn.get("content")) if part.get("type") == "tool_result"]


def _has_failed(result: Mapping[str, Any]) -> bool:
    if "is_error" in result:
        return result["is_error"] is True
    said = result.get("output", result.get("content"))
    if isinstance(said, list):
        said = next((part.get("text") for part in list_mappings(said)), None)
    return isinstance(said, str) and (_FAILURE.match(said) is not None or _names_error(said))


def _names_error(said: str) -> bool:
    """Whether a text is an object with an error. Long ones are not parsed: it would take too long."""
    if len(said) > _PARSED_CHARS or not said.lstrip().startswith("{"):
        return False
    try:
        parsed = jiter.from_json(said.encode(errors="replace"))
    except ValueError:
        return False
    return isinstance(parsed, dict) and any(parsed.get(key) for key in _ERROR_KEYS)
