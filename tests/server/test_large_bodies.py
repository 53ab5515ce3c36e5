"""Bodies of route requests: their limit is a setting, and a worker holds only so many bytes of them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from bandit_router.server.body import MAX_MARKS, parse_json_object
from bandit_router.server.problems import BadRequest
from tests.server.conftest import Client, assert_problem
from tests.services import Service, serving, write_settings

LIMIT = 1024 * 1024


def padded(size: int) -> bytes:
    start, end = b'{"query": "', b'"}'
    return start + b"a" * (size - len(start) - len(end)) + end


def test_the_limit_of_a_route_request_is_a_setting(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, server={"max_body_bytes": LIMIT})
    with serving(settings) as service, Client(service.url) as client:
        assert client.send_raw("/v1/route", padded(LIMIT)).status_code == 200
        assert_problem(client.send_raw("/v1/route", padded(LIMIT + 1)), 413)
        assert_problem(client.send_raw("/v1/feedback", padded(256 * 1024 + 1)), 413)


def test_what_a_worker_holds_is_bounded_and_free_again(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path, server={"max_body_bytes": LIMIT})) as service:
        with ExitStack() as unfinished:
            begun, response = fill_memory(service, unfinished)
            assert assert_problem(response, 503)["detail"].startswith("too many large bodies")
            assert response.headers["retry-after"]
            assert begun >= 8
        assert retried_until(200, service).status_code == 200


def fill_memory(service: Service, unfinished: ExitStack) -> tuple[int, httpx.Response]:
    """Begin requests until another one is refused: how many, and what that one is told.

    One that is begun may be refused, too, where the other one had its memory at that moment.
    """
    begun, response = 0, None
    while response is None or (response.status_code != 503 and begun < 100):
        unfinished.enter_context(send_start(service, LIMIT))
        begun, response = begun + 1, send_large(service)
    return begun, response


def send_start(service: Service, size: int) -> socket.socket:
    """All of a request but its last byte."""
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port))
    lines = [
        "POST /v1/route HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {size}",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + padded(size)[:-1])
    return connection


def send_large(service: Service) -> httpx.Response:
    """The answer to a large request."""
    with Client(service.url) as client:
        return client.send_raw("/v1/route", padded(LIMIT // 2))


def retried_until(status: int, service: Service) -> httpx.Response:
    """The answer to a large request, asked again until it has this status."""
    for _ in range(200):
        response = send_large(service)
        if response.status_code == status:
            break
        time.sleep(0.05)
    return response


@pytest.mark.parametrize(
    "body",
    [
        {"features": [""] * 1_000_000},
        {"query": "a", "require": [1] * 1_000_000},
        {"query": "a", "arms": [None] * 1_000_000},
        {"messages": [1] * 1_000_000},
        {"messages": [{"role": "user", "content": [1] * 1_000_000}]},
        {f"field {i}": i for i in range(300_000)},
    ],
    ids=["features", "require", "arms", "messages", "parts", "fields"],
)
def test_a_large_wrong_body_is_refused_in_few_words(default_client: Client, body: object) -> None:
    response = default_client.send_raw("/v1/route", json.dumps(body))
    assert response.status_code in (400, 422)
    assert len(response.content) < 2000


@pytest.mark.parametrize("value", ["[]", "{}", "1", "[[]]", '{"a":[1]}'])
def test_millions_of_tiny_values_are_refused_before_they_are_made(default_client: Client, value: str) -> None:
    start, end = '{"query": "a", "tools": [', value + "]}"
    repeated = f"{value}, " * ((8_000_000 - len(start) - len(end)) // (len(value) + 2))
    problem = assert_problem(default_client.send_raw("/v1/route", start + repeated + end), 400)
    assert problem["detail"].startswith("the body has more than 500000 lists, objects and commas")


def test_the_most_values_are_allowed() -> None:
    body = '{"query": [' + "1," * (MAX_MARKS - 2) + "1]}"
    assert len(parse_json_object(body.encode())["query"]) == MAX_MARKS - 1
    with pytest.raises(BadRequest, match=f"more than {MAX_MARKS}"):
        parse_json_object(body.replace("[1", "[1,1").encode())


def test_a_long_session_with_many_tools_is_routed(default_client: Client) -> None:
    parameter = {"type": "string", "description": "The id, as in [a, b, c].", "enum": ["a", "b", "c"]}
    schema = {"type": "object", "properties": {f"p{i}": parameter for i in range(100)}, "required": ["p0"]}
    tools = [
        {"type": "function", "function": {"name": f"tool_{i}", "parameters": schema}} for i in range(300)
    ]
    rows = json.dumps([{"id": i, "tags": ["a", "b"]} for i in range(500)])
    turns: list[dict[str, object]] = [{"role": "user", "content": "Find the cheapest flight."}]
    for step in range(40):
        call = {"id": f"call_{step}", "type": "function", "function": {"name": "tool_1", "arguments": rows}}
        turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
        turns.append({"role": "tool", "tool_call_id": f"call_{step}", "content": rows})
    body = json.dumps({"messages": turns, "tools": tools})
    assert sum(map(body.count, "[{,")) > MAX_MARKS  # most of them in strings
    response = default_client.send_raw("/v1/route", body)
    assert response.status_code == 200, response.text


@pytest.fixture(scope="module")
def default_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = write_settings(tmp_path_factory.mktemp("default"))
    with serving(settings) as service, Client(service.url) as client:
        yield client
