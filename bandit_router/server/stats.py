"""The endpoint of figures: every figure of the roll-ups, as JSON or CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from bandit_router.insight.figures import FIGURES
from bandit_router.insight.question import BY, STEPS, parse_question
from bandit_router.insight.stats import compute_statistics, find_first_day, statistics_facts, write_csv
from bandit_router.insight.tasks import TaskSummary, find_task_summaries
from bandit_router.router import AsyncRouter, Router
from bandit_router.store.rollups.reader import RollupRow
from bandit_router.store.rollups.tally import Cube

_CSV = "text/csv"


class PointAnswer(BaseModel):
    """A figure for one group; null in what is not told apart, and in what is not known."""

    time: str | None = Field(description="Start of the step, ISO 8601.")
    arm: str | None
    reason: str | None
    member: str | None = Field(description="The tier, key or task.")
    n: int = Field(description="Number of observations.")
    value: float | None
    low: float | None = Field(description="Lower end of the 95% interval.")
    high: float | None = Field(description="Upper end of it.")
    coverage: float | None = Field(description="Share of the decisions that have a value.")
    settled: float | None = Field(description="Share of them that is old enough for one.")


class FigureAnswer(BaseModel):
    figure: str
    title: str
    unit: str
    points: list[PointAnswer]


class OwnCallsAnswer(BaseModel):
    """What calls of the router's own cost, on the days (UTC) that `since` to `until` touches."""

    purpose: str = Field(description="label, judge, self_check or sample.")
    calls: int
    usd: float = Field(description="With the worst case of those that have not ended.")


class EstimateAnswer(BaseModel):
    n: int
    value: float | None
    low: float | None
    high: float | None


class TaskAnswer(BaseModel):
    """A task, and which arm is best for its usual query by what is learned."""

    name: str
    decisions: int
    share: EstimateAnswer = Field(description="Of the decisions that have a task.")
    quality: EstimateAnswer
    cost_usd: EstimateAnswer
    best_arm: str | None
    level: float | None = Field(description="Expected reward of that arm.")
    width: float | None = Field(description="Standard deviation of the level.")
    gain: float | None = Field(description="Its utility over that of the single arm best for all tasks.")


class StatsAnswer(BaseModel):
    since: str = Field(description="ISO 8601, UTC.")
    until: str = Field(description="The first moment that is out.")
    step_hours: int
    by: list[str] = Field(description="What is told apart; `member` is the tier, key or task.")
    figures: list[FigureAnswer]
    own_calls: list[OwnCallsAnswer]
    tasks: list[TaskAnswer] = Field(description="With `by=task`; else empty.")


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
    by_task = question.rollups.split_by is Cube.TASK
    tasks = await router.read(partial(_summarise_tasks, rows)) if by_task else []
    facts = statistics_facts(statistics, await router.own_costs(find_first_day(question)), tasks)
    return Response(orjson.dumps(facts), media_type="application/json")


def _summarise_tasks(rows: Sequence[RollupRow], router: Router) -> list[TaskSummary]:
    return find_task_summaries(rows, [arm.name for arm in router.arms], router.score_tasks)


STATS_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": {_CSV: {"schema": {"type": "string"}}}}}
"""What it answers besides JSON."""
