"""A log in which each user did all that a log has tables for, and what a database still holds of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select

from bandit_router.store.conversations import ConversationClaim
from bandit_router.store.store import Store
from bandit_router.store.tables import metadata
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import CallEnd, CallOutcome, Conversation, Decision, Escalation, Reason
from tests.store.examples import DIM, decision, feedback, with_key

PRUNED = 99
"""A snapshot that is not there, so that `verify` does not recompute the PMF."""


class Deed(NamedTuple):
    """One write of a user; ``decision`` is the one it is about."""

    user: str
    request: WriteRequest
    decision: Decision


@dataclass(frozen=True)
class Keeping:
    """Decides again as before."""

    made: Decision

    def decide_again(self, conversation: Conversation | None) -> Decision:
        del conversation
        return self.made


def make_deeds(users: Sequence[str], rounds: int = 12) -> list[Deed]:
    """What these users do, by turns. Their names stand in all that callers name."""
    rng = np.random.default_rng(7)
    return [deed for i in range(rounds) for user in users for deed in _make_round(user, i, rng)]


def _make_round(user: str, i: int, rng: np.random.Generator) -> Iterator[Deed]:
    made = decision(
        x=rng.normal(size=DIM),
        decided_at=1_700_000_000.0 + i,
        arm=("cheap", "dear")[i % 2],
        propensity=(0.75, 0.25)[i % 2],
        snapshot=PRUNED,
        user=user,
        conversation=f"{user}-conversation-{i}",
        idempotency_key=f"{user}-decision-{i}",
        query=f"{user} asks {i}",
    )
    claim = ConversationClaim(expiry_cutoff=0.0, expected_choice=None, decider=Keeping(made))
    yield Deed(user, WriteRequest(payload=made, digest="d", claim=claim, begins_call=True), made)
    said = feedback(made, quality=float(rng.random()), latency_s=1.0 + i)
    keyed = with_key(f"{user}-feedback-{i}", said)
    yield Deed(user, WriteRequest(payload=keyed, digest="d"), made)
    yield Deed(user, WriteRequest(payload=feedback(made, quality=float(rng.random()))), made)
    end = CallEnd(
        decision_id=made.id,
        outcome=CallOutcome.ANSWERED,
        cost_usd=0.002,
        answer_id=f"chatcmpl-{user}-{i}",
        feedback=feedback(made, cost_usd=0.002 + 0.001 * i),
    )
    yield Deed(user, WriteRequest(payload=end), made)
    if i % 3 == 0:
        yield Deed(user, WriteRequest(payload=_escalate(made)), made)
    if i % 4 == 0:  # a caller that does not name the user the second time
        again = _follow(made, reason=Reason.OVERRIDE, user=None, query=f"{user} asks again {i}")
        yield Deed(user, WriteRequest(payload=again), again)
        yield Deed(user, WriteRequest(payload=feedback(again, quality=1.0)), again)


def _escalate(first: Decision) -> Escalation:
    return Escalation(
        parent=first.id,
        asked_at=first.decided_at + 1.0,
        confidence=0.4,
        p_good=0.5,
        p_retry_good=0.75,
        propensity=0.9,
        snapshot=PRUNED,
        why="a test",
        decision=_follow(first, reason=Reason.ESCALATION, user=first.user),
    )


def _follow(first: Decision, *, reason: Reason, user: str | None, query: str | None = None) -> Decision:
    id = decision().id
    chosen: dict[str, Any] = {"arm": "dear", "pmf": (0.0, 1.0), "propensity": 1.0}
    link: dict[str, Any] = {
        "parent": first.id,
        "reason": reason,
        "idempotency_key": None,
        "conversation": None,
    }
    return replace(first, id=id, user=user, query=query, **chosen, **link)


def write_deeds(store: Store, deeds: Sequence[Deed]) -> None:
    for deed in deeds:
        (answer,) = store.write([deed.request])
        if isinstance(answer, Exception):
            raise answer


def find_traces(held: bytes, user: str, deeds: Sequence[Deed]) -> list[bytes]:
    """What of a user is among these bytes: its name, the ids and the contexts of its decisions."""
    of_user = [deed for deed in deeds if deed.user == user]
    retries = [d.request.payload.decision for d in of_user if isinstance(d.request.payload, Escalation)]
    made = [deed.decision for deed in of_user] + [retry for retry in retries if retry is not None]
    marks = {user.encode(), *(d.id.encode() for d in made), *(d.x.tobytes() for d in made)}
    return sorted(mark for mark in marks if mark in held)


def dump(store: Store) -> bytes:
    """Every value of every row of every table."""
    with store.read_log() as log:
        values = [
            value
            for table in metadata.sorted_tables
            for row in log.connection.execute(select(table))
            for value in row
        ]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
