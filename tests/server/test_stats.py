"""GET /v1/stats: every figure, as JSON and CSV, up to the moment of the question."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from bandit_router.insight.figures import FIGURES
from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service with nine decisions, which learns nothing meanwhile."""
    config = write_settings(tmp_path_factory.mktemp("stats"), learner={"interval_s": 3600.0})
    with serving(config) as service, Client(service.url) as client:
        for i in range(9):
            task = "primes" if i == 1 else None
            arms = ["large" if i % 3 == 0 else "small"]
            made = client.route(query=f"query {i}", arms=arms, task=task).json()
            if i % 3:
                metrics = {"quality": 0.5, "latency_s": 1.0 + i}
                client.post("/v1/feedback", json={"decision_id": made["decision_id"], "metrics": metrics})
        yield client


def points(client: Client, **params: Any) -> dict[str, list[dict[str, Any]]]:
    answer = client.get("/v1/stats", params=params)
    assert answer.status_code == 200, answer.text
    return {figure["figure"]: figure["points"] for figure in answer.json()["figures"]}


def test_every_figure_is_there_and_is_up_to_date(client: Client) -> None:
    found = points(client)
    assert list(found) == list(FIGURES)
    assert {point["arm"]: point["value"] for point in found["decisions"]} == {"large": 3.0, "small": 6.0}
    (quality,) = found["quality"]
    assert (quality["arm"], quality["n"], quality["value"], quality["coverage"]) == ("small", 6, 0.5, 1.0)
    assert quality["time"] is quality["reason"] is quality["member"] is None
    large, _ = found["quality_coverage"]
    assert (large["arm"], large["value"], large["low"]) == ("large", 0.0, pytest.approx(0.0))


def test_tasks_come_with_what_is_learned_of_them(client: Client) -> None:
    answer = client.get("/v1/stats", params={"by": "task", "figure": "decisions"}).json()
    (point,) = answer["figures"][0]["points"]
    assert (point["member"], point["value"]) == ("primes", 1.0)
    (task,) = answer["tasks"]
    assert (task["name"], task["decisions"], task["share"]["value"]) == ("primes", 1, 1.0)
    assert task["best_arm"] in ("small", "large")
    assert points(client, task="primes", figure="decisions")["decisions"][0]["value"] == 1.0
    assert points(client, task="none", figure="decisions") == {"decisions": []}
    assert client.get("/v1/stats").json()["tasks"] == []


def test_it_counts_what_is_asked_for(client: Client) -> None:
    found = points(client, by="time", arm=["small"], figure=["decisions", "share"], since="6h")
    assert list(found) == ["decisions", "share"]
    assert sum(point["value"] for point in found["decisions"]) == 6.0
    assert points(client, until="2024-01-01", figure="decisions") == {"decisions": []}
    assert points(client, tier="nobody", figure="decisions") == {"decisions": []}


@pytest.mark.parametrize(("params", "headers"), [({"format": "csv"}, {}), ({}, {"accept": "text/csv"})])
def test_csv_has_the_same_numbers(client: Client, params: dict[str, str], headers: dict[str, str]) -> None:
    answer = client.get("/v1/stats", params=params, headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = [(name, point["value"]) for name, of in points(client).items() for point in of]
    assert [(row["figure"], float(row["value"])) for row in rows] == expected


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"since": "soon"}, "since"),
        ({"by": "model"}, "by"),
        ({"figure": "beauty"}, "figure"),
        ({"tier": "a", "key": "b"}, "key"),
        ({"tier": "\0"}, "tier"),
        ({"format": "xml"}, "format"),
    ],
)
def test_what_cannot_be_asked_names_the_field(client: Client, params: dict[str, str], field: str) -> None:
    problem = assert_problem(client.get("/v1/stats", params=params), 422)
    assert field in problem["errors"][0]["field"]
