"""The same call twice: once straight to a scripted server, once through a gateway in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
from pydantic import BaseModel

from bandit_router.providers.scripted import ReceivedCall, Scene
from tests.gateway.conftest import Gateway, gateway_to

Ask = Callable[[Any, str], Any]
"""A call of an official client, with a model."""

ARM, MODEL = "only", "only-model"
_SHOWN_HEADERS = ("content-type", "retry-after", "x-request-id", "request-id", "x-ratelimit-limit-requests")


@dataclass(slots=True)
class Stage:
    """A scripted server that plays ``scene``, and the gateway in front of it."""

    gateway: Gateway
    scene: Scene

    @property
    def calls(self) -> list[ReceivedCall]:
        """What the server has been asked since the scene began."""
        return self.gateway.upstreams[ARM].app.calls

    def play(self, scene: Scene) -> None:
        """Begin a scene."""
        self.scene = scene
        self.calls.clear()

    def compare(
        self,
        open_client: Callable[..., Any],
        ask: Ask,
        *,
        model: str = "auto",
        added: bytes = b"",
        **options: Any,
    ) -> Any:
        """What the client sees, the same both ways; and so is what the server gets, but for ``added``."""
        base = "" if open_client is anthropic.Anthropic else "/v1"
        direct_url, gateway_url = self.gateway.upstreams[ARM].url + base, self.gateway.service.url + base
        with open_client(base_url=direct_url, api_key="sk-client", max_retries=0, **options) as client:
            direct = observe(ask, client, MODEL)
        with open_client(base_url=gateway_url, api_key="sk-client", **options) as client:
            routed = observe(ask, client, model)
        assert routed == direct
        assert len(self.calls) == 2
        assert added in self.calls[1].body
        assert self.calls[1].body.replace(added, b"", 1) == self.calls[0].body
        return routed


@contextmanager
def staging(folder: Path) -> Iterator[Stage]:
    """A stage with one arm, which plays a scene after the other."""
    stage: Stage
    with gateway_to(folder, {ARM: lambda _: stage.scene}) as gateway:
        stage = Stage(gateway, Scene())
        yield stage


def observe(ask: Ask, client: Any, model: str) -> Any:
    """What the call returns, or what it raises."""
    try:
        return _dump(ask(client, model))
    except (openai.APIError, anthropic.APIError) as error:
        return _describe(error)


def _dump(seen: Any) -> Any:
    if isinstance(seen, BaseModel):
        return seen.model_dump()
    if isinstance(seen, openai.Stream | anthropic.Stream | list | tuple):
        return [_dump(part) for part in seen]
    return seen


def _describe(error: openai.APIError | anthropic.APIError) -> dict[str, Any]:
    seen: dict[str, Any] = {"type": type(error), "text": str(error), "body": error.body}
    if isinstance(error, openai.APIStatusError | anthropic.APIStatusError):
        headers = error.response.headers
        seen |= {
            "status": error.status_code,
            "request id": error.request_id,
            "bytes": error.response.content,
            "headers": {name: headers[name] for name in _SHOWN_HEADERS if name in headers},
        }
    return seen
