"""GET /v1/safety and the gauge: how a bound policy stands."""

from __future__ import annotations

import pytest

from bandit_router.objective.safety import SafetyStatus
from bandit_router.router import Router
from bandit_router.server.dashboard.panels.steering import make_safety_panel
from tests.server.conftest import Client, assert_problem
from tests.server.openapi import violations
from tests.services import serving, write_settings


def test_a_service_says_how_its_policy_stands(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = write_settings(
        tmp_path_factory.mktemp("bound"), safety={"baseline": "large"}, learner={"interval_s": 3600.0}
    )
    with Router.open(config) as router:
        router.route("hello")
        router.learn()
        status = router.safety()
    with serving(config) as service, Client(service.url) as client:
        answer = client.get("/v1/safety")
        routed = client.route(query="hello").json()
        document, figures = client.get("/openapi.json").json(), client.get("/metrics").text
    found = answer.json()
    assert (found["baseline"], found["decisions"], found["share"]) == ("large", 1, status.share)
    schema = document["paths"]["/v1/safety"]["get"]["responses"]["200"]["content"]["application/json"]
    assert violations(found, schema["schema"], document) == []
    assert f"bandit_router_safety_share {status.share}" in figures
    assert routed["policy"].startswith("safe:baseline=large|")


def test_the_panel_says_it_in_a_line() -> None:
    status = SafetyStatus(
        baseline="large",
        at_most=0.02,
        probability=0.95,
        since=0.0,
        share=0.125,
        decisions=900,
        lost=1.5,
        lost_at_most=9.25,
        allowed=14.0,
    )
    note = make_safety_panel(status).note
    assert "The policy decides 12.5% of the traffic, and large the rest." in note
    assert "Lost in 900 decisions: 1.5 utility expected, 9.25 at most; 14 are allowed." in note
    assert (hint := make_safety_panel(None).hint) is not None
    assert "[safety]" in hint.command


def test_without_a_baseline_there_is_nothing_to_be_found(client: Client) -> None:
    assert "[safety]" in assert_problem(client.get("/v1/safety"), 404)["detail"]
    assert "bandit_router_safety_share" not in client.get("/metrics").text
