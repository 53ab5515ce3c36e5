"""Savings over HTTP, and their estimation in the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request, Response

from bandit_router.insight import savings_job
from bandit_router.insight.savings import KIND
from bandit_router.insight.savings_job import SavingsJob
from bandit_router.router import AsyncRouter
from bandit_router.server.background_jobs import Estimation
from bandit_router.settings import Settings

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


def estimate_savings_when_due(settings: Settings) -> Estimation:
    """The savings of the settings' router, for the watch."""

    def make_job(holder: str) -> SavingsJob:
        return SavingsJob(
            router=settings.router.name, holder=holder, store=settings.store, insight=settings.insight
        )

    interval_s = settings.insight.savings_interval_s
    return Estimation(
        kind=KIND, name="savings", interval_s=interval_s, module=savings_job.__name__, make_job=make_job
    )
