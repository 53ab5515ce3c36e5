"""A small router to test the store with: two arms, contexts of three numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import numpy as np
import uuid_utils
from sqlalchemy import Table, func, select

from bandit_router.learning.learner import NAMES, Learner
from bandit_router.learning.model_prior import ModelPrior
from bandit_router.objective.safety import SafetyGoal
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import decode_state, encode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.observations import CountedValues, read_observations
from bandit_router.store.safety import declare_safety
from bandit_router.store.snapshots import SnapshotRetention
from bandit_router.store.store import Store
from bandit_router.store.write_requests import Committed, WriteRequest
from bandit_router.types import Arm, CallEnd, Decision, Escalation, Feedback, Outcome, Reason

DIM = 3
SCHEMA = f"vector/{DIM}"
ARMS = tuple(
    Arm(name=name, provider="openai", model=name, input_usd_per_mtok=usd, output_usd_per_mtok=2 * usd)
    for name, usd in (("cheap", 0.5), ("dear", 4.0))
)

OpenStore = Callable[..., Store]
"""Opens another store on the test's database; by default of the router "r", which it makes."""

T = TypeVar("T")


def learner_of(store: Store, **changes: Any) -> Learner:
    """A learner of the reward "quality"."""
    prior: dict[str, Any] = {
        "of_arm": lambda _: Prior(mean=np.full(DIM, 0.1), precision=np.full(DIM, 2.0)),
        "dim": DIM,
        "schema_id": SCHEMA,
        "noise_variance": 0.25,
    }
    names = {field.name for field in dataclasses.fields(ModelPrior)} & changes.keys()
    of_prior = {name: changes.pop(name) for name in names}
    usual: dict[str, Any] = {
        "store": store,
        "prior": ModelPrior(**(prior | of_prior)),
        "weights": {"quality": 1.0},
        "batch": 1_000,
        "keep_snapshots": SnapshotRetention(count=5),
    }
    return Learner(**(usual | changes))


def set_up(store: Store) -> Store:
    """Make the router and its arms, as opening a Router does."""
    learner = learner_of(store)
    store.create_router(SCHEMA, encode_state(learner.prior.empty_state(())), learner.weights)
    with store.learner_transaction() as transaction:
        transaction.declare_arms(ARMS)
    learner.align_with_settings()
    return store


def bind(store: Store, baseline: str = "dear", at_most: float = 0.02) -> None:
    """Keep a book of what is lost to an arm, as opening a Router with [safety] does."""
    with store.learner_transaction() as transaction:
        declare_safety(transaction, SafetyGoal(baseline=baseline, at_most=at_most))
    store.head()


def decision(**changes: Any) -> Decision:
    """A decision that a router could have made."""
    usual: dict[str, Any] = {
        "id": str(uuid_utils.uuid7()),
        "decided_at": 1_700_000_000.0,
        "x": np.array([1.0, 0.25, -2.0]),
        "schema_id": SCHEMA,
        "eligible": ("cheap", "dear"),
        "pmf": (0.75, 0.25),
        "expected_costs_usd": (0.001, 0.01),
        "arm": "cheap",
        "propensity": 0.75,
        "reason": Reason.POLICY,
        "policy": "uniform()",
        "snapshot": 1,
        "cost_weight": 0.0,
        "expected_quality": 0.5,
        "expected_cost_usd": 0.001,
    }
    return Decision(**(usual | changes))


def feedback(about: Decision | str, **metrics: float | None) -> Feedback:
    """Feedback about a decision."""
    decision_id = about if isinstance(about, str) else about.id
    return Feedback(decision_id=decision_id, metrics=metrics, received_at=1_700_000_100.0)


def with_key(key: str, feedback: Feedback) -> Feedback:
    """The same feedback, sent with an idempotency key."""
    return dataclasses.replace(feedback, idempotency_key=key)


def fields(decision: Decision) -> dict[str, Any]:
    """A decision in a form that == can compare, the context by its bits."""
    values = {f.name: getattr(decision, f.name) for f in dataclasses.fields(decision)}
    return values | {"x": (decision.x.dtype, decision.x.tobytes())}


def commit(store: Store, what: Decision | Feedback | Escalation | CallEnd, digest: str = "") -> Committed:
    """Write one thing; raises the error that answers it."""
    (answer,) = store.write([WriteRequest(payload=what, digest=digest)])
    if isinstance(answer, Exception):
        raise answer
    return answer


def logged(store: Store, **changes: Any) -> Decision:
    """A decision that is in the log."""
    answer = commit(store, decision(**changes))
    assert isinstance(answer, Decision)
    return answer


def said(store: Store, about: Decision, **metrics: float | None) -> Mapping[str, Outcome]:
    """Write feedback; what became of each metric."""
    answer = commit(store, feedback(about, **metrics))
    assert isinstance(answer, dict)
    return answer


def rows(store: Store, table: Table) -> int:
    """How many rows of a table the router has."""
    with store.read_log() as audit:
        count = select(func.count()).select_from(table).where(table.c.router == store.router)
        return audit.connection.scalar(count) or 0


def fold_forgetfully(store: Store, learner: Learner) -> None:
    """What Learner.fold does, but for the comparison with what is on record as counted."""
    batch = store.pending_batch(NAMES, 10)
    assert batch is not None
    assert batch.state is not None
    forgetful = [observation._replace(counted={}) for observation in batch.observations]
    learner.publish_fold(batch._replace(observations=forgetful), decode_state(batch.state))


def counted_of(store: Store, decision_id: str) -> dict[str, float]:
    """What is on record as counted of a decision, by quantity."""
    with store.read_log() as log:
        head = log.head()
        assert head is not None
        counted = CountedValues(head.generation, NAMES)
        (observation,) = read_observations(log.connection, store.router, [decision_id], counted)
        return {quantity: counted.value for quantity, counted in observation.counted.items()}


def counted_rows(store: Store, quantity: str = "reward") -> int:
    """How many values of a quantity the newest snapshot is on record to count."""
    with store.read_log() as log:
        head = log.head()
        assert head is not None
        return log.counted(head.generation).get(quantity, 0)


def posterior_of(store: Store) -> SufficientStatistics:
    """The newest published posterior of rewards."""
    return decode_state(store.published()[2]).rewards


def version_of(store: Store) -> int:
    """The newest published version."""
    return store.published()[0]


def together(*calls: Callable[[], T]) -> list[T]:
    """Call all at the same moment, each on a thread of its own; what they return."""
    start = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
