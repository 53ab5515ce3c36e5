"""POST /v1/feedback: one or many metrics, revisions, retractions, and that they are learned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings


def outcomes(client: Client, decision_id: str, **metrics: float | None) -> dict[str, str]:
    answer: dict[str, Any] = client.feedback(decision_id, **metrics).raise_for_status().json()
    assert answer["decision_id"] == decision_id
    told: dict[str, str] = answer["outcomes"]
    return told


def test_one_metric_is_recorded(client: Client) -> None:
    assert outcomes(client, client.decided(), quality=0.9) == {"quality": "recorded"}


def test_many_metrics_are_recorded_in_one_call(client: Client) -> None:
    metrics = {"quality": 1, "satisfaction": 0, "error": 0.0, "cost_usd": 1e6, "latency_s": 1e-300}
    decision = client.decided()
    assert outcomes(client, decision, **metrics) == dict.fromkeys(metrics, "recorded")
    assert client.get(f"/v1/decisions/{decision}").json()["metrics"] == metrics


def test_the_same_value_again_is_a_duplicate_another_a_revision_and_null_retracts(client: Client) -> None:
    decision = client.decided()
    values = (0.5, 0.5, 0.7, None, None, 0.7)
    told = [outcomes(client, decision, quality=value)["quality"] for value in values]
    assert told == ["recorded", "duplicate", "revised", "retracted", "duplicate", "revised"]


def test_metrics_of_one_call_have_outcomes_of_their_own(client: Client) -> None:
    decision = client.decided()
    outcomes(client, decision, quality=0.5, cost_usd=0.1)
    told = outcomes(client, decision, quality=0.5, cost_usd=None, latency_s=2.0)
    assert told == {"quality": "duplicate", "cost_usd": "retracted", "latency_s": "recorded"}


def test_one_wrong_metric_refuses_the_whole_call(client: Client) -> None:
    decision = client.decided()
    assert_problem(client.feedback(decision, quality=0.5, error=2.0), 422, field="metrics.error")
    assert client.get(f"/v1/decisions/{decision}").json()["metrics"] == {}


@pytest.mark.parametrize(
    "decision_id", ["unknown", "01890a5d-ac96-774b-bcce-b302099a8057", "é", "' OR 1=1 --"]
)
def test_feedback_on_an_unknown_decision_is_not_found(client: Client, decision_id: str) -> None:
    content = assert_problem(client.feedback(decision_id, quality=0.5), 404)
    assert decision_id in content["detail"] or repr(decision_id) in content["detail"]


@pytest.mark.parametrize("decision_id", ["", "x" * 37, "x" * 100_000, "\0", "\ud800"])
def test_an_id_that_no_decision_can_have_is_refused(client: Client, decision_id: str) -> None:
    assert_problem(client.feedback(decision_id, quality=0.5), 422, field="decision_id")


def test_feedback_is_counted_by_the_posterior_once(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service, Client(service.url) as client:
        decisions = [client.decided() for _ in range(4)]
        for decision in decisions[:3]:
            for value in (1.0, 1.0, 0.5):
                client.feedback(decision, quality=value)
        assert _counted(client, at_least=3) == 3
        client.feedback(decisions[0], quality=0.25)
        client.feedback(decisions[3], quality=0.25)
        assert _counted(client, at_least=4) == 4


def _counted(client: Client, at_least: int) -> int:
    """How many rewards the posterior has counted, once it is that many or a minute has passed."""
    deadline = time.monotonic() + 60
    while True:
        counted = sum(arm["rewards_counted"] for arm in client.get("/v1/arms").json())
        if counted >= at_least or time.monotonic() > deadline:
            return int(counted)
        time.sleep(0.02)
