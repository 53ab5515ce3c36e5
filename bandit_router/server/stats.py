"""The endpoint of figures: every figure of the roll-ups, as JSON or CSV."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request, Response

from bandit_router.insight.figures import FIGURES
from bandit_router.insight.question import BY, STEPS, parse_question
from bandit_router.insight.stats import compute_statistics, statistics_facts, write_csv
from bandit_router.router import AsyncRouter

_CSV = "text/csv"

_SINCE = "A date or time in UTC, or a span before `until` such as 36h, 7d or 4w; 7d by default."
_FORMAT = "json or csv; by default what `Accept` asks for."


async def stats(
    request: Request,
    since: Annotated[str | None, Query(description=_SINCE)] = None,
    until: Annotated[str | None, Query(description="A date or time in UTC; now by default.")] = None,
    step: Annotated[str | None, Query(description=f"One of {', '.join(STEPS)}.")] = None,
    by: Annotated[str | None, Query(description=f"Of {', '.join(BY)}, with commas between.")] = None,
    arm: Annotated[list[str], Query(description="Only these arms.")] = [],  # noqa: B006
    reason: Annotated[list[str], Query(description="Only these reasons.")] = [],  # noqa: B006
    tier: Annotated[str | None, Query(description="Only this tier of users.")] = None,
    key: Annotated[str | None, Query(description="Only the API key of this id.")] = None,
    task: Annotated[str | None, Query(description="Only this task.")] = None,
    figure: Annotated[list[str], Query(description=f"Of {', '.join(FIGURES)}.")] = [],  # noqa: B006
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format", description=_FORMAT)] = None,
) -> Response:
    router: AsyncRouter = request.app.state.router
    question = parse_question(
        router.now(),
        since=since,
        until=until,
        step=step,
        by=by,
        arms=arm,
        reasons=reason,
        tier=tier,
        key=key,
        task=task,
    )
    rows = await router.rollups(question.rollups)
    statistics = await asyncio.to_thread(compute_statistics, rows, question, figure)
    if form == "csv" or (form is None and _CSV in request.headers.get("accept", "")):
        return Response(write_csv(statistics), media_type=_CSV)
    return Response(orjson.dumps(statistics_facts(statistics)), media_type="application/json")


STATS_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {_CSV: {"schema": {"type": "string"}}}, "description": "The figures"}
}
