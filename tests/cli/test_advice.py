"""`advice` and GET /v1/advice say the same, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.cli.conftest import Run
from tests.services import LARGE, serving, write_settings


def test_it_is_the_same_by_command_and_over_http(call: Run, tmp_path: Path) -> None:
    wrong = {**LARGE, "name": "mini", "provider": "openai", "model": "gpt-4o-mini"}
    config = write_settings(tmp_path, arms=(wrong, LARGE))
    with serving(config) as service:
        over_http = httpx.get(f"{service.url}/v1/advice").raise_for_status().json()["advice"]
        printed = call("advice", "--config", str(config))
        assert json.loads(call("advice", "--json", "--config", str(config)).out) == over_http
    (advice,) = over_http
    assert advice["name"] == "other_prices"
    assert advice["title"] in printed.out
    assert "    [[arms]]\n" in printed.out
