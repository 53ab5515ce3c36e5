"""GET /docs and HEAD: pages that need nothing from elsewhere, and what monitors ask."""

from __future__ import annotations

import re

import pytest

from tests.server.conftest import Client


def test_the_page_has_every_endpoint_and_loads_nothing(client: Client) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in answer.text
    assert not re.search(r"<script|<link|src=|https?://", answer.text)


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/v1/arms", "/v1/calibration", "/docs", "/openapi.json"]
)
def test_head_is_get_without_its_body(client: Client, path: str) -> None:
    answer = client.head(path)
    assert answer.status_code == client.get(path).status_code == 200
    assert answer.content == b""


def test_no_page_of_the_framework_is_left(client: Client) -> None:
    assert client.get("/redoc").status_code == 404
