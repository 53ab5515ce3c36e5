"""The endpoint of advice: what to change, with the evidence."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import Request

from bandit_router.insight.advice import Advice, advise, ask_for_facts, make_facts
from bandit_router.router import AsyncRouter


async def find_advice(router: AsyncRouter) -> list[Advice]:
    """What the newest days of the log, the settings and the arms advise."""
    question = ask_for_facts(router.now())
    rows = await router.rollups(question.rollups)
    return await asyncio.to_thread(lambda: advise(make_facts(rows, question, router.settings, router.arms)))


async def advice(request: Request) -> dict[str, list[dict[str, Any]]]:
    return {"advice": [asdict(each) for each in await find_advice(request.app.state.router)]}
