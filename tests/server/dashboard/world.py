"""Two weeks of a router's life, written at once: decisions, calls, judgements, late and revised feedback."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bandit_router.insight.intervals import Estimate
from bandit_router.insight.savings import KIND, Baseline, Saving, Savings, savings_facts
from bandit_router.router import Router
from bandit_router.settings import Settings, load_settings
from bandit_router.store.clock import Stamp
from bandit_router.store.store import Store
from bandit_router.store.tasks import NewTask
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import CallEnd, CallOutcome, Decision, Escalation, Feedback, Reason, Usage
from tests.services import write_settings

HOUR_S = 3600.0
DAYS = 14
ARMS = (
    {"name": "small", "model": "gpt-4o-mini", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6},
    {"name": "medium", "model": "claude-haiku", "input_usd_per_mtok": 0.8, "output_usd_per_mtok": 4.0},
    {"name": "large", "model": "gpt-4o", "input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0},
)
NAMES = tuple(str(arm["name"]) for arm in ARMS)
_QUALITY = np.array([0.62, 0.78, 0.88])
_COST_USD = np.array([0.0002, 0.0013, 0.0032])
_LATENCY_S = np.array([0.7, 1.3, 2.4])
_TEXTS = (
    "Summarize this contract",
    "Why is the sky blue?",
    "Translate to French: cheese",
    "Fix my SQL <join>",
)
TASKS = ("questions", "translation & tone", "SQL")
"""The task of each text but the first."""

SAVINGS = Savings(
    made_at=1_764_000_000.0,
    since=1_761_408_000.0,
    rows=1344,
    margin=0.02,
    savings=(
        Saving(
            baseline=Baseline.MOST_EXPENSIVE,
            arm="large",
            usd_per_request=Estimate(1344, 0.0021, 0.0019, 0.0023),
            quality=Estimate(610, 0.008, -0.012, 0.028),
        ),
        Saving(
            baseline=Baseline.BEST_FIXED,
            arm="medium",
            quality=Estimate(610, -0.04, -0.1, 0.02),
            refusal="quality may be lower than that of medium",
            cure="send more quality feedback",
        ),
    ),
)
"""One that is stated and one that is refused."""


@dataclass(frozen=True)
class World:
    """The settings of the router, the time at which it all ends, and the newest decision."""

    config: Path
    settings: Settings
    now: float
    newest: Decision


def make_world(folder: Path, *, per_hour: float = 4.0, now: float, seed: int = 7) -> World:
    """A router whose log covers the two weeks before ``now``, learned from."""
    config = write_settings(
        folder, arms=ARMS, router={"log_queries": True, "cost_weight": 20.0}, learner={"interval_s": 0.2}
    )
    settings = load_settings(config)
    rng = np.random.default_rng(seed)
    with Router.open(settings) as router:
        for task in TASKS:
            router._store.number_task(NewTask(task))
        times = _draw_times(rng, now, per_hour)
        middle = len(times) // 2
        for half in (times[:middle], times[middle:]):  # the second is decided with what the first has taught
            made = [_decide(router, at, rng) for at in half]
            _write_half(router, made, now, rng)
            router.learn()
        assert router._store.take_lease(KIND, "world", interval_s=1.0, lease_s=60.0)
        assert router._store.store_estimate(KIND, "world", savings_facts(SAVINGS))
    return World(config, settings, now, made[-1])


def _write_half(router: Router, made: list[Decision], now: float, rng: np.random.Generator) -> None:
    """Write the decisions with all that hangs on them."""
    store = router._store
    _write(store, [WriteRequest(payload=each, begins_call=True) for each in made])
    _write(store, [WriteRequest(payload=_end_call(each, rng)) for each in made])
    judged = [each for each in made if each.arm == "small" and rng.random() < 0.25]
    _write(store, [WriteRequest(payload=_judge(each, rng)) for each in judged])
    said = [feedback for each in made for feedback in _rate(each, now, rng)]
    for revision in range(3):
        _write(store, [WriteRequest(payload=feedback) for i, feedback in said if i == revision])


def _draw_times(rng: np.random.Generator, now: float, per_hour: float) -> list[float]:
    """Times of decisions, more by day than by night, oldest first."""
    hours = DAYS * 24
    rates = per_hour * (1.0 + 0.7 * np.sin(np.arange(hours) / 24.0 * 2.0 * math.pi))
    starts = now - HOUR_S * np.arange(hours, 0, -1)
    return sorted(
        float(start + HOUR_S * rng.random())
        for start, count in zip(starts, rng.poisson(rates), strict=True)
        for _ in range(count)
    )


def _decide(router: Router, at: float, rng: np.random.Generator) -> Decision:
    """A decision of that time: the policy leans to the middle arm as it learns."""
    age = max(0.0, 1.0 - (router.now() - at) / (DAYS * 24 * HOUR_S))
    pmf = np.array([0.34 - 0.1 * age, 0.33 + 0.35 * age, 0.33 - 0.25 * age])
    arm = int(rng.choice(3, p=pmf))
    reason = Reason.OVERRIDE if rng.random() < 0.05 else Reason.POLICY
    x = rng.normal(size=router.pipeline.dim) * 0.3
    x[0] = 1.0
    query = str(rng.choice(_TEXTS))
    return Decision(
        id=Stamp(at, at).make_id(),
        decided_at=at,
        x=x,
        schema_id=router.pipeline.schema_id,
        eligible=NAMES,
        pmf=tuple(pmf.tolist()),
        expected_costs_usd=tuple(_COST_USD.tolist()),
        arm=NAMES[arm],
        propensity=float(pmf[arm]),
        reason=reason,
        policy=router.policy.spec,
        snapshot=router.snapshot,
        cost_weight=20.0,
        expected_quality=float(_QUALITY[arm]),
        expected_cost_usd=float(_COST_USD[arm]),
        query=query,
        task=_TEXTS.index(query) - 1,  # the first has none
        user=f"user-{rng.integers(5)}",
        greedy_utility=float((_QUALITY - 20.0 * _COST_USD).max()),
        signals={"tier": str(rng.choice(["free", "pro"]))},
        excluded={"old": "disabled"},
    )


def _end_call(made: Decision, rng: np.random.Generator) -> CallEnd:
    arm = NAMES.index(made.arm)
    latency_s = float(_LATENCY_S[arm] * rng.lognormal(0.0, 0.35))
    failed = rng.random() < 0.03
    metrics = (
        {"error": 1.0}
        if failed
        else {
            "cost_usd": float(_COST_USD[arm] * rng.lognormal(0.0, 0.4)),
            "latency_s": latency_s,
            "ttft_s": latency_s / 3.0,
            "error": 0.0,
        }
    )
    end = CallEnd(
        decision_id=made.id,
        outcome=CallOutcome.FAILED if failed else CallOutcome.ANSWERED,
        cost_usd=metrics.get("cost_usd", 0.0),
        cost_reported=not failed,
        ttft_s=metrics.get("ttft_s"),
        latency_s=metrics.get("latency_s"),
        status=500 if failed else 200,
        usage=None if failed else Usage(input_tokens=120, output_tokens=300),
        answer_id=None if failed else f"chatcmpl-{made.id}",
        finish=None if failed else "stop",
        error="upstream fell over" if failed else None,
    )
    said = Feedback(decision_id=made.id, metrics=metrics, received_at=made.decided_at + latency_s)
    return replace(end, feedback=said)


def _judge(made: Decision, rng: np.random.Generator) -> Escalation:
    """The answer of the small arm, accepted or retried on the large one."""
    confidence = float(rng.beta(4.0, 2.0))
    retry = None
    if confidence < 0.6:
        at = made.decided_at + 2.0
        retry = replace(
            made,
            id=Stamp(at, at).make_id(),
            decided_at=at,
            arm="large",
            reason=Reason.ESCALATION,
            parent=made.id,
            propensity=1.0,
            eligible=("large",),
            pmf=(1.0,),
            expected_costs_usd=(float(_COST_USD[2]),),
            expected_quality=0.88,
            expected_cost_usd=float(_COST_USD[2]),
        )
    return Escalation(
        parent=made.id,
        asked_at=made.decided_at + 2.0,
        confidence=confidence,
        p_good=min(1.0, 0.2 + 0.7 * confidence),
        p_retry_good=0.85,
        propensity=1.0,
        snapshot=made.snapshot,
        why="the retry is worth its price" if retry else "the answer is likely good",
        decision=retry,
    )


def _rate(made: Decision, now: float, rng: np.random.Generator) -> list[tuple[int, Feedback]]:
    """Ratings of some decisions, minutes or days later, some revised or retracted; with their order."""
    if rng.random() > 0.45:
        return []
    good = float(rng.random() < _QUALITY[NAMES.index(made.arm)])
    values: list[dict[str, float | None]] = [
        {"quality": good, "satisfaction": float(rng.choice([0.0, 0.5, 1.0]))}
    ]
    if rng.random() < 0.12:
        values.append({"quality": 1.0 - good})
    if rng.random() < 0.05:
        values.append({"quality": None})
    at, said = made.decided_at, []
    for i, metrics in enumerate(values):
        at += float(rng.lognormal(math.log(HOUR_S), 1.5))
        if at < now:
            said.append((i, Feedback(decision_id=made.id, metrics=metrics, received_at=at)))
    return said


def _write(store: Store, requests: list[WriteRequest], size: int = 500) -> None:
    for i in range(0, len(requests), size):
        for result in store.write(requests[i : i + size]):
            if isinstance(result, Exception):
                raise result
