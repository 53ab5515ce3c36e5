"""What the gateway passes on without choosing: embeddings and counts of tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.services import SMALL, serving, write_settings

ANSWERS: dict[str, Any] = {
    "/v1/embeddings": {
        "object": "list",
        "model": "up",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    },
    "/v1/messages/count_tokens": {"input_tokens": 14},
}


class _Upstream(HTTPServer):
    bodies: list[tuple[str, Any]]
    error: tuple[int, bytes] | None = None


class _Handler(BaseHTTPRequestHandler):
    server: _Upstream

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append((self.path, body))
        status, answer = self.server.error or (200, orjson.dumps(ANSWERS[self.path]))
        self.send_response(status)
        self.send_header("retry-after", "0.01")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def upstream() -> Iterator[_Upstream]:
    server = _Upstream(("127.0.0.1", 0), _Handler)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def arm(name: str, server: _Upstream, **fields: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    base = {"chat": f"{url}/v1", "messages": url}
    return {
        **SMALL,
        "name": name,
        "model": f"{name}-model",
        "base_url": base,
        "allow_private": True,
        **fields,
    }


def test_embeddings_go_to_their_arm(tmp_path: Path) -> None:
    with upstream() as server:
        arms = (arm("small", server), arm("embedder", server, enabled=False))
        settings = write_settings(tmp_path, arms=arms, gateway={"embeddings_arm": "embedder"})
        with serving(settings) as service, openai.OpenAI(base_url=f"{service.url}/v1", api_key="k") as client:
            answer = client.embeddings.create(model="any", input="Hello", encoding_format="float")
        assert answer.data[0].embedding == [0.5, -1.0]
        expected = {"model": "embedder-model", "input": "Hello", "encoding_format": "float"}
        assert server.bodies == [("/v1/embeddings", expected)]


def test_without_an_arm_for_embeddings_they_are_a_404(tmp_path: Path) -> None:
    with (
        serving(write_settings(tmp_path)) as service,
        openai.OpenAI(base_url=f"{service.url}/v1", api_key="k") as client,
        pytest.raises(openai.NotFoundError, match="embeddings_arm"),
    ):
        client.embeddings.create(model="any", input="Hello")


def test_an_arm_counts_tokens(tmp_path: Path) -> None:
    with upstream() as server:
        settings = write_settings(tmp_path, arms=(arm("small", server),))
        with serving(settings) as service, anthropic.Anthropic(base_url=service.url, api_key="k") as client:
            count = client.messages.count_tokens(
                model="claude-auto", messages=[{"role": "user", "content": "Hello"}]
            )
        assert count.input_tokens == 14
        ((path, body),) = server.bodies
        assert (path, body["model"]) == ("/v1/messages/count_tokens", "small-model")


@pytest.mark.parametrize(("status", "asked"), [(400, 1), (401, 1), (404, 1), (429, 3), (500, 3)])
def test_an_error_is_as_the_provider_says_it(tmp_path: Path, status: int, asked: int) -> None:
    """One arm is asked once, so that a client asks again where it would ask the provider again."""
    body = orjson.dumps({"type": "error", "error": {"type": "some_error", "message": "scripted words"}})

    def ask(url: str) -> tuple[Any, ...]:
        with (
            anthropic.Anthropic(base_url=url, api_key="k", max_retries=2) as client,
            pytest.raises(anthropic.APIStatusError, match="scripted words") as caught,
        ):
            client.messages.count_tokens(model="auto", messages=[{"role": "user", "content": "Hello"}])
        error = caught.value
        return (
            type(error),
            str(error),
            error.body,
            error.response.content,
            error.response.headers["retry-after"],
        )

    with upstream() as server:
        server.error = status, body
        settings = write_settings(tmp_path, arms=(arm("small", server),))
        with serving(settings) as service:
            assert ask(service.url) == ask(f"http://127.0.0.1:{server.server_address[1]}")
        assert len(server.bodies) == 2 * asked
