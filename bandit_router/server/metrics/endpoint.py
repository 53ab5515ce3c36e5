"""GET /metrics: the figures of the processes, then those of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from bandit_router.errors import RouterError
from bandit_router.gateway.gateway import Gateway
from bandit_router.server.metrics.log import ALL_TIME, render_log
from bandit_router.server.metrics.process import ProcessFigures

log = logging.getLogger(__name__)

_LOOK_S = 2.0


def add_metrics(app: FastAPI, figures: ProcessFigures) -> None:
    """Serve the figures at /metrics."""

    async def metrics() -> Response:
        try:
            rows = await app.state.router.rollups(ALL_TIME)
        except RouterError as error:
            log.warning("/metrics goes without the figures of the log: %s", error)
            rows = None
        share = app.state.router.safety_share
        text = await asyncio.to_thread(lambda: figures.render() + render_log(rows, share))
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    app.add_api_route("/metrics", metrics, methods=["GET", "HEAD"], include_in_schema=False)


@asynccontextmanager
async def watch_gateway(gateway: Gateway, figures: ProcessFigures) -> AsyncIterator[None]:
    """Keep the figures of the arms' health and of the judge up to date while the block runs."""

    async def watch() -> None:
        while True:
            figures.set_cooling(gateway.pool.arms.keys(), gateway.health.find_cooling().keys())
            if gateway.judge is not None:
                figures.set_drawn({str(each): count for each, count in gateway.judge.outcomes.items()})
            await asyncio.sleep(_LOOK_S)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
