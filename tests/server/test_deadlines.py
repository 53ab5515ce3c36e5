"""Deadlines over HTTP, and the latencies that arms are listed with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service of its own, which only these tests tell of latencies."""
    with (
        serving(write_settings(tmp_path_factory.mktemp("deadlines"))) as running,
        Client(running.url) as connected,
    ):
        yield connected


def arms(client: Client) -> dict[str, dict[str, Any]]:
    return {arm["name"]: arm for arm in client.get("/v1/arms").json()}


def test_latencies_are_null_until_known_and_then_narrow_the_choice(client: Client) -> None:
    for arm in arms(client).values():
        assert arm["p50_latency_s"] is arm["p95_latency_s"] is None
    for _ in range(10):
        made = client.route(query="a", arms=["large"]).json()
        client.feedback(made["decision_id"], quality=0.5, latency_s=4.0)
    give_up = time.monotonic() + 60
    while arms(client)["large"]["rewards_counted"] < 10 and time.monotonic() < give_up:
        time.sleep(0.02)
    assert arms(client)["large"]["p50_latency_s"] == pytest.approx(4.0, rel=0.025)
    assert arms(client)["small"]["p50_latency_s"] is None
    answers = [client.route(query=f"query {i}", deadline_s=2).json() for i in range(10)]
    assert {(answer["arm"], answer["propensity"]) for answer in answers} == {("small", 1.0)}


def test_when_no_arm_is_in_time_each_is_explained(client: Client) -> None:
    content = assert_problem(client.route(query="a", arms=["large"], deadline_s=2, deadline_level=0.9), 422)
    assert (
        content["excluded"]["large"] == "0.0% of 10 calls took at most deadline_s = 2, deadline_level is 0.9"
    )
