"""Savings over HTTP, and the watch that has them estimated again when they are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import orjson
from fastapi import Request, Response

from bandit_router.errors import RouterError
from bandit_router.insight.savings import KIND
from bandit_router.insight.savings_job import LEASE_S, SavingsJob, start_job
from bandit_router.router import AsyncRouter

log = logging.getLogger(__name__)

_LOOK_S = 60.0
_NONE: Mapping[str, Any] = {
    **dict.fromkeys(("made_at", "since", "margin", "blind_mix")),
    "rows": 0,
    "savings": [],
}


async def savings(request: Request) -> Response:
    """The newest estimate; ``made_at`` is null when there is none yet."""
    router: AsyncRouter = request.app.state.router
    stored = await router.estimate(KIND)
    return Response(orjson.dumps(stored.body if stored else _NONE), media_type="application/json")


@asynccontextmanager
async def watch_savings(router: AsyncRouter) -> AsyncIterator[None]:
    """While the block runs, have the savings estimated whenever they are due and no other worker does it."""
    watching = asyncio.create_task(_watch(router))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(router: AsyncRouter) -> None:
    interval_s, holder = router.settings.insight.savings_interval_s, uuid4().hex
    while interval_s > 0:
        await asyncio.sleep(min(interval_s, _LOOK_S))
        try:
            stored = await router.estimate(KIND)
            is_due = stored is None or stored.made_at <= router.now() - interval_s
            if is_due and await router.take_lease(KIND, holder, interval_s=interval_s, lease_s=LEASE_S):
                await _run(router, holder)
        except (RouterError, OSError) as error:
            log.warning("savings are not estimated: %s", error)


async def _run(router: AsyncRouter, holder: str) -> None:
    settings = router.settings
    job = SavingsJob(
        router=settings.router.name, holder=holder, store=settings.store, insight=settings.insight
    )
    process = start_job()
    try:
        _, said = await asyncio.to_thread(process.communicate, job.model_dump_json().encode())
    finally:
        process.kill()  # when the server stops; the thread then ends at once
    if process.returncode:
        last_line = said.decode(errors="replace").strip().rpartition("\n")[2]
        log.warning("savings are not estimated: %s", last_line or f"signal {-process.returncode}")
