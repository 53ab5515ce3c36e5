"""POST /v1/decisions/{id}/escalate, and what a query has cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server.conftest import Client, assert_problem
from tests.server.openapi import violations
from tests.services import serving, write_settings

PATH = "/v1/decisions/{decision_id}/escalate"
MESSAGES = [{"role": "user", "content": "What is a monad? ✓"}]


@pytest.fixture(scope="module")
def cascading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service of two workers that retries every answer short of certainty."""
    config = write_settings(
        tmp_path_factory.mktemp("cascade"),
        policy={"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0},
        cascade={"enabled": True, "threshold": 1.0, "epsilon": 0.0},
    )
    with serving(config, "--workers", "2") as running, Client(running.url) as client:
        yield client


def escalate(client: Client, decision_id: str, **body: Any) -> httpx.Response:
    return client.send_raw(f"/v1/decisions/{decision_id}/escalate", json.dumps(body))


def test_an_answer_is_retried_once_whichever_worker_is_asked(cascading: Client) -> None:
    first = cascading.route(messages=MESSAGES).json()
    assert first["arm"] == "small"
    answers = [escalate(cascading, first["decision_id"], confidence=c).json() for c in (0.4, 0.9, 1.0, 0.4)]
    assert all(answer == answers[0] for answer in answers)
    (answer, *_) = answers
    assert (answer["accept"], answer["confidence"]) == (False, 0.4)
    assert answer["why"] == "confidence 0.4 < threshold 1"
    retry = answer["retry"]
    assert (retry["arm"], retry["reason"], retry["parent"]) == ("large", "escalation", first["decision_id"])
    logged = cascading.get(f"/v1/decisions/{retry['decision_id']}").json()
    assert logged["parent"] == first["decision_id"]
    assert logged["metrics"] == {"confidence": 0.4}


def test_a_sure_answer_is_accepted(cascading: Client) -> None:
    answer = escalate(cascading, cascading.decided(), confidence=1.0).json()
    assert (answer["accept"], answer["retry"]) == (True, None)
    assert 0.0 <= answer["p_good"] <= 1.0


def test_there_is_no_place_for_the_answer(cascading: Client) -> None:
    for extra in ("answer", "messages", "query"):
        response = escalate(cascading, cascading.decided(), confidence=0.1, **{extra: "It is …"})
        assert_problem(response, 422, field=extra)


@pytest.mark.parametrize("confidence", [-0.1, 1.5, "0.5", None, True])
def test_a_confidence_is_a_number_from_0_to_1(cascading: Client, confidence: Any) -> None:
    response = escalate(cascading, cascading.decided(), confidence=confidence)
    assert_problem(response, 422, field="confidence")


def test_a_retry_and_an_unknown_decision_are_problems(cascading: Client) -> None:
    retry = escalate(cascading, cascading.decided(), confidence=0.1).json()["retry"]["decision_id"]
    assert_problem(escalate(cascading, retry, confidence=0.1), 422, field="decision_id")
    assert_problem(escalate(cascading, "unknown", confidence=0.1), 404)


def test_a_deadline_that_has_passed_forbids_it(cascading: Client) -> None:
    answer = escalate(cascading, cascading.decided(), confidence=0.1, deadline_s=0.0).json()
    assert (answer["accept"], answer["why"]) == (True, "large: the deadline has passed")
    assert answer["p_retry_good"] is None


def test_costs_and_latencies_add_up(cascading: Client) -> None:
    first = cascading.decided()
    retry = escalate(cascading, first, confidence=0.1).json()["retry"]["decision_id"]
    path = f"/v1/decisions/{retry}/chain"
    assert cascading.get(path).json()["cost_usd"] is None
    cascading.feedback(first, cost_usd=0.25, latency_s=1.0)
    cascading.feedback(retry, cost_usd=0.5, latency_s=2.0)
    found = cascading.get(path).json()
    assert found == cascading.get(f"/v1/decisions/{first}/chain").json()
    assert found["decision_ids"] == [first, retry]
    assert (found["cost_usd"], found["latency_s"]) == (0.75, 3.0)
    assert_problem(cascading.get("/v1/decisions/unknown/chain"), 404)


def test_it_has_to_be_switched_on(client: Client) -> None:
    problem = assert_problem(escalate(client, client.decided(), confidence=0.5), 422, field="cascade")
    assert "set enabled = true under [cascade]" in problem["detail"]


def test_answers_are_as_declared(cascading: Client) -> None:
    document: dict[str, Any] = cascading.get("/openapi.json").json()
    operation = document["paths"][PATH]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    for example in body["examples"]:
        assert violations(example, body, document) == []
    for response in (
        *(escalate(cascading, cascading.decided(), **example) for example in body["examples"]),
        escalate(cascading, cascading.decided(), confidence=1.0),
        escalate(cascading, "unknown", confidence=1.0),
        cascading.send_raw(PATH.format(decision_id="a"), b"["),
    ):
        media_type = response.headers["content-type"].partition(";")[0]
        schema = operation["responses"][str(response.status_code)]["content"][media_type]["schema"]
        assert violations(response.json(), schema, document) == []
