"""The endpoint of advice: what to change, with the evidence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import Request

from bandit_router.insight.advice import find_advice
from bandit_router.router import AsyncRouter


async def advice(request: Request) -> dict[str, list[dict[str, Any]]]:
    router: AsyncRouter = request.app.state.router
    found = await router.read(lambda sync_router: find_advice(sync_router, sync_router.watched_calibration))
    return {"advice": [asdict(each) for each in found]}
