"""The application itself, as somebody who mounts it in their own server gets it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from threadpoolctl import threadpool_info, threadpool_limits

from bandit_router.server.api import FAST_ENDPOINTS
from bandit_router.server.app import Middleware, create_api, create_app
from bandit_router.server.fast_path import FastPath
from bandit_router.server.tuning import TuneProcess
from bandit_router.settings import load_settings
from tests.server.conftest import assert_problem
from tests.services import write_settings

REQUESTS: list[tuple[str, str, bytes]] = [
    ("POST", "/v1/route", b'{"query": "a", "arms": ["small"]}'),
    ("POST", "/v1/route", b'{"query": ""}'),
    ("POST", "/v1/route", b"["),
    ("POST", "/v1/route?x=1", b'{"query": "a", "nonsense": 1}'),
    ("POST", "/v1/route/", b'{"query": "a"}'),
    ("GET", "/v1/route", b""),
    ("POST", "/v1/feedback", b'{"decision_id": "x", "metrics": {"quality": 1}}'),
    ("POST", "/v1/feedback", b'{"decision_id": "x", "metrics": {"quality": 2}}'),
    ("GET", "/v1/arms", b""),
    ("POST", "/v1/nowhere", b"{}"),
]


@pytest.fixture
def answers(tmp_path: Path) -> tuple[list[httpx.Response], list[httpx.Response]]:
    """What the app answers to REQUESTS, without and with the shortcut in front of it."""

    async def ask() -> tuple[list[httpx.Response], list[httpx.Response]]:
        app = create_api(load_settings(write_settings(tmp_path)))
        async with app.router.lifespan_context(app):
            return await _answers(app), await _answers(FastPath(app, FAST_ENDPOINTS))

    return asyncio.run(ask())


async def _answers(app: Any) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        headers = {"Content-Type": "application/json"}
        return [
            await client.request(method, path, content=body, headers=headers)
            for method, path, body in REQUESTS
        ]


def test_the_shortcut_answers_as_the_app_behind_it(
    answers: tuple[list[httpx.Response], list[httpx.Response]],
) -> None:
    for plain, short in zip(*answers, strict=True):
        assert short.status_code == plain.status_code
        assert short.headers["content-type"] == plain.headers["content-type"]
        if plain.status_code >= 400:
            assert_problem(short, plain.status_code)
            assert short.json() == plain.json()
        elif isinstance(plain.json(), dict):
            assert short.json().keys() == plain.json().keys()


def test_both_ways_answer_every_kind_of_request(
    answers: tuple[list[httpx.Response], list[httpx.Response]],
) -> None:
    expected = [200, 422, 400, 422, 404, 405, 404, 422, 200, 404]
    assert [[answer.status_code for answer in some] for some in answers] == [expected, expected]


class Tuning(NamedTuple):
    blas_threads: set[int]
    collector_threshold: int
    has_frozen: bool

    @classmethod
    def read(cls) -> Tuning:
        """That of this process now."""
        threads = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        return cls(threads, gc.get_threshold()[0], gc.get_freeze_count() > 0)


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Nothing is exempt from garbage collection, as in a new process."""
    gc.unfreeze()
    yield
    gc.freeze()


async def run_lifespan(app: ASGIApp) -> list[Tuning]:
    """How the process is tuned before the app starts, once it has started, and after it has stopped."""
    tunings = [Tuning.read()]
    messages = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> Message:
        return {"type": next(messages)}

    async def send(message: Message) -> None:
        assert message["type"].endswith(".complete"), message
        tunings.append(Tuning.read())

    await app({"type": "lifespan", "state": {}}, receive, send)
    return tunings


@pytest.mark.usefixtures("unfrozen")
def test_the_app_leaves_the_process_that_mounts_it_as_it_is(tmp_path: Path) -> None:
    with threadpool_limits(2, "blas"):
        before, *during = asyncio.run(run_lifespan(create_app(load_settings(write_settings(tmp_path)))))
    assert during == [before, before]


@pytest.mark.usefixtures("unfrozen")
def test_a_process_that_only_serves_is_tuned(tmp_path: Path) -> None:
    threshold = gc.get_threshold()
    app = TuneProcess(create_app(load_settings(write_settings(tmp_path))))
    try:
        with threadpool_limits(2, "blas"):
            _, started, _ = asyncio.run(run_lifespan(app))
        assert started == Tuning(blas_threads={1}, collector_threshold=50_000, has_frozen=True)
    finally:
        gc.set_threshold(*threshold)


def test_middleware_sees_every_path_and_method(tmp_path: Path) -> None:
    settings = load_settings(write_settings(tmp_path))
    paths = [route.path for route in create_api(settings).routes if isinstance(route, Route)]
    assert {"/v1/route", "/v1/feedback", "/healthz", "/docs", "/openapi.json"} <= set(paths)
    app = create_app(settings, middleware=[deny_all])

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return [
                (await client.request(method, path.replace("{decision_id}", "x"))).status_code
                for path in [*paths, "/v1/nowhere"]
                for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
            ]

    assert set(asyncio.run(ask())) == {401}


def test_the_first_middleware_is_the_outermost(tmp_path: Path) -> None:
    order: list[str] = []

    def note(name: str) -> Middleware:
        def wrap(app: ASGIApp) -> ASGIApp:
            async def noted(scope: Scope, receive: Receive, send: Send) -> None:
                order.append(name)
                await app(scope, receive, send)

            return noted

        return wrap

    app = create_app(load_settings(write_settings(tmp_path)), middleware=[note("a"), note("b"), deny_all])

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            await client.post("/v1/route")

    asyncio.run(ask())
    assert order == ["a", "b"]


def deny_all(_app: ASGIApp) -> ASGIApp:
    """What an authentication that lets nobody in does."""
    return PlainTextResponse("who are you?", status_code=401)
