"""Clients of a real service that can choose which of its workers they talk to, and its sudden death."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import psutil

from bandit_router.errors import StoreError
from tests.durability.helpers import PATIENCE_S, eventually
from tests.services import Service

_choosing = threading.Lock()


class Client:
    """Calls a service from any thread, over connections that are open already."""

    def __init__(self, service: Service, connections: int) -> None:
        host = urlsplit(service.url).netloc
        self._connections = [HTTPConnection(host, timeout=PATIENCE_S) for _ in range(connections)]
        self._idle: SimpleQueue[HTTPConnection] = SimpleQueue()
        for connection in self._connections:
            _ask(connection, "GET", "/healthz")  # only an answer shows that a worker has accepted it
            self._idle.put(connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def route(self, x: list[float], key: str | None = None, **options: Any) -> dict[str, Any]:
        answer = self._call("POST", "/v1/route", {"features": x, **options}, key)
        kept = ("arm", "propensity", "snapshot", "policy", "expected_quality", "expected_cost_usd")
        return {"id": answer["decision_id"], **{name: answer[name] for name in kept}}

    def say(self, decision_id: str, value: float | None) -> str:
        body = {"decision_id": decision_id, "metrics": {"quality": value}}
        outcome: str = self._call("POST", "/v1/feedback", body)["outcomes"]["quality"]
        return outcome

    def escalate(self, decision_id: str, confidence: float) -> dict[str, Any]:
        path = f"/v1/decisions/{decision_id}/escalate"
        answer: dict[str, Any] = self._call("POST", path, {"confidence": confidence})
        return answer

    def counts(self) -> dict[str, int]:
        return {arm["name"]: arm["rewards_counted"] for arm in self.get("/v1/arms")}

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> Any:
        connection, content = self._idle.get(), None if body is None else json.dumps(body)
        try:
            try:
                return _ask(connection, method, path, content, key)
            except BrokenPipeError:  # it was idle for too long: nobody has read the request
                connection.close()
                return _ask(connection, method, path, content, key)
        except (OSError, HTTPException):
            connection.close()  # the next call opens it again
            raise
        finally:
            self._idle.put(connection)


def _ask(
    connection: HTTPConnection, method: str, path: str, content: str | None = None, key: str | None = None
) -> Any:
    """The answer; StoreError for 503, as the library says it."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    connection.request(method, path, content, headers)
    with connection.getresponse() as response:
        answer = json.loads(response.read())
    if response.status == 503:
        raise StoreError(answer["detail"])
    assert response.status == 200, answer
    return answer


@contextmanager
def client_of(service: Service, connections: int, *, worker: int | None = None) -> Iterator[Client]:
    """A client of whichever worker accepts its connections, or of one: the others are stopped meanwhile."""
    with _choosing:  # two that choose at the same time would stop each other's worker
        others = [] if worker is None else [one for one in alive_workers(service) if one != worker]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            client = Client(service, connections)
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)
    try:
        yield client
    finally:
        client.close()


def workers(service: Service) -> list[int]:
    """The ids of its worker processes, those that have ended as well."""
    return [int(found) for found in re.findall(r"Started server process \[(\d+)\]", service.log)]


def alive_workers(service: Service) -> list[int]:
    """The ids of those that run."""
    return [pid for pid in workers(service) if _is_running(pid)]


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def all_ready(service: Service, count: int) -> None:
    """Wait until every worker is ready, not only the first."""
    ready = "Application startup complete"
    eventually(lambda: service.log.count(ready) >= count, "all workers of the service are ready")


def kill(service: Service) -> None:
    """SIGKILL to the service and all its workers."""
    for one in (service.pid, *workers(service)):
        os.kill(one, signal.SIGKILL)
