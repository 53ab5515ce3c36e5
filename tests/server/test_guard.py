"""The guard stands around everything: no path, no method and no kind of credential gets past it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from bandit_router.router import AsyncRouter
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import Scope
from bandit_router.server import api
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.gateway import GATEWAY_PATHS
from bandit_router.server.guard import Guard
from bandit_router.server.scopes import OPEN, SCOPES, ScopeTable
from bandit_router.settings import Settings, load_settings
from bandit_router.store.store import Store
from tests.server.walk import (
    METHODS,
    NOBODY,
    UNKNOWN,
    Answer,
    Step,
    find_holes,
    list_paths,
    make_credentials,
    walk,
)
from tests.services import write_settings

DECISION = "/v1/decisions/01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    loaded = load_settings(write_settings(tmp_path))

    async def begin() -> None:
        async with AsyncRouter.open(loaded):
            pass

    asyncio.run(begin())
    return loaded


def guard(app: ASGIApp, documented: FastAPI) -> Guard:
    return Guard(app, lambda: documented.state.router, open_to_all=False)


def walk_over(settings: Settings, put_together: Callable[[FastAPI], ASGIApp]) -> dict[Step, Answer]:
    documented = create_api(settings)
    app = put_together(documented)
    return walk(app, documented, list_paths(settings), make_credentials(settings))


def test_nobody_gets_past_the_guard_and_a_key_gets_to_what_its_scope_is_for(settings: Settings) -> None:
    answers = walk_over(settings, lambda documented: guard(assemble_app(documented), documented))
    assert find_holes(answers) == []
    table = ScopeTable()
    for (name, method, path), answer in answers.items():
        if name in NOBODY or table.is_open(method, path):
            continue
        needed = table.find(method, path)
        if name == "admin" or name == needed:
            assert answer.status not in (401, 403), (name, method, path)
        elif needed is None:
            assert answer.status == 404, (name, method, path)
        else:
            assert answer.status == 403, (name, method, path)
            if method != "HEAD":
                assert f"lacks the scope {needed}" in answer.body.decode()
    assert len(answers) == (len(NOBODY) + len(Scope)) * len(METHODS) * len(list_paths(settings))


def test_a_key_gets_to_the_endpoints_that_refuse_an_empty_request(settings: Settings) -> None:
    """Their own refusals: a path that did not exist would look the same by its status."""
    documented = create_api(settings)
    app, keys = guard(assemble_app(documented), documented), make_credentials(settings)
    says = {"/v1/embeddings": "no arm for embeddings", "/v1/messages/count_tokens": "messages: is not a list"}
    answers = walk(app, documented, list(says), {name: keys[name] for name in ("route", "admin")})
    for name in ("route", "admin"):
        for path, problem in says.items():
            assert problem in json.loads(answers[name, "POST", path].body)["error"]["message"]


@pytest.mark.parametrize("paths", [set(api.FAST_ENDPOINTS), set(GATEWAY_PATHS) - {"/v1/models"}])
def test_a_path_outside_the_guard_is_found(settings: Settings, paths: set[str]) -> None:
    def put_together(documented: FastAPI) -> ASGIApp:
        outside = assemble_app(documented)
        guarded = guard(outside, documented)

        async def leaky(scope: Any, receive: Any, send: Any) -> None:
            is_leak = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in paths
            await (outside if is_leak else guarded)(scope, receive, send)

        return leaky

    holes = find_holes(walk_over(settings, put_together))
    assert set(holes) == {(name, "POST", path) for name in NOBODY for path in paths}


def test_every_endpoint_is_in_the_table(settings: Settings) -> None:
    documented = create_api(settings)
    routed = {
        ("GET" if method == "HEAD" else method, route.path)
        for route in documented.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    gateway = {("GET" if path == "/v1/models" else "POST", path) for path in GATEWAY_PATHS}
    assert routed | gateway == {*SCOPES, *OPEN}


def test_the_table_says_what_each_scope_is_for() -> None:
    table = ScopeTable()
    by_scope = {
        Scope.ROUTE: [("POST", "/v1/route"), ("POST", f"{DECISION}/escalate"), ("HEAD", "/v1/models")],
        Scope.FEEDBACK: [("POST", "/v1/feedback")],
        Scope.READ: [("GET", DECISION), ("HEAD", f"{DECISION}/chain"), ("GET", "/docs"), ("GET", "/metrics")],
        None: [
            ("DELETE", "/v1/arms"),
            ("GET", f"{DECISION}/x/chain"),
            ("POST", "/healthz"),
            *map(_get, UNKNOWN[:6]),
        ],
    }
    for scope, steps in by_scope.items():
        for step in steps:
            assert table.find(*step) == scope, step
    assert [step for step in [("HEAD", "/readyz"), ("GET", "/healthz")] if not table.is_open(*step)] == []


def _get(path: str) -> tuple[str, str]:
    return "GET", path


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
def test_each_header_of_the_sdks_is_read(settings: Settings, header: str) -> None:
    credential = make_credentials(settings)["read"]["authorization"].removeprefix("Bearer ")
    given = {header: f"bearer {credential}" if header == "Authorization" else credential}
    documented = create_api(settings)
    app = guard(assemble_app(documented), documented)
    answers = walk(app, documented, ["/v1/arms"], {"read": given})
    assert answers["read", "GET", "/v1/arms"].status == 200


def test_a_credential_of_ours_is_found_beside_another(settings: Settings) -> None:
    both = {"x-api-key": "sk-ant-unused", **make_credentials(settings)["read"]}
    documented = create_api(settings)
    answers = walk(guard(assemble_app(documented), documented), documented, ["/v1/arms"], {"read": both})
    assert answers["read", "GET", "/v1/arms"].status == 200


def test_refusals_say_what_to_do_in_the_form_that_the_client_reads(settings: Settings) -> None:
    answers = walk_over(settings, lambda documented: guard(assemble_app(documented), documented))
    refused = answers["nothing", "GET", "/v1/arms"]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"] == 'Bearer realm="bandit-router"'
    assert "x-api-key" in json.loads(refused.body)["detail"]
    revoked = answers["revoked", "POST", "/v1/chat/completions"]
    assert json.loads(revoked.body)["error"]["type"] == "authentication_error"
    assert "was revoked" in json.loads(revoked.body)["error"]["message"]
    assert 'error="invalid_token"' in revoked.headers["www-authenticate"]
    expired = answers["expired", "POST", "/v1/messages"]
    assert json.loads(expired.body)["type"] == "error"
    assert "has expired" in json.loads(expired.body)["error"]["message"]
    lacking = answers["feedback", "POST", "/v1/messages"]
    assert json.loads(lacking.body)["error"]["type"] == "permission_error"
    assert 'scope="route"' in lacking.headers["www-authenticate"]


def test_there_is_no_way_in_by_websocket(settings: Settings) -> None:
    documented = create_api(settings)
    app, sent = guard(assemble_app(documented), documented), []

    async def ask() -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await app({"type": "websocket", "path": "/v1/route", "headers": []}, receive, send)

    asyncio.run(ask())
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_rate_is_kept_per_key_and_says_when_to_come_back(settings: Settings) -> None:
    with closing(Store.open(settings.store.url, settings.router.name)) as store:
        request = KeyRequest(name="slow", scopes=["read"], requests_per_second=0.01, burst=3)
        slow, fast = store.create_key(request), store.create_key(KeyRequest(name="fast", scopes=["read"]))
    documented = create_api(settings)
    app = Guard(
        assemble_app(documented), lambda: documented.state.router, open_to_all=False, clock=lambda: 5.0
    )

    async def ask() -> list[httpx.Response]:
        async with (
            documented.router.lifespan_context(documented),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as client,
        ):
            return [
                await client.get("/v1/arms", headers={"x-api-key": new.credential})
                for new in (slow, slow, slow, slow, fast, slow)
            ]

    answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200, 429]
    assert answers[3].headers["retry-after"] == "100"
