"""Middleware that counts what is answered."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bandit_router.server.metrics.process import ProcessFigures
from bandit_router.server.scopes import ScopeTable

_OTHER = "other"
"""The label of paths and methods that do not exist: anybody can make up as many as they like."""


class CountRequests:
    """Counts each request by method, path and status, and how long it took."""

    def __init__(self, app: ASGIApp, figures: ProcessFigures) -> None:
        self._app = app
        self._figures = figures
        self._table = ScopeTable()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        self._figures.in_flight.inc()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._figures.in_flight.dec()
            method, path = self._table.find_endpoint(scope["method"], scope["path"]) or (_OTHER, _OTHER)
            self._figures.count_request(method, path, status, time.perf_counter() - began)
