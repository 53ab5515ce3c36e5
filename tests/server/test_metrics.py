"""/metrics: what all workers counted, through restarts, and nothing that callers can blow up."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bandit_router.server.metrics.folder import VARIABLE, clear_folder
from tests.durability.service import alive_workers, all_ready
from tests.providers.upstream import wait_until
from tests.server import spawning
from tests.services import Service, serving, write_settings

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = write_settings(tmp_path_factory.mktemp("three"), learner={"interval_s": 0.5})
    with serving(settings, "--workers", "3", module=(spawning.MODULE,)) as service:
        all_ready(service, 3)
        yield service


def scrape(service: Service) -> Samples:
    """Each sample by name and labels."""
    answer = httpx.get(f"{service.url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def requests_of(samples: Samples, **labels: str) -> float:
    """How many requests of these labels were counted."""
    return sum(
        value
        for (name, own), value in samples.items()
        if name == "bandit_router_http_requests_total" and labels.items() <= set(own)
    )


def route(service: Service) -> None:
    assert httpx.post(f"{service.url}/v1/route", json={"query": "hello"}).status_code == 200


def test_counts_are_those_of_all_workers_and_never_fall_when_one_is_replaced(three: Service) -> None:
    before = requests_of(scrape(three), path="/v1/route", status="200")
    for _ in range(12):  # each on a connection of its own, which any worker may take
        route(three)
    samples = scrape(three)
    assert requests_of(samples, path="/v1/route", status="200") == before + 12
    killed = alive_workers(three)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in alive_workers(three) and len(alive_workers(three)) == 3)
    all_ready(three, 3)
    after = scrape(three)
    counted = {key for key in samples if key[0].endswith(("_total", "_count", "_bucket", "_sum"))}
    assert all(after[key] >= samples[key] for key in counted)
    assert requests_of(after, path="/v1/route", status="200") == before + 12


def test_what_a_killed_worker_was_answering_is_in_flight_no_more(three: Service) -> None:
    def in_flight() -> float:
        return scrape(three)["bandit_router_http_requests_in_flight", frozenset()]

    url = httpx.URL(three.url)
    with socket.create_connection((url.host, url.port or 0)) as half:
        head = "POST /v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        half.sendall(f"{head}Content-Length: 9\r\n\r\n{{".encode())
        wait_until(lambda: in_flight() == 2)  # it, and the scrape
        [holder] = [pid for pid in alive_workers(three) if is_connected(pid, half.getsockname()[1])]
        os.kill(holder, signal.SIGKILL)
        wait_until(lambda: holder not in alive_workers(three))
    wait_until(lambda: in_flight() == 1)


def is_connected(pid: int, port: int) -> bool:
    """Whether the process holds the other end of the connection of this local port."""
    return any(each.raddr and each.raddr.port == port for each in psutil.Process(pid).net_connections())


def test_paths_that_do_not_exist_share_one_label(three: Service) -> None:
    for path in ("/nothing", "/v1/nothing/at/all", "/v1/route/"):
        httpx.get(f"{three.url}{path}")
    httpx.get(f"{three.url}/v1/decisions/00000000-0000-7000-8000-000000000000")
    samples = scrape(three)
    paths = {dict(labels)["path"] for name, labels in samples if name == "bandit_router_http_requests_total"}
    assert paths <= {"other", "/v1/route", "/v1/decisions/{decision_id}", "/metrics", "/healthz", "/readyz"}
    assert requests_of(samples, path="other") >= 3
    assert requests_of(samples, path="/v1/decisions/{decision_id}", status="404") >= 1


def test_figures_of_the_log_are_what_the_log_says_and_follow_corrections(three: Service) -> None:
    with httpx.Client(base_url=three.url) as client:
        ids = [client.post("/v1/route", json={"query": f"q{i}"}).json()["decision_id"] for i in range(4)]
        for quality, id in zip((0.25, 0.5, 1.0), ids, strict=False):
            client.post("/v1/feedback", json={"decision_id": id, "metrics": {"quality": quality}})
        client.post("/v1/feedback", json={"decision_id": ids[0], "metrics": {"quality": 0.75}})
        client.post("/v1/feedback", json={"decision_id": ids[1], "metrics": {"quality": None}})
    samples = scrape(three)
    with sqlite3.connect(three.database) as log:
        decided = log.execute("SELECT arm, reason, COUNT(*) FROM decisions GROUP BY 1, 2").fetchall()
        rated = log.execute(
            "SELECT d.arm, COUNT(*), SUM(f.value) FROM feedback f JOIN decisions d ON d.id = f.decision_id "
            "WHERE f.value IS NOT NULL AND f.revision = (SELECT MAX(g.revision) FROM feedback g "
            "WHERE g.decision_id = f.decision_id AND g.metric = f.metric) GROUP BY 1"
        ).fetchall()
    assert sum(n for *_, n in decided) >= 4
    assert sum(n for _, n, _ in rated) == 2
    for arm, reason, n in decided:
        labels = frozenset({"arm": arm, "reason": reason}.items())
        assert samples["bandit_router_decisions", labels] == n
    for arm, n, total in rated:
        labels = frozenset({"arm": arm, "metric": "quality"}.items())
        assert samples["bandit_router_feedback_values", labels] == n
        assert samples["bandit_router_feedback_sum", labels] == pytest.approx(total)


def test_one_worker_needs_no_folder(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service:
        route(service)
        assert requests_of(scrape(service), path="/v1/route", status="200") == 1


def test_what_a_service_of_before_left_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "shared"))
    clear_folder()
    (tmp_path / "shared" / "counter_1.db").write_bytes(b"old")
    clear_folder()
    assert list((tmp_path / "shared").iterdir()) == []
