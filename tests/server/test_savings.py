"""GET /v1/savings: what the service's own process estimated from its log, and stored with its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bandit_router.insight.savings import Baseline, read_savings
from tests.server.conftest import Client
from tests.services import serving, write_settings

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service that estimates when it is due, and finds that every half second."""
    config = write_settings(
        tmp_path_factory.mktemp("savings"),
        policy={"name": "uniform"},
        insight={"savings_interval_s": 0.5, "savings_margin": 0.9},
    )
    with serving(config) as service, Client(service.url) as client:
        yield client


def wait_for(client: Client, *, rows: int) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        answer: dict[str, Any] = client.get("/v1/savings").raise_for_status().json()
        if answer["made_at"] is not None and answer["rows"] >= rows:
            return answer
        time.sleep(0.1)
    pytest.fail("no estimate in time")


def test_it_is_estimated_in_the_background_and_again_as_the_log_grows(client: Client) -> None:
    first = client.get("/v1/savings").json()
    assert (first["made_at"], first["savings"]) == (None, [])
    refused = read_savings(wait_for(client, rows=0)).savings
    assert {saving.refusal for saving in refused} == {"the policy has made no decision in this time"}
    for i in range(400):
        made = client.route(query=f"query {i}").json()
        cost = {"large": 0.01, "small": 0.001}[made["arm"]]
        metrics = {"quality": 0.5 + 0.1 * (i % 2), "cost_usd": cost}
        client.post("/v1/feedback", json={"decision_id": made["decision_id"], "metrics": metrics})
    savings = read_savings(wait_for(client, rows=400))
    by_baseline = {saving.baseline: saving for saving in savings.savings}
    against_dearest = by_baseline[Baseline.MOST_EXPENSIVE]
    assert (against_dearest.arm, against_dearest.refusal) == ("large", None)
    assert against_dearest.usd_per_request is not None
    assert against_dearest.usd_per_request.value == pytest.approx(0.0045, abs=0.001)
    assert savings.made_at > savings.since
