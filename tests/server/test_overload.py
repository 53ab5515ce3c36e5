"""A full write queue: some callers are told to retry at once, the others are served, nothing is lost."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import httpx

from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings

CALLERS = 8


def test_with_a_full_queue_callers_are_told_to_retry_and_the_service_recovers(tmp_path: Path) -> None:
    config = write_settings(tmp_path, store={"queue_size": 1}, learner={"interval_s": 3600.0})
    with serving(config) as service, Client(service.url) as client, ThreadPoolExecutor(CALLERS) as pool:
        decision = client.decided()
        with closing(sqlite3.connect(service.database, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")  # no commit gets past this lock
            calls = [pool.submit(client.route) for _ in range(CALLERS // 2)]
            calls += [pool.submit(client.feedback, decision, quality=0.5) for _ in range(CALLERS // 2)]
            refused = _first(calls, CALLERS - 2)  # one is being committed, one is in the queue
            assert client.get("/healthz").status_code == 200
            assert client.get(f"/v1/decisions/{decision}").status_code == 200
            database.execute("ROLLBACK")
        for call in refused:
            assert_problem(call.result(), 503)
            assert int(call.result().headers["retry-after"]) >= 1
        assert {call.result().status_code for call in calls if call not in refused} == {200}
        assert client.route().status_code == 200
        assert client.feedback(decision, quality=0.6).status_code == 200


def _first(calls: list[Future[httpx.Response]], n: int) -> set[Future[httpx.Response]]:
    """The first ``n`` calls to be answered."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        answered, _ = wait(calls, timeout=0.05)
        if len(answered) >= n:
            return answered
    raise AssertionError(f"{len(answered)} of {len(calls)} calls were answered, not {n}")
