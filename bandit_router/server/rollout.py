"""The rollout over HTTP: its status, a step on, and the way back; and its comparison in the background."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bandit_router.insight import rollout_job
from bandit_router.insight.rollout import KIND
from bandit_router.insight.rollout_job import RolloutJob
from bandit_router.router import AsyncRouter
from bandit_router.server.background_jobs import Estimation
from bandit_router.server.body import read_body
from bandit_router.server.caller import find_key_id
from bandit_router.settings import Settings
from bandit_router.types import RolloutStage


class AdvanceBody(BaseModel):
    """The share to give to the candidate."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Its share of traffic; the next of the steps by default."
    )


class AbortBody(BaseModel):
    """Nothing: an empty object."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StageAnswer(BaseModel):
    """A stage of the rollout."""

    id: int
    share: float = Field(description="The candidate's share of traffic.")
    since: float = Field(description="Unix time at which it began.")
    aborted: bool


class RolloutAnswer(BaseModel):
    """The stage under way, and what was found when candidate and incumbent were compared last."""

    stage: StageAnswer | None = Field(description="null without a rollout.")
    status: dict[str, Any] | None = Field(
        description="As `bandit-router rollout status --json`; null before the first comparison."
    )


async def rollout(request: Request) -> Response:
    """The stage under way, and the newest comparison."""
    router: AsyncRouter = request.app.state.router
    stage, stored = router.rollout_stage, await router.estimate(KIND)
    return _answer({"stage": stage and stage._asdict(), "status": stored and stored.body})


async def advance_rollout(request: Request) -> Response:
    """Give the candidate another share of traffic."""
    body = await read_body(request, AdvanceBody)
    router: AsyncRouter = request.app.state.router
    return _answer_stage(await router.advance_rollout(body.share, why=_explain(request)))


async def abort_rollout(request: Request) -> Response:
    """Give all traffic back to the incumbent."""
    await read_body(request, AbortBody)
    router: AsyncRouter = request.app.state.router
    return _answer_stage(await router.abort_rollout(why=_explain(request)))


def compare_rollout_when_due(settings: Settings) -> Estimation:
    """The rollout of the settings' router, for the watch."""

    def make_job(holder: str) -> RolloutJob:
        return RolloutJob(
            router=settings.router.name, holder=holder, store=settings.store, rollout=settings.rollout
        )

    interval_s = settings.rollout.interval_s if settings.rollout.incumbent is not None else 0.0
    return Estimation(
        kind=KIND, name="rollouts", interval_s=interval_s, module=rollout_job.__name__, make_job=make_job
    )


def _explain(request: Request) -> str:
    key_id = find_key_id(request)
    return "asked for over HTTP" if key_id is None else f"asked for over HTTP with key {key_id}"


def _answer_stage(stage: RolloutStage) -> Response:
    return _answer(stage._asdict())


def _answer(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
