"""An exchange: the request of a client with the options of its route call, from headers and metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import orjson

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects.base import OPTION_PREFIX, Dialect, DialectRequest
from bandit_router.gateway.dialects.json_body import find_values, parse_object, replace_spans
from bandit_router.gateway.translation import MessagesRequest, Untranslatable, translate_request
from bandit_router.router import RouteOptions
from bandit_router.security.keys import ApiKey
from bandit_router.types import Signals

AUTO = ("auto", "claude-auto")
"""The models that mean: choose one."""

_TEXT_OPTIONS = {"tier": "user_tier"} | {
    name: name for name in ("task", "workflow", "conversation", "user", "incumbent")
}
_NUMBER_OPTIONS = {"deadline": "deadline_s", "max-cost": "max_cost_usd"}
_SESSION_HEADERS = ("x-session-id", "session-id", "session_id", "x-claude-code-session-id")
"""Where clients name their session by themselves."""

_FORWARDED = ("anthropic-version", "anthropic-beta", "idempotency-key")
_FORWARDED_PREFIX = "openai-"


class UnknownModel(InvalidInput):
    """The request names a model that is neither an arm nor the name for a choice."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request of a client. ``headers`` are those that upstream gets; ``new_conversation`` begins anew.

    ``key`` is the client's, if it needs one. ``signals`` are those of the gateway's own.
    """

    dialect: Dialect
    raw: bytes
    request: DialectRequest
    headers: Mapping[str, str]
    options: RouteOptions
    new_conversation: bool = False
    key: ApiKey | None = None
    signals: Signals = field(default_factory=dict)

    @property
    def granted(self) -> Collection[str] | None:
        """The only arms that may be called for it; None for all."""
        return None if self.key is None else self.key.arms

    @property
    def names_arm(self) -> bool:
        """Whether the client has chosen the arm itself."""
        return "override" in self.options

    @cached_property
    def translated(self) -> MessagesRequest | Untranslatable:
        """The translation of a chat request, or what is in its way; made when the first arm asks."""
        try:
            return translate_request(parse_object(self.raw))
        except Untranslatable as obstacle:
            return Untranslatable(obstacle.field)  # its traceback would hold the whole body


def make_exchange(
    dialect: Dialect,
    raw: bytes,
    headers: Mapping[str, str],
    arms: Collection[str],
    key: ApiKey | None = None,
) -> Exchange:
    """Read the request of a client, who has that key, if any; ``headers`` have lower-case names.

    Raises InvalidInput, UnknownModel if it names no arm.
    """
    request = dialect.read_request(raw)
    given = dict(request.options) | {
        name.removeprefix(OPTION_PREFIX): value
        for name, value in headers.items()
        if name.startswith(OPTION_PREFIX)
    }
    if request.user is not None:
        given.setdefault("user", request.user)
    options: dict[str, Any] = read_options(given)
    if request.model not in AUTO:
        if request.model not in arms:
            fix = f"use auto, or one of {', '.join(arms)}"
            raise UnknownModel("model", f"{request.model!r} is not an arm", fix)
        options["override"] = request.model
    new_conversation = False
    if "conversation" not in options:
        caller = given.get("user", "") if key is None else f"{key.id}:{given.get('user', '')}"
        options["conversation"], new_conversation = _find_conversation(request, headers, caller)
    return Exchange(
        dialect=dialect,
        raw=raw,
        request=request,
        headers=select_forwarded(headers),
        options=cast(RouteOptions, options),
        new_conversation=new_conversation,
        key=key,
    )


def replace_model(raw: bytes, model: str) -> bytes:
    """The same request with another model. Raises InvalidInput."""
    parse_object(raw)
    spans = find_values(raw)
    if "model" not in spans:
        raise InvalidInput("model", "is missing", "name one, such as auto")
    return replace_spans(raw, [(spans["model"], orjson.dumps(model))])


def read_options(given: Mapping[str, str]) -> dict[str, Any]:
    """The options of a route call, from their texts by name. Raises InvalidInput."""
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name in _TEXT_OPTIONS:
            options[_TEXT_OPTIONS[name]] = value
        elif name in _NUMBER_OPTIONS:
            options[_NUMBER_OPTIONS[name]] = _read_number(OPTION_PREFIX + name, value)
        elif name == "will-be-rated":
            options["will_be_rated"] = _read_boolean(OPTION_PREFIX + name, value)
        elif name == "forbid":
            options["forbid"] = [arm.strip() for arm in value.split(",")]
    return options


def select_forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that upstream gets: those of its API, never a credential."""
    return {
        name: value
        for name, value in headers.items()
        if name in _FORWARDED or name.startswith(_FORWARDED_PREFIX)
    }


def _find_conversation(
    request: DialectRequest, headers: Mapping[str, str], caller: str
) -> tuple[str | None, bool]:
    """The conversation that the client means, and whether it begins with this request."""
    session = next((headers[name] for name in _SESSION_HEADERS if headers.get(name)), None)
    if session is not None:
        return f"session:{_digest(caller, session)}", False
    if request.cache_key is not None:
        return f"key:{_digest(caller, request.cache_key)}", False
    thread = request.thread or request.new_thread
    return (None, False) if thread is None else (f"thread:{_digest(caller, thread)}", request.thread is None)


def _digest(caller: str, text: str) -> str:
    return hashlib.sha256(f"{caller}\0{text}".encode(errors="replace")).hexdigest()[:32]


def _read_number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(field, f"is {text!r:.40}", "give a number") from None


def _read_boolean(field: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidInput(field, f"is {text!r:.40}", "write true or false")
    return text == "true"
