"""The endpoints of the HTTP API: route, feedback, decisions, escalation, and how the router stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from bandit_router.features import read_prompt
from bandit_router.learning.drift import CalibrationReport
from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.router import AsyncRouter
from bandit_router.router.explain import build_route_answer
from bandit_router.server.advice import advice
from bandit_router.server.api_responses import (
    AMBIGUOUS,
    DECIDED,
    GUARDED,
    PROBLEM,
    PROBLEMS,
    UNKNOWN,
    WRONG,
    describe_body,
)
from bandit_router.server.body import MAX_BYTES, BodyMemory, read_body
from bandit_router.server.caller import find_granted_arms, find_key_id
from bandit_router.server.fast_path import Endpoint
from bandit_router.server.rollout import (
    AbortBody,
    AdvanceBody,
    RolloutAnswer,
    StageAnswer,
    abort_rollout,
    advance_rollout,
    rollout,
)
from bandit_router.server.savings import savings
from bandit_router.server.schemas import (
    ArmAnswer,
    ChainAnswer,
    DecisionAnswer,
    EscalateAnswer,
    EscalateBody,
    FeedbackAnswer,
    FeedbackBody,
    RouteAnswer,
    RouteBody,
)
from bandit_router.server.stats import STATS_RESPONSES, StatsAnswer, stats


def add_endpoints(app: FastAPI) -> None:
    """Add the endpoints of the API to the app; what can be asked with GET can be with HEAD."""

    def get(path: str, **described: Any) -> Callable[[Callable[..., Any]], None]:
        def add(endpoint: Callable[..., Any]) -> None:
            app.get(path, **described)(endpoint)
            app.head(path, include_in_schema=False)(endpoint)

        return add

    app.post(
        "/v1/route",
        response_model=RouteAnswer,
        responses=PROBLEMS | DECIDED,
        openapi_extra=describe_body(RouteBody),
        summary="Choose a model for a query",
    )(route)
    app.post(
        "/v1/feedback",
        response_model=FeedbackAnswer,
        responses=PROBLEMS | UNKNOWN | AMBIGUOUS,
        openapi_extra=describe_body(FeedbackBody),
        summary="Record feedback for a decision, now or days later",
    )(feedback)
    get(
        "/v1/decisions/{decision_id}",
        responses=GUARDED | UNKNOWN | WRONG,
        summary="Why a model was chosen",
    )(decision)
    app.post(
        "/v1/decisions/{decision_id}/escalate",
        response_model=EscalateAnswer,
        responses=PROBLEMS | UNKNOWN,
        openapi_extra={"requestBody": describe_body(EscalateBody)["requestBody"]},
        summary="Accept an answer, or retry the query on the expensive model; an answer is judged once",
    )(escalate)
    get(
        "/v1/decisions/{decision_id}/chain",
        responses=GUARDED | UNKNOWN | WRONG,
        summary="The cost and latency of a query, its retry included",
    )(chain)
    get("/v1/arms", responses=GUARDED, summary="The models that can be chosen")(arms)
    get(
        "/v1/calibration",
        responses=GUARDED | WRONG,
        summary="Rewards and costs against the expected ones, and the models that drifted",
    )(calibration)
    get(
        "/v1/budget",
        responses=GUARDED
        | {
            404: {"description": "No worker of the router has a goal under [budget]", **PROBLEM},
            503: PROBLEMS[503],
        },
        summary="The state of the budget, or of the mean quality to keep",
    )(budget)
    get(
        "/v1/safety",
        responses=GUARDED
        | {404: {"description": "The router has no baseline under [safety]", **PROBLEM}, 503: PROBLEMS[503]},
        summary="What the policy may decide, and what it has lost to its baseline",
    )(safety)
    get(
        "/v1/stats",
        response_model=StatsAnswer,
        responses=GUARDED | WRONG | STATS_RESPONSES,
        summary="Figures of what was decided, and of what came of it, with their intervals",
    )(stats)
    get(
        "/v1/advice",
        responses=GUARDED | {503: PROBLEMS[503]},
        summary="What to change, by the newest two weeks of the log, with the evidence",
    )(advice)
    get(
        "/v1/savings",
        responses=GUARDED | {503: PROBLEMS[503]},
        summary="Savings against fixed models at equal quality, as last estimated",
    )(savings)
    get(
        "/v1/rollout",
        response_model=RolloutAnswer,
        responses=GUARDED | {503: PROBLEMS[503]},
        summary="The rollout: its stage, and candidate against incumbent as last compared",
    )(rollout)
    for path, endpoint, body, summary in (
        ("advance", advance_rollout, AdvanceBody, "Give the candidate of the rollout more traffic"),
        ("abort", abort_rollout, AbortBody, "Give all traffic back to the incumbent of the rollout"),
    ):
        app.post(
            f"/v1/rollout/{path}",
            response_model=StageAnswer,
            responses=PROBLEMS,
            openapi_extra={"requestBody": describe_body(body)["requestBody"]},
            summary=summary,
        )(endpoint)
    get("/healthz", summary="The process is alive")(healthz)
    get("/readyz", responses={503: PROBLEMS[503]}, summary="The database takes writes")(readyz)


async def route(request: Request) -> Response:
    router: AsyncRouter = request.app.state.router
    memory: BodyMemory = request.app.state.body_memory
    with memory.hold() as held:
        body = await read_body(request, RouteBody, held)
        source, options = body.prompt(), body.options()
        if (key := request.headers.get("idempotency-key")) is not None:
            options["idempotency_key"] = key  # which goes with the source as it was sent
        elif source is not None and held.bytes > MAX_BYTES:  # other requests go on meanwhile
            source = await asyncio.to_thread(read_prompt, source)
        decision = await router.route_granted(
            source, options, find_granted_arms(request), find_key_id(request)
        )
    return _json_response(build_route_answer(decision, await router.arm(decision.arm)))


async def feedback(request: Request) -> Response:
    body = await read_body(request, FeedbackBody)
    router: AsyncRouter = request.app.state.router
    idempotency_key = request.headers.get("idempotency-key")
    decision_id, outcomes = await router.feedback_on(
        body.decision_id,
        body.metrics,
        body.conversation,
        idempotency_key,
        key_id=find_key_id(request),
    )
    return _json_response({"decision_id": decision_id, "outcomes": outcomes})


async def decision(request: Request, decision_id: str) -> DecisionAnswer:
    router: AsyncRouter = request.app.state.router
    return DecisionAnswer(**(await router.explain(decision_id)).facts())


async def escalate(request: Request, decision_id: str) -> Response:
    body = await read_body(request, EscalateBody)
    router: AsyncRouter = request.app.state.router
    escalation = await router.escalate(
        decision_id,
        confidence=body.confidence,
        deadline_s=body.deadline_s,
        granted=find_granted_arms(request),
    )
    retry = escalation.decision
    answer = None if retry is None else build_route_answer(retry, await router.arm(retry.arm))
    return _json_response(
        {
            "decision_id": escalation.parent,
            "accept": escalation.accepted,
            "confidence": escalation.confidence,
            "p_good": escalation.p_good,
            "p_retry_good": escalation.p_retry_good,
            "propensity": escalation.propensity,
            "why": escalation.why,
            "retry": retry and answer and {**answer, "parent": retry.parent},
        }
    )


async def chain(request: Request, decision_id: str) -> ChainAnswer:
    router: AsyncRouter = request.app.state.router
    calls, expected_cost_usd, cost_usd, latency_s = await router.chain(decision_id)
    return ChainAnswer(
        decision_ids=[call.id for call in calls],
        expected_cost_usd=expected_cost_usd,
        cost_usd=cost_usd,
        latency_s=latency_s,
    )


async def arms(request: Request) -> list[ArmAnswer]:
    router: AsyncRouter = request.app.state.router
    counts = router.counts()
    return [
        ArmAnswer(
            name=arm.name,
            provider=arm.provider,
            model=arm.model,
            enabled=arm.enabled,
            input_usd_per_mtok=arm.input_usd_per_mtok,
            output_usd_per_mtok=arm.output_usd_per_mtok,
            expected_output_tokens=arm.expected_output_tokens,
            context_window=arm.context_window,
            capabilities=sorted(arm.capabilities),
            rewards_counted=counts.get(arm.name, 0),
            p50_latency_s=router.latency_s(arm.name, 0.5),
            p95_latency_s=router.latency_s(arm.name, 0.95),
        )
        for arm in router.arms
    ]


async def calibration(request: Request, last: int = 2000) -> CalibrationReport:
    router: AsyncRouter = request.app.state.router
    return await router.calibration(last)


async def budget(request: Request) -> GoalStatus:
    router: AsyncRouter = request.app.state.router
    return await router.budget()


async def safety(request: Request) -> SafetyStatus:
    router: AsyncRouter = request.app.state.router
    return await router.safety()


async def healthz() -> dict[str, str]:
    return {"status": "ok"}


async def readyz(request: Request) -> dict[str, str]:
    await request.app.state.router.ping()
    return {"status": "ready"}


def _json_response(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


FAST_ENDPOINTS: Mapping[str, Endpoint] = {"/v1/route": route, "/v1/feedback": feedback}
"""The endpoints of the fast path, which carry the traffic."""
