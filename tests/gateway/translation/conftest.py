"""The official OpenAI client whose requests are translated for a scripted Anthropic server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import httpx2
import openai
from pydantic import TypeAdapter

from bandit_router.gateway.adapters import ChatToMessages
from bandit_router.gateway.dialects import DIALECTS, Tap
from bandit_router.gateway.exchange import Exchange, make_exchange
from bandit_router.providers.base import FailureKind, UpstreamError

CREATED = 1_700_000_000
MOST = 4_000
ADAPTER = ChatToMessages("claude-sonnet-5", MOST, now=lambda: CREATED)
_CUT = "the answer was cut"


def make_chat_exchange(raw: bytes) -> Exchange:
    return make_exchange(DIALECTS["chat"], raw, {}, ["claude"])


def explain(body: dict[str, Any]) -> str | None:
    """Why a Claude arm cannot take a chat request; None if it can."""
    return ADAPTER.find_obstacle(make_chat_exchange(json.dumps(body).encode()))


@cache
def _request_types(stream: bool) -> TypeAdapter[Any]:
    from anthropic.types import message_create_params as params

    kind = params.MessageCreateParamsStreaming if stream else params.MessageCreateParamsNonStreaming
    return TypeAdapter(kind)


def require_anthropic_request(body: dict[str, Any]) -> None:
    """Raises unless the types of the official SDK have every field of a body, with such a value."""
    typed = _read_through(_request_types(bool(body.get("stream"))).validate_python(body))
    assert typed == body


def _read_through(value: Any) -> Any:
    """A value with its lazily validated lists."""
    if isinstance(value, dict):
        return {key: _read_through(member) for key, member in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    return [_read_through(member) for member in value]


def play(tap: Tap, answer: bytes, cuts: Sequence[int]) -> bytes:
    """What a client gets of an answer that comes in pieces, and the error event if it is cut."""
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    out = b""
    try:
        for start, end in pairwise(places):
            out += tap.feed(answer[start:end])
        rest = tap.finish()
        if not tap.facts.complete:
            raise UpstreamError(FailureKind.CUT, _CUT)
    except UpstreamError:
        return out if tap.facts.error else out + DIALECTS["chat"].error_event(_CUT)
    return out + rest


@dataclass
class Upstream:
    """A scripted Anthropic server: what it answers, in what pieces, and the requests it has had."""

    answer: bytes
    cuts: Sequence[int] = ()
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def client(self) -> openai.OpenAI:
        """A client that speaks chat with it."""
        http_client = httpx2.Client(transport=httpx2.MockTransport(self._handle))
        return openai.OpenAI(
            api_key="none", base_url="http://gateway/v1", http_client=http_client, max_retries=0
        )

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        exchange = make_chat_exchange(request.content)
        assert ADAPTER.find_obstacle(exchange) is None
        body = json.loads(ADAPTER.write_body(exchange))
        require_anthropic_request(body)
        self.bodies.append(body)
        if self.status >= 400:
            failure = UpstreamError(FailureKind.STATUS, "no", status=self.status, body=self.answer)
            return httpx2.Response(self.status, content=ADAPTER.translate_failure(failure).body)
        content = play(ADAPTER.open_tap(exchange.request), self.answer, self.cuts)
        media_type = "text/event-stream" if exchange.request.stream else "application/json"
        return httpx2.Response(200, content=content, headers={"content-type": media_type})
