"""One service for most HTTP tests; those that break something start their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services import Service, serving, write_settings

JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two arms whose contexts are the 15 text statistics, with bodies of at most 256 KiB."""
    settings = write_settings(
        tmp_path_factory.mktemp("service"),
        server={"max_body_bytes": 256 * 1024},
        learner={"interval_s": 0.25},  # it stays until the last test of all
    )
    with serving(settings) as running:
        yield running


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as connected:
        yield connected


class Client(httpx.Client):
    """httpx against one service, that can also send what is no JSON."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, timeout=60.0)

    def send_raw(self, path: str, body: bytes | str, **headers: str) -> httpx.Response:
        """POST exactly these bytes as application/json."""
        content = body.encode() if isinstance(body, str) else body
        return self.post(path, content=content, headers=JSON_TYPE | headers)

    def route(self, key: str | None = None, /, **body: Any) -> httpx.Response:
        return self._with_key("/v1/route", key, body or {"query": "What is a monad?"})

    def feedback(self, decision_id: str, key: str | None = None, /, **metrics: Any) -> httpx.Response:
        return self._with_key("/v1/feedback", key, {"decision_id": decision_id, "metrics": metrics})

    def decided(self) -> str:
        """The id of a new decision."""
        decision_id: str = self.route().raise_for_status().json()["decision_id"]
        return decision_id

    def _with_key(self, path: str, key: str | None, body: dict[str, Any]) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.send_raw(path, json.dumps(body), **headers)


def assert_problem(response: httpx.Response, status: int, *, field: str | None = None) -> dict[str, Any]:
    """It is an RFC 9457 problem of that status that names ``field``; its content."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    assert content["type"] == "about:blank"
    assert content["title"]
    assert content["status"] == status
    assert content["detail"]
    if field is not None:
        assert field in [error["field"] for error in content["errors"]], content
        assert field in content["detail"]
    return content
