"""The HTTP application: one router per worker process, opened and closed with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp

from bandit_router.gateway.gateway import open_gateway
from bandit_router.router import AsyncRouter, Router
from bandit_router.server import api, problems
from bandit_router.server.background_jobs import watch_estimate
from bandit_router.server.body import BodyMemory
from bandit_router.server.dashboard.pages import add_dashboard
from bandit_router.server.docs_page import add_docs_page
from bandit_router.server.fast_path import FastPath
from bandit_router.server.gateway import GatewayEndpoints
from bandit_router.server.gateway_reference import add_gateway_reference
from bandit_router.server.guard import Guard
from bandit_router.server.join_trace import JoinTrace
from bandit_router.server.metrics.count_requests import CountRequests
from bandit_router.server.metrics.endpoint import add_metrics, watch_gateway
from bandit_router.server.metrics.process import ProcessFigures
from bandit_router.server.rollout import compare_rollout_when_due
from bandit_router.server.savings import estimate_savings_when_due
from bandit_router.server.shutdown import ExitAfterShutdown
from bandit_router.server.tuning import TuneProcess
from bandit_router.settings import CONFIG_VARIABLE, Settings, load_settings

Middleware = Callable[[ASGIApp], ASGIApp]
"""Wraps an application: what it returns sees every request before the application does."""


def create_app(settings: Settings, middleware: Sequence[Middleware] = ()) -> ASGIApp:
    """The whole application; its router opens when the server starts and closes when it stops.

    The guard stands around every path, what counts requests around that, and then ``middleware``, the first
    outermost.
    """
    documented = create_api(settings)

    def find_router() -> AsyncRouter:
        router: AsyncRouter = documented.state.router
        return router

    guarded = Guard(assemble_app(documented), find_router, open_to_all=settings.server.open)
    app: ASGIApp = CountRequests(guarded, documented.state.figures)
    for wrap in reversed(middleware):
        app = wrap(app)
    return app


def assemble_app(documented: FastAPI) -> ASGIApp:
    """The API with the fast path and the gateway in front of it, which answers anybody."""
    return JoinTrace(GatewayEndpoints(documented, FastPath(documented, api.FAST_ENDPOINTS)))


def create_api(settings: Settings) -> FastAPI:
    """The endpoints with their OpenAPI; :func:`create_app` puts the others and the guard in front of them."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = await asyncio.to_thread(Router.open, settings)
        async with (
            AsyncRouter(opened) as router,
            open_gateway(router) as gateway,
            watch_gateway(gateway, app.state.figures),
            watch_estimate(router, estimate_savings_when_due(router.settings)),
            watch_estimate(router, compare_rollout_when_due(router.settings)),
        ):
            app.state.router = router
            app.state.gateway = gateway
            yield

    app = FastAPI(
        title="bandit-router",
        version=version("bandit-router"),
        description="Routes each query to a model, and learns from feedback which one. Send an API key as "
        "Authorization: Bearer or x-api-key, once there is one.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.figures = ProcessFigures()
    app.state.body_memory = BodyMemory(settings.server.max_body_bytes)
    api.add_endpoints(app)
    add_gateway_reference(app)
    add_docs_page(app)
    add_dashboard(app)
    add_metrics(app, app.state.figures)
    problems.add_error_handlers(app)
    return app


def from_environment() -> ASGIApp:
    """The application of the file that BANDIT_ROUTER_CONFIG names; each uvicorn worker calls this."""
    settings = load_settings(os.environ.get(CONFIG_VARIABLE, "router.toml"))
    return ExitAfterShutdown(TuneProcess(create_app(settings)), 2 * settings.store.close_timeout_s)
