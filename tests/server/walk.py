"""The walk: asks every path of an application with every method and every kind of credential."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from bandit_router.security.issue import KeyRequest, issue_key
from bandit_router.security.keys import Scope
from bandit_router.server.app import create_api
from bandit_router.server.gateway import GATEWAY_PATHS
from bandit_router.settings import Settings
from bandit_router.store.keys import insert_key
from bandit_router.store.store import Store

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")
UNKNOWN = ("/", "/v1", "/v1/nowhere", "/v1/route/", "//v1/route", "/V1/route", "/metrics", "/static/x.js")
_OPEN_TO_READ = (
    "/healthz",
    "/readyz",
    "/",
    "/dashboard/login",
    "/dashboard/style.css",
    "/dashboard/script.js",
    "/dashboard/icon.svg",
)
NOBODY = ("nothing", "another's", "malformed", "wrong secret", "unknown", "expired", "revoked", "former")
"""Those that no path but the open ones may answer."""

Wrap = Callable[[FastAPI, Settings], ASGIApp]
Step = tuple[str, str, str]
"""Who asked, with which method, for which path."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def list_paths(settings: Settings) -> list[str]:
    """Every path of the API and the gateway, and some that there are not."""
    routes = [route.path for route in create_api(settings).routes if isinstance(route, Route)]
    paths = dict.fromkeys([*routes, *GATEWAY_PATHS, *UNKNOWN])
    return [path.replace("{decision_id}", "01890a5d-ac96-774b-bcce-b302099a8057") for path in paths]


def make_credentials(settings: Settings) -> dict[str, dict[str, str]]:
    """The headers of everybody who may come, by who they are; makes their keys."""
    with closing(Store.open(settings.store.url, settings.router.name)) as store:
        valid = {scope.value: store.create_key(KeyRequest(name=scope, scopes=[scope])) for scope in Scope}
        revoked = store.create_key(KeyRequest(name="revoked", scopes=["admin"]))
        store.revoke_key(revoked.key.id)
        former = store.create_key(KeyRequest(name="former", scopes=["admin"]))
        store.rotate_key(former.key.id)
        request = KeyRequest(name="expired", scopes=["admin"], expires_in_s=60.0)
        expired = issue_key(request, store.clock.reference() - 61.0, "test")
        with store._writing() as connection:
            insert_key(connection, settings.router.name, expired.key)
    admin = valid["admin"]
    texts = {
        "another's": "sk-ant-api03-abcdef",
        "malformed": admin.credential[:-1],
        "wrong secret": f"br_{admin.key.id}_{'x' * 43}",
        "unknown": f"br_{'0' * 12}_{'x' * 43}",
        "expired": expired.credential,
        "revoked": revoked.credential,
        "former": former.credential,
        **{name: new.credential for name, new in valid.items()},
    }
    return {
        "nothing": {},
        **{name: {"authorization": f"Bearer {text}"} for name, text in texts.items()},
    }


def walk(app: ASGIApp, api: FastAPI, paths: Sequence[str], who: Mapping[str, Any]) -> dict[Step, Answer]:
    """The answer to every step, with the router open."""

    async def ask() -> dict[Step, Answer]:
        answers = {}
        transport = httpx.ASGITransport(app)
        async with (
            api.router.lifespan_context(api),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client,
        ):
            for name, headers in who.items():
                for path in paths:
                    for method in METHODS:
                        given = {**headers, "content-type": "application/json"}
                        got = await client.request(method, path, content=b"{}", headers=given)
                        answers[name, method, path] = Answer(got.status_code, got.headers, got.content)
        return answers

    return asyncio.run(ask())


def find_holes(answers: Mapping[Step, Answer]) -> list[Step]:
    """The steps of nobody that were answered, but for those that anybody may take."""
    open_steps = {(method, path) for method in ("GET", "HEAD") for path in _OPEN_TO_READ}
    open_steps.add(("POST", "/dashboard/login"))
    return [
        (name, method, path)
        for (name, method, path), answer in answers.items()
        if name in NOBODY and (method, path) not in open_steps and answer.status != 401
    ]
