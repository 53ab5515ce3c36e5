"""Idempotency keys: a request repeated with its key gets the first answer and acts once."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, insert, select

from bandit_router.store.decisions import read_decision
from bandit_router.store.tables import idempotency
from bandit_router.types import Decision, Outcome

_KEYS = select(idempotency).where(
    idempotency.c.router == bindparam("router"), idempotency.c.key.in_(bindparam("keys", expanding=True))
)


class KeyedAnswer(NamedTuple):
    """An idempotency key, the digest of its request, the answer to it, and the decision it is about."""

    key: str
    digest: str
    answer: Decision | dict[str, Outcome]
    decision_id: str


def read_keys(connection: Connection, router: str, keys: Collection[str]) -> dict[str, Row[Any]]:
    """The stored rows of those keys that were used before: digest and answer, by key."""
    rows = connection.execute(_KEYS, {"router": router, "keys": list(keys)})
    return {row.key: row for row in rows}


def insert_keys(connection: Connection, router: str, answers: Iterable[KeyedAnswer]) -> None:
    """Store each key with its answer, in key order, so that two transactions never wait for each other."""
    rows = [
        {
            "router": router,
            "key": key,
            "digest": digest,
            "answer": {"decision_id": answer.id} if isinstance(answer, Decision) else {"outcomes": answer},
            "created_at": time.time(),
            "decision_id": decision_id,
        }
        for key, digest, answer, decision_id in answers
    ]
    if rows:
        connection.execute(insert(idempotency), sorted(rows, key=lambda row: str(row["key"])))


def restore_answer(
    connection: Connection, router: str, answer: dict[str, Any]
) -> Decision | dict[str, Outcome] | None:
    """The answer as it was given, from its stored form; None if it was forgotten this moment."""
    if "decision_id" in answer:
        return read_decision(connection, router, answer["decision_id"])
    return {metric: Outcome(outcome) for metric, outcome in answer["outcomes"].items()}


def read_decision_of_key(connection: Connection, router: str, key: str) -> Decision | None:
    """The decision that a request with this idempotency key was answered with, if any."""
    row = read_keys(connection, router, [key]).get(key)
    answer = None if row is None else restore_answer(connection, router, row.answer)
    return answer if isinstance(answer, Decision) else None


def has_key(connection: Connection, router: str, key: str | None) -> bool:
    """Whether a request with this idempotency key was answered."""
    return key is not None and bool(read_keys(connection, router, [key]))
