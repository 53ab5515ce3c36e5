"""Conversions between database rows and the nouns: decisions, arms, observations, vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Row

from bandit_router.types import NO_SIGNALS, NO_TASK, Arm, Decision, FloatArray, Reason

ReadDecision = Callable[[str], Decision | None]
"""Reads the decision of that id; None when it is not in the log."""


class WeightedValue(NamedTuple):
    """A value, and the weight that it is counted with, in [0, 1]."""

    value: float
    weight: float = 1.0


class Observation(NamedTuple):
    """A decision with the feedback in force: all a learner needs to count its reward, cost and latency.

    ``counted`` is what is on record as counted already, by quantity. ``reset_at`` is the Unix time of the
    arm's newest reset; None when it was never reset. ``weights`` has the metrics that do not weigh 1.
    """

    decision_id: str
    arm: str
    x: FloatArray
    schema_id: str
    decided_at: float
    metrics: dict[str, float]
    counted: dict[str, WeightedValue]
    list_cost_usd: float | None = None
    reset_at: float | None = None
    reason: str = Reason.POLICY
    weights: Mapping[str, float] = {}
    task: int = NO_TASK

    @property
    def forgotten(self) -> bool:
        """Whether it was decided before its arm was reset, so that nothing is learned from it."""
        return self.reset_at is not None and self.decided_at < self.reset_at


def decision_row(router: str, decision: Decision) -> dict[str, Any]:
    """The row of the decisions table."""
    return {
        "router": router,
        "id": decision.id,
        "decided_at": decision.decided_at,
        "x": pack(decision.x),
        "schema_id": decision.schema_id,
        "eligible": decision.eligible,
        "pmf": decision.pmf,
        "costs_usd": decision.expected_costs_usd,
        "arm": decision.arm,
        "propensity": decision.propensity,
        "reason": decision.reason.value,
        "policy": decision.policy,
        "snapshot": decision.snapshot,
        "cost_weight": decision.cost_weight,
        "expected_quality": decision.expected_quality,
        "expected_cost_usd": decision.expected_cost_usd,
        "list_cost_usd": decision.list_cost_usd,
        "conversation": decision.conversation,
        "parent": decision.parent,
        "idempotency_key": decision.idempotency_key,
        "query": decision.query,
        "user_id": decision.user,
        "signals": dict(decision.signals) or None,
        "excluded": decision.excluded or None,
        "claimed_at": decision.claimed_at,
        "key_id": decision.key_id,
        "task": None if decision.task == NO_TASK else decision.task,
        "greedy_utility": decision.greedy_utility,
    }


def decision_from(row: Row[Any]) -> Decision:
    """The decision of a row. Raises TypeError or ValueError when the row is damaged."""
    return Decision(
        id=row.id,
        decided_at=row.decided_at,
        x=unpack(row.x),
        schema_id=row.schema_id,
        eligible=tuple(row.eligible),
        pmf=tuple(row.pmf),
        expected_costs_usd=tuple(row.costs_usd),
        arm=row.arm,
        propensity=row.propensity,
        reason=Reason(row.reason),
        policy=row.policy,
        snapshot=row.snapshot,
        cost_weight=row.cost_weight,
        expected_quality=row.expected_quality,
        expected_cost_usd=row.expected_cost_usd,
        list_cost_usd=row.list_cost_usd,
        conversation=row.conversation,
        parent=row.parent,
        idempotency_key=row.idempotency_key,
        query=row.query,
        user=row.user_id,
        signals=NO_SIGNALS if row.signals is None else dict(row.signals),
        excluded={} if row.excluded is None else dict(row.excluded),
        claimed_at=row.claimed_at,
        key_id=row.key_id,
        task=task_from(row.task),
        greedy_utility=row.greedy_utility,
    )


def task_from(stored: int | None) -> int:
    """The number of a task as it is stored: null where none is known."""
    return NO_TASK if stored is None else stored


def arm_row(router: str, arm: Arm, *, runtime: bool) -> dict[str, Any]:
    """The row of the arms table; ``runtime`` marks an arm added while running."""
    return {
        "router": router,
        "name": arm.name,
        "provider": arm.provider,
        "model": arm.model,
        "input_usd_per_mtok": arm.input_usd_per_mtok,
        "output_usd_per_mtok": arm.output_usd_per_mtok,
        "expected_output_tokens": arm.expected_output_tokens,
        "context_window": arm.context_window,
        "capabilities": sorted(arm.capabilities),
        "enabled": True,
        "declared": arm.enabled,
        "runtime": runtime,
    }


def arm_from(row: Row[Any]) -> Arm:
    """The arm of a row."""
    return Arm(
        name=row.name,
        provider=row.provider,
        model=row.model,
        input_usd_per_mtok=row.input_usd_per_mtok,
        output_usd_per_mtok=row.output_usd_per_mtok,
        expected_output_tokens=row.expected_output_tokens,
        context_window=row.context_window,
        capabilities=frozenset(row.capabilities),
        enabled=row.enabled and row.declared,
    )


def pack(x: FloatArray) -> bytes:
    """A context vector as little-endian float64."""
    return x.astype("<f8", copy=False).tobytes()


def unpack(blob: bytes) -> FloatArray:
    """The packed vector; an empty one for a damaged blob, which no posterior accepts."""
    if len(blob) % 8:
        return np.empty(0)
    return np.frombuffer(blob, "<f8").astype(np.float64)
