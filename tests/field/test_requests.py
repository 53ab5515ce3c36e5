"""Every request of the field is routed alike by the library, over HTTP and on the command line."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bandit_router.cli import app
from bandit_router.features import read_prompt
from bandit_router.router import Router
from tests.services import Service, serving, write_settings

PRICES = {"output_usd_per_mtok": 0.0, "input_usd_per_mtok": 1.0}
ARMS: tuple[dict[str, Any], ...] = (
    {"name": "small", "context_window": 8192, "capabilities": ["tools"], **PRICES},
    {"name": "vision", "context_window": 128_000, "capabilities": ["vision"], **PRICES},
    {"name": "large", "context_window": 1_000_000, "capabilities": ["tools", "json", "vision"], **PRICES},
    {"name": "plain", "context_window": 128_000, **PRICES},
)
FILES = sorted((Path(__file__).parent / "requests").glob("*.json"))
_STAND_IN = re.compile(r"<(\w+):(\d+)>")


def _write_out(stand_in: re.Match[str]) -> str:
    size = int(stand_in[2])
    match stand_in[1]:
        case "BASE64":
            return base64.b64encode((bytes(range(256)) * (size // 256 + 1))[:size]).decode()
        case "WORDS":
            return ("word " * size)[:size]
        case "HAN":
            return "字" * size
    raise ValueError(f"{stand_in[0]} stands for nothing")


def read_field(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body, written out, and the right outcome."""
    request = json.loads(_STAND_IN.sub(_write_out, path.read_text(encoding="utf-8")))
    return request["body"], request["outcome"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(write_settings(tmp_path_factory.mktemp("field"), arms=ARMS)) as running:
        yield running


@pytest.fixture(scope="module")
def router(service: Service) -> Iterator[Router]:
    with Router.open(service.config) as opened:
        yield opened


def check(eligible: list[str], excluded: dict[str, str], outcome: dict[str, Any]) -> None:
    assert sorted(eligible) == outcome["eligible"]
    assert excluded.keys() == outcome["excluded"].keys()
    for arm, why in outcome["excluded"].items():
        assert excluded[arm].startswith(why)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_library_routes_it(router: Router, path: Path) -> None:
    body, outcome = read_field(path)
    decision = router.route(body)
    check(list(decision.eligible), dict(decision.excluded), outcome)
    least, most = outcome["input_tokens"]
    assert least <= read_prompt(body).input_tokens <= most
    assert decision.expected_cost_usd == pytest.approx(read_prompt(body).input_tokens / 1e6)
    needs = str(decision.signals.get("needs", ""))
    assert all(need in needs for need in re.findall(r"lacks (\w+)", " ".join(decision.excluded.values())))
    assert f"{decision.arm}" in router.explain(decision.id).facts()["pmf"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_service_routes_it(service: Service, path: Path) -> None:
    body, outcome = read_field(path)
    response = httpx.post(f"{service.url}/v1/route", json=body, timeout=60.0)
    assert response.status_code == 200, response.text
    answer = response.json()
    check(list(answer["pmf"]), answer["excluded"], outcome)
    explanation = httpx.get(f"{service.url}/v1/decisions/{answer['decision_id']}").json()
    assert explanation["excluded"] == answer["excluded"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_command_line_routes_it(service: Service, tmp_path: Path, path: Path) -> None:
    body, outcome = read_field(path)
    request = tmp_path / "request.json"
    request.write_text(json.dumps(body), encoding="utf-8")
    command = ["route", "--request", str(request), "--json", "--config", str(service.config)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    check(list(answer["pmf"]), answer["excluded"], outcome)


def test_a_counted_prompt_wins_over_the_estimate(router: Router, service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "word " * 8000}]}
    assert "small" not in router.route(body).eligible
    counted = router.route(body, input_tokens=7000)
    assert "small" in counted.eligible
    assert counted.expected_cost_usd == pytest.approx(7000 / 1e6)
    answer = httpx.post(f"{service.url}/v1/route", json={**body, "input_tokens": 7000}).json()
    assert "small" in answer["pmf"]
    for wrong in (-1, 1.5, True):
        refused = httpx.post(f"{service.url}/v1/route", json={**body, "input_tokens": wrong})
        assert refused.status_code == 422
        assert "input_tokens" in refused.text


def test_a_need_that_no_arm_meets_is_named_with_the_fix(service: Service) -> None:
    body, _ = read_field(next(path for path in FILES if path.stem == "chat_image_only"))
    response = httpx.post(f"{service.url}/v1/route", json={**body, "arms": ["small"]})
    assert response.status_code == 422
    assert response.json()["excluded"]["small"] == "lacks vision, which the prompt needs"
    assert "add vision to the capabilities" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "Hi"}] * 3 + [{"role": "user"}]}, "messages[3].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"messages": ["Hi"]}, "messages[0]"),
    ],
)
def test_an_error_names_the_field_that_was_sent(service: Service, body: dict[str, Any], field: str) -> None:
    response = httpx.post(f"{service.url}/v1/route", json=body)
    assert response.status_code == 422
    assert field in [error["field"] for error in response.json()["errors"]]
