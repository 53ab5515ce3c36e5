"""One definition of the options of a route call: every way in has them, and a retry may come by any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import typer.main

from bandit_router.cli import app
from bandit_router.router import RouteOptions, Router
from bandit_router.router.options import CONTEXT_AND_KEY
from bandit_router.server.schemas import RouteBody, RouteQuery
from tests.services import serving, write_settings

NAMES = RouteOptions.__annotations__.keys()


def test_the_body_has_every_option() -> None:
    assert RouteBody.model_fields.keys() == NAMES - {"idempotency_key"} | RouteQuery.model_fields.keys()


def test_the_command_line_has_every_option() -> None:
    group: Any = typer.main.get_command(app)
    parameters = {parameter.name for parameter in group.commands["route"].params}
    assert NAMES - set(CONTEXT_AND_KEY) <= parameters


def test_an_option_that_is_none_is_as_good_as_left_out(tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path)) as router:
        first = router.route("a", idempotency_key="k", user_tier="free")
        again = router.route("a", idempotency_key="k", user_tier="free", cost_weight=None, arms=None)
        assert again.id == first.id


def test_a_retry_over_http_is_answered_as_the_library_was(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    with Router.open(config) as router:
        first = router.route("a", idempotency_key="k", user_tier="free", max_cost_usd=1.0)
    with serving(config) as service:
        body = {"query": "a", "user_tier": "free", "max_cost_usd": 1.0, "deadline_s": None}
        answer = httpx.post(f"{service.url}/v1/route", json=body, headers={"Idempotency-Key": "k"})
    assert answer.json()["decision_id"] == first.id
