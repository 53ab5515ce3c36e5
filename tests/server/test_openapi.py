"""The document at /openapi.json is true: what is answered conforms to what is declared."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bandit_router.gateway.dialects import DIALECTS
from tests.server.conftest import Client
from tests.server.openapi import references, resolve, violations

ENDPOINTS = {
    ("/v1/route", "post"),
    ("/v1/feedback", "post"),
    ("/v1/decisions/{decision_id}", "get"),
    ("/v1/decisions/{decision_id}/escalate", "post"),
    ("/v1/decisions/{decision_id}/chain", "get"),
    ("/v1/arms", "get"),
    ("/v1/calibration", "get"),
    ("/v1/budget", "get"),
    ("/v1/stats", "get"),
    ("/v1/savings", "get"),
    ("/v1/rollout", "get"),
    ("/v1/safety", "get"),
    ("/v1/rollout/advance", "post"),
    ("/v1/rollout/abort", "post"),
    ("/v1/advice", "get"),
    ("/healthz", "get"),
    ("/readyz", "get"),
}
GATEWAY = {
    ("/v1/chat/completions", "post"),
    ("/v1/responses", "post"),
    ("/v1/messages", "post"),
    ("/v1/messages/count_tokens", "post"),
    ("/v1/embeddings", "post"),
    ("/v1/models", "get"),
}


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    content: dict[str, Any] = response.json()
    return content


def declared(document: dict[str, Any], path: str, method: str, response: httpx.Response) -> dict[str, Any]:
    """The schema declared for this answer; fails when its status or media type is not declared."""
    responses = document["paths"][path][method]["responses"]
    media_type = response.headers["content-type"].partition(";")[0]
    schema: dict[str, Any] = responses[str(response.status_code)]["content"][media_type]["schema"]
    return schema


def assert_as_declared(document: dict[str, Any], path: str, method: str, response: httpx.Response) -> None:
    schema = declared(document, path, method, response)
    assert violations(response.json(), schema, document) == []


def test_it_is_an_openapi_3_1_document_with_every_endpoint(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "bandit-router"
    assert {(path, method) for path, item in document["paths"].items() for method in item} == (
        ENDPOINTS | GATEWAY
    )


def test_the_paths_of_the_gateway_are_answered_and_refer_to_the_api_they_are_of(
    client: Client, document: dict[str, Any]
) -> None:
    assert {(dialect.path, "post") for dialect in DIALECTS.values()} <= GATEWAY
    for path, method in GATEWAY:
        assert document["paths"][path][method]["externalDocs"]["url"].startswith("https://")
        answer = client.get(path) if method == "get" else client.send_raw(path, b"{}")
        assert answer.headers["content-type"] == "application/json"  # a problem is from elsewhere


def test_every_reference_in_it_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        assert reference.startswith("#/")
        assert resolve(reference, document)


def test_every_operation_has_an_id_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)


def test_every_declared_error_is_a_problem(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (operation, status)


@pytest.mark.parametrize("path", ["/v1/route", "/v1/feedback"])
def test_bodies_are_declared_strict_with_examples_that_conform(document: dict[str, Any], path: str) -> None:
    operation = document["paths"][path]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert operation["requestBody"]["required"]
    assert schema["additionalProperties"] is False
    assert schema["examples"]
    for example in schema["examples"]:
        assert violations(example, schema, document) == []
    assert [p["name"] for p in operation["parameters"]] == ["Idempotency-Key"]


def test_the_examples_of_route_are_answered_as_declared(client: Client, document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/route"]["post"]
    for example in operation["requestBody"]["content"]["application/json"]["schema"]["examples"]:
        response = client.route(**example)
        assert response.status_code == 200
        assert_as_declared(document, "/v1/route", "post", response)


def test_the_example_of_feedback_is_accepted_for_a_decision_of_ours(
    client: Client, document: dict[str, Any]
) -> None:
    operation = document["paths"]["/v1/feedback"]["post"]
    [example] = operation["requestBody"]["content"]["application/json"]["schema"]["examples"]
    response = client.feedback(client.decided(), **example["metrics"])
    assert response.status_code == 200
    assert_as_declared(document, "/v1/feedback", "post", response)


def test_every_outcome_of_feedback_is_declared(client: Client, document: dict[str, Any]) -> None:
    decision = client.decided()
    for value in (0.5, 0.5, 0.7, None):
        assert_as_declared(document, "/v1/feedback", "post", client.feedback(decision, quality=value))


@pytest.mark.parametrize("path", ["/v1/arms", "/healthz", "/readyz"])
def test_plain_answers_are_as_declared(client: Client, document: dict[str, Any], path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert_as_declared(document, path, "get", response)


def test_figures_are_as_declared(client: Client, document: dict[str, Any]) -> None:
    client.feedback(client.decided(), quality=0.5)
    for params in ({}, {"by": "time,arm,reason,tier"}, {"format": "csv"}):
        response = client.get("/v1/stats", params=params)
        assert response.status_code == 200
        if "format" in params:
            assert declared(document, "/v1/stats", "get", response) == {"type": "string"}
        else:
            assert_as_declared(document, "/v1/stats", "get", response)


def test_a_decision_is_as_declared_with_and_without_feedback(
    client: Client, document: dict[str, Any]
) -> None:
    decision = client.decided()
    path = "/v1/decisions/{decision_id}"
    assert_as_declared(document, path, "get", client.get(f"/v1/decisions/{decision}"))
    client.feedback(decision, quality=0.5, cost_usd=0.001)
    assert_as_declared(document, path, "get", client.get(f"/v1/decisions/{decision}"))


def test_errors_are_as_declared(client: Client, document: dict[str, Any]) -> None:
    route = "/v1/route"
    for response in (
        client.send_raw(route, b"["),
        client.send_raw(route, b" " * 300_000),
        client.post(route, content=b"{}"),
        client.route(query="", require=["x"]),
        client.route(query="a", require=["telepathy"]),
    ):
        assert response.status_code >= 400
        assert_as_declared(document, route, "post", response)
    assert_as_declared(document, "/v1/feedback", "post", client.feedback("unknown", quality=1.0))
    for weird in ("unknown", "%00"):
        response = client.get(f"/v1/decisions/{weird}")
        assert_as_declared(document, "/v1/decisions/{decision_id}", "get", response)


def test_the_checker_can_tell_what_does_not_conform() -> None:
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer"}, "b": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "additionalProperties": False,
    }
    assert violations({"a": 1, "b": None}, schema, {}) == []
    wrongs: list[Any] = [{}, {"a": True}, {"a": 1.5}, {"a": 1, "b": 2}, {"a": 1, "c": 2}, [], None]
    for wrong in wrongs:
        assert violations(wrong, schema, {})
