"""The watch that has an estimate made again when it is due, by a process of one worker for all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from bandit_router.errors import RouterError
from bandit_router.insight.background_job import LEASE_S, Job, start_job
from bandit_router.router import AsyncRouter

log = logging.getLogger(__name__)

_LOOK_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimation:
    """An estimate of some kind that is due every ``interval_s`` seconds, never if that is 0.

    ``make_job`` makes the job of a holder of the lease; ``module`` runs it. ``name`` is for the log.
    """

    kind: str
    name: str
    interval_s: float
    module: str
    make_job: Callable[[str], Job]


@asynccontextmanager
async def watch_estimate(router: AsyncRouter, estimation: Estimation) -> AsyncIterator[None]:
    """While the block runs, have the estimate made whenever it is due and no other worker does it."""
    watching = asyncio.create_task(_watch(router, estimation))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(router: AsyncRouter, estimation: Estimation) -> None:
    interval_s, kind, holder = estimation.interval_s, estimation.kind, uuid4().hex
    while interval_s > 0:
        await asyncio.sleep(min(interval_s, _LOOK_S))
        try:
            stored = await router.estimate(kind)
            is_due = stored is None or stored.made_at <= router.now() - interval_s
            if is_due and await router.take_lease(kind, holder, interval_s=interval_s, lease_s=LEASE_S):
                await _run(estimation, holder)
        except (RouterError, OSError) as error:
            log.warning("%s are not estimated: %s", estimation.name, error)


async def _run(estimation: Estimation, holder: str) -> None:
    process, job = start_job(estimation.module), estimation.make_job(holder)
    try:
        _, said = await asyncio.to_thread(process.communicate, job.model_dump_json().encode())
    finally:
        process.kill()  # when the server stops; the thread then ends at once
    if process.returncode:
        last_line = said.decode(errors="replace").strip().rpartition("\n")[2]
        reason = last_line or f"signal {-process.returncode}"
        log.warning("%s are not estimated: %s", estimation.name, reason)
