"""Middleware: what is done for a request belongs to the trace that its headers name."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from bandit_router.telemetry import join_trace


class JoinTrace:
    """Joins the trace of each request's ``traceparent``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with join_trace(scope.get("headers", ())):
            await self._app(scope, receive, send)
