"""Feedback that comes with API keys, of which one is far busier than the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import insert, select

from bandit_router.security.budget import find_day
from bandit_router.security.influence import FeedbackKey
from bandit_router.security.issue import KeyRequest
from bandit_router.store.store import Store
from bandit_router.store.tables import feedback as feedback_table
from bandit_router.store.tables import key_feedback
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision
from tests.store.examples import DIM, decision, feedback
from tests.store.user_log import PRUNED

BUSY, OTHERS = "busy", ("one", "two", "three")
SHARE = 0.4


class Said(NamedTuple):
    """One piece of feedback on a decision, and the key that it comes with; None without one."""

    decision: Decision
    key: str | None
    metrics: dict[str, float | None]

    def request(self, key_ids: dict[str, str]) -> WriteRequest:
        """The write request of it."""
        key = None if self.key is None else FeedbackKey(key_ids[self.key], SHARE)
        return WriteRequest(payload=feedback(self.decision, **self.metrics), feedback_key=key)


def make_keys(store: Store) -> dict[str, str]:
    """The ids of new keys, by their names."""
    requests = [KeyRequest(name=name, scopes=["feedback"]) for name in (BUSY, *OTHERS)]
    return {request.name: store.create_key(request).key.id for request in requests}


def note_activity(store: Store, key_ids: dict[str, str]) -> None:
    """Let all keys have been active the day before, the busy one ten times as much as each of the others."""
    yesterday = find_day(feedback("").received_at) - 1
    given = {name: 600 if name == BUSY else 60 for name in key_ids}
    of_day = {"router": store.router, "day": yesterday, "weight": 0.0}
    with store.learner_transaction() as transaction:
        rows = [of_day | {"key_id": key_ids[name], "given": number} for name, number in given.items()]
        transaction.connection.execute(insert(key_feedback), rows)


def make_decisions(n: int = 260, seed: int = 5) -> list[Decision]:
    """Decisions of both arms, each at a context of its own."""
    rng = np.random.default_rng(seed)
    return [
        decision(
            x=rng.normal(size=DIM),
            decided_at=1_700_000_000.0 + i,
            arm=("cheap", "dear")[i % 2],
            propensity=(0.75, 0.25)[i % 2],
            snapshot=PRUNED,
        )
        for i in range(n)
    ]


def make_feedback(decisions: Sequence[Decision], seed: int = 6) -> list[Said]:
    """What the keys say of them, most of it the busy one; some is revised and retracted, by others too."""
    rng = np.random.default_rng(seed)
    said = [
        Said(
            made,
            BUSY if rng.random() < 0.6 else OTHERS[rng.integers(len(OTHERS))],
            {"quality": float(rng.random()), "cost_usd": 0.001, "latency_s": float(rng.random())},
        )
        for made in decisions
    ]
    said += [each._replace(metrics={"quality": float(rng.random())}) for each in said[::7]]
    said += [each._replace(key=BUSY, metrics={"quality": 0.0}) for each in said[2 : len(decisions) : 11]]
    said += [each._replace(metrics={"quality": None}) for each in said[3 : len(decisions) : 13]]
    said += [each._replace(key=None, metrics={"quality": 0.5}) for each in said[5 : len(decisions) : 17]]
    return said


def write_said(store: Store, said: Sequence[Said], key_ids: dict[str, str]) -> None:
    """Write feedback, some at a time."""
    for i in range(0, len(said), 10):
        for answer in store.write([each.request(key_ids) for each in said[i : i + 10]]):
            if isinstance(answer, Exception):
                raise answer


def write_decisions(store: Store, decisions: Sequence[Decision]) -> None:
    """Write decisions."""
    for answer in store.write([WriteRequest(payload=made) for made in decisions]):
        if isinstance(answer, Exception):
            raise answer


def weights_of(store: Store, key_id: str | None) -> list[float]:
    """The weights of a key's rows, in the order of the decisions."""
    rows = select(feedback_table.c.weight).where(
        feedback_table.c.router == store.router, feedback_table.c.key_id == key_id
    )
    with store.read_log() as log:
        return list(log.connection.scalars(rows.order_by(feedback_table.c.decision_id)))
