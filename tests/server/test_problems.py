"""Errors outside a body, and that every one of them is a problem."""

from __future__ import annotations

import socket
import time

import pytest

from tests.server.conftest import Client, assert_problem
from tests.services import Service


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v2/route", "/v1/decisions", "/v1/decisions/", "/v1/decisions/a/b", "/v1/arms/"],
)
def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    assert_problem(client.get(path), 404)


def test_a_trailing_slash_is_another_path_and_not_a_redirect(client: Client) -> None:
    assert_problem(client.send_raw("/v1/route/", '{"query": "a"}'), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/route", "POST"),
        ("PUT", "/v1/feedback", "POST"),
        ("DELETE", "/v1/decisions/x", "GET"),
        ("POST", "/v1/arms", "GET"),
        ("POST", "/healthz", "GET"),
        ("PATCH", "/readyz", "GET"),
    ],
)
def test_a_wrong_method_says_which_is_right(client: Client, method: str, path: str, allowed: str) -> None:
    response = client.request(method, path)
    assert_problem(response, 405)
    assert response.headers["allow"] == allowed


def test_a_long_list_of_errors_is_cut_short(client: Client) -> None:
    content = assert_problem(client.route(query="a", **{f"x{i}": i for i in range(100)}), 422)
    assert len(content["errors"]) == 20
    assert content["detail"].endswith("and 80 more")


def test_a_client_that_hangs_up_halfway_leaves_no_trace(service: Service, client: Client) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    before = service.log
    lines = [
        "POST /v1/route HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 99",
        "",
        "{",
    ]
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall("\r\n".join(lines).encode())
            time.sleep(0.02)  # so that the request is being read when the connection goes away
    for _ in range(20):
        client.decided()
    assert "Traceback" not in service.log.removeprefix(before)


def test_a_problem_names_its_error_and_the_attributes_of_it(client: Client) -> None:
    content = assert_problem(client.route(query=""), 422, field="query")
    assert content["code"] == "invalid_input"
    assert (content["field"], content["problem"], content["fix"]) == ("query", "is empty", "send some text")
    content = assert_problem(client.route(query=5), 422, field="query")
    assert (content["code"], content["field"]) == ("invalid_input", "query")
    content = assert_problem(client.feedback("unknown", quality=1), 404)
    assert (content["code"], content["decision_id"]) == ("unknown_decision", "unknown")
    assert "code" not in assert_problem(client.get("/v2"), 404)
