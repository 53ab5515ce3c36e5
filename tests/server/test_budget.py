"""GET /v1/budget: how the goal stands."""

from __future__ import annotations

import pytest

from bandit_router.router import Router
from tests.server.conftest import Client, assert_problem
from tests.server.openapi import violations
from tests.services import serving, write_settings


def test_a_service_says_how_its_budget_stands(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = write_settings(tmp_path_factory.mktemp("paced"), budget={"usd_per_request": 0.004})
    with Router.open(config) as router:
        router.feedback(router.route("a").id, cost_usd=0.003)
    with serving(config) as service, Client(service.url) as client:
        answer = client.get("/v1/budget")
        document = client.get("/openapi.json").json()
    found = answer.json()
    assert (found["goal"], found["target"], found["requests"]) == ("usd_per_request", 0.004, 1)
    assert (found["spent_usd"], found["allowance_usd"]) == pytest.approx((0.003, 0.004))
    schema = document["paths"]["/v1/budget"]["get"]["responses"]["200"]["content"]["application/json"]
    assert violations(found, schema["schema"], document) == []


def test_without_a_goal_there_is_nothing_to_be_found(client: Client) -> None:
    assert "[budget]" in assert_problem(client.get("/v1/budget"), 404)["detail"]
