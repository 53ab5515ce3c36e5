"""The HTTP application: one router per worker process, opened and closed with it."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from bandit_router.router import Router
from bandit_router.server import api, problems
from bandit_router.server.commit_batcher import CommitBatcher
from bandit_router.server.fast_path import FastPath
from bandit_router.settings import CONFIG_VARIABLE, Settings, load_settings

_GC_THRESHOLD = 50_000


def create_app(settings: Settings) -> FastAPI:
    """The application; its router opens when the server starts and closes when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with threadpool_limits(1, "blas"), Router.open(settings) as router:
            app.state.router, app.state.batcher = router, CommitBatcher(router)
            _freeze_garbage_collector()
            yield

    app = FastAPI(
        title="bandit-router",
        version=version("bandit-router"),
        description="Routes each query to a model, and learns from feedback which one.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    api.add_endpoints(app)
    problems.add_error_handlers(app)
    return app


def from_environment() -> ASGIApp:
    """The application of the file that BANDIT_ROUTER_CONFIG names; each uvicorn worker calls this."""
    app = create_app(load_settings(os.environ.get(CONFIG_VARIABLE, "router.toml")))
    return FastPath(app, api.FAST_ENDPOINTS)


def _freeze_garbage_collector() -> None:
    """Exempt the objects of start-up from garbage collection, whose pauses make the latency tail."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
