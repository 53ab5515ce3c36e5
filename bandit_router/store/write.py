"""The write path: what many callers have to say in one transaction, each thing exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, insert, select

from bandit_router.errors import IdempotencyConflict, RouterError, UnknownDecision
from bandit_router.store.conversations import ConversationClaim, apply_claims
from bandit_router.store.engine import INSERT
from bandit_router.store.escalations import confidences, judge_once
from bandit_router.store.records import decision_from, decision_row
from bandit_router.store.spending import Correction, PacingLedger
from bandit_router.store.tables import decisions, feedback, idempotency, pending
from bandit_router.types import Decision, Escalation, Feedback, Outcome, Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteRequest:
    """One decision, feedback call or escalation to commit. ``digest`` identifies the request behind a key.

    With ``keeping`` the decision that is committed may be another one: the conversation decides.
    """

    what: Decision | Feedback | Escalation
    digest: str = ""
    keeping: ConversationClaim | None = None

    @property
    def decision(self) -> Decision | None:
        """The decision that it would add to the log."""
        if isinstance(self.what, Escalation):
            return self.what.decision
        return self.what if isinstance(self.what, Decision) else None


Committed = Decision | dict[str, Outcome] | Escalation
"""What a Put comes to: the decision or escalation in force, or what became of each metric."""

_INSERT_DECISIONS = {
    name: into(decisions).on_conflict_do_nothing().returning(decisions.c.id) for name, into in INSERT.items()
}
"""A commit whose answer was lost is tried again with the same ids, so conflicts are no news.

RETURNING makes SQLAlchemy send all rows in one statement: SQLite lets go of Python's global lock once
a statement, and taking it back for every row would stall the thread that serves requests.
"""

_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_KNOWN = select(decisions.c.id).where(decisions.c.router == bindparam("router"), decisions.c.id.in_(_IDS))
_LOCK_DECISIONS = (
    select(
        decisions.c.id,
        decisions.c.decided_at,
        decisions.c.expected_cost_usd,
        decisions.c.expected_quality,
    )
    .where(decisions.c.router == bindparam("router"), decisions.c.id.in_(_IDS))
    .order_by(decisions.c.id)
    .with_for_update(key_share=True)
)
VALUES = (
    select(feedback.c.decision_id, feedback.c.metric, feedback.c.revision, feedback.c.value)
    .where(feedback.c.router == bindparam("router"), feedback.c.decision_id.in_(_IDS))
    .order_by(feedback.c.revision)
)
"""Every value of every metric of some decisions, the newest of each last."""

_KEYS = select(idempotency).where(
    idempotency.c.router == bindparam("router"), idempotency.c.key.in_(bindparam("keys", expanding=True))
)


def apply(
    connection: Connection, router: str, puts: Sequence[WriteRequest], ledger: PacingLedger | None = None
) -> list[Committed | RouterError]:
    """Do all ``puts`` in the connection's transaction; one answer, or one error, for each.

    A put whose idempotency key was seen before is answered as then and changes nothing. ``ledger`` hears of
    every decision inserted and every change of what is known of one.
    """
    ledger = ledger or PacingLedger()
    answers: list[Committed | RouterError | None] = [None] * len(puts)
    first = _answer_replays(connection, router, puts, answers)
    fresh = [i for i, answer in enumerate(answers) if answer is None and first.get(_key(puts[i]), i) == i]
    made = _decisions(connection, router, [(i, puts[i]) for i in fresh], answers)
    judged, new = _escalations(connection, router, [(i, puts[i]) for i in fresh])
    calls = [(i, what) for i in fresh if isinstance(what := puts[i].what, Feedback)]
    calls += [(i, said) for i, escalation in new for said in confidences(escalation)]
    retries = [(i, escalation.decision) for i, escalation in new if escalation.decision is not None]
    adding: dict[str, tuple[int, Decision]] = {}  # by id: what is there twice is booked once
    for i, decision in [*made.items(), *retries]:
        adding.setdefault(decision.id, (i, decision))
    if adding:
        rows = [decision_row(router, decision) for _, decision in adding.values()]
        inserted = set(connection.scalars(_INSERT_DECISIONS[connection.dialect.name], rows))
        added = [(i, decision) for i, decision in adding.values() if decision.id in inserted]
        ledger.book([decision for _, decision in added])
        calls += [(i, _dissatisfaction(decision)) for i, decision in added if _replaces(decision)]
    settled: dict[int, Committed] = {**made, **judged}
    for i, committed in settled.items():
        answers[i] = committed
    if calls:
        for i, answer in _record(connection, router, calls, ledger):
            answers[i] = settled.get(i, answer)
    _remember(connection, router, [(puts[i], answers[i]) for i in fresh])
    return [
        answers[first[_key(put)]] if answer is None else answer  # type: ignore[misc]
        for put, answer in zip(puts, answers, strict=True)
    ]


def _decisions(
    connection: Connection,
    router: str,
    puts: Sequence[tuple[int, WriteRequest]],
    answers: list[Committed | RouterError | None],
) -> dict[int, Decision]:
    """The decisions to insert, as their conversations want them; one that replaces nothing is answered."""
    made = {i: put.what for i, put in puts if isinstance(put.what, Decision)}
    keeping = [(i, put.keeping) for i, put in puts if put.keeping is not None]
    if keeping:
        logged = partial(read_decision, connection, router)
        kept = apply_claims(connection, router, [(made[i], how) for i, how in keeping], logged)
        made |= {i: decision for (i, _), decision in zip(keeping, kept, strict=True)}
    replacing = {i: decision.parent for i, decision in made.items() if _replaces(decision)}
    if replacing:
        known = set(connection.scalars(_KNOWN, {"router": router, "ids": list(replacing.values())}))
        for i, parent in replacing.items():
            if parent not in known:
                answers[i] = UnknownDecision(str(parent))
                del made[i]
    return made


def _escalations(
    connection: Connection, router: str, puts: Sequence[tuple[int, WriteRequest]]
) -> tuple[dict[int, Escalation], list[tuple[int, Escalation]]]:
    """The escalations in force, and those of them that are new."""
    asked = {i: put.what for i, put in puts if isinstance(put.what, Escalation)}
    if not asked:
        return {}, []
    return judge_once(connection, router, asked, partial(read_decision, connection, router))


def _replaces(decision: Decision) -> bool:
    """Whether the caller named another model because the parent's answer would not do."""
    return decision.reason is Reason.OVERRIDE and decision.parent is not None


def _dissatisfaction(decision: Decision) -> Feedback:
    """What the decision says of the one it replaces."""
    return Feedback(
        decision_id=str(decision.parent), metrics={"override": 1.0}, received_at=decision.decided_at
    )


def _answer_replays(
    connection: Connection,
    router: str,
    puts: Sequence[WriteRequest],
    answers: list[Committed | RouterError | None],
) -> dict[str | None, int]:
    """Answer keys seen before; the first index of every key that is new."""
    keyed = [(i, key) for i, put in enumerate(puts) if (key := _key(put)) is not None]
    if not keyed:
        return {}
    found = connection.execute(_KEYS, {"router": router, "keys": [key for _, key in keyed]})
    seen = {row.key: row for row in found}
    first: dict[str | None, int] = {}
    for i, key in keyed:
        digest = seen[key].digest if key in seen else puts[first.setdefault(key, i)].digest
        if digest != puts[i].digest:
            answers[i] = IdempotencyConflict(key)
        elif key in seen:
            answers[i] = _recall(connection, router, seen[key].answer)
    return first


def decision_of_key(connection: Connection, router: str, key: str) -> Decision | None:
    """The decision that a request with this idempotency key was answered with, if any."""
    seen = connection.execute(_KEYS, {"router": router, "keys": [key]}).one_or_none()
    found = None if seen is None else _recall(connection, router, seen.answer)
    return found if isinstance(found, Decision) else None


def knows_key(connection: Connection, router: str, key: str | None) -> bool:
    """Whether a request with this idempotency key was answered."""
    return key is not None and bool(connection.execute(_KEYS, {"router": router, "keys": [key]}).all())


def _recall(connection: Connection, router: str, answer: dict[str, Any]) -> Committed:
    if "decision_id" in answer:
        found = read_decision(connection, router, answer["decision_id"])
        assert found is not None, "an idempotency row is inserted with its decision"
        return found
    return {metric: Outcome(outcome) for metric, outcome in answer["outcomes"].items()}


def _remember(
    connection: Connection, router: str, done: Iterable[tuple[WriteRequest, Committed | RouterError | None]]
) -> None:
    rows = [
        {
            "router": router,
            "key": key,
            "digest": put.digest,
            "answer": {"decision_id": answer.id} if isinstance(answer, Decision) else {"outcomes": answer},
            "created_at": time.time(),
        }
        for put, answer in done
        if (key := _key(put)) is not None and not isinstance(answer, RouterError)
    ]
    if rows:
        connection.execute(insert(idempotency), sorted(rows, key=lambda row: str(row["key"])))


def _record(
    connection: Connection, router: str, calls: Sequence[tuple[int, Feedback]], ledger: PacingLedger
) -> list[tuple[int, Committed | RouterError]]:
    """Insert what is new in the calls. The decisions are locked, so revisions of one never race."""
    ids = {"router": router, "ids": sorted({call.decision_id for _, call in calls})}
    known = {row.id: row for row in connection.execute(_LOCK_DECISIONS, ids)}
    current: dict[str, dict[str, tuple[int, float | None]]] = {}
    for row in connection.execute(VALUES, ids):
        current.setdefault(row.decision_id, {})[row.metric] = (row.revision, row.value)
    rows: list[dict[str, Any]] = []
    answers: list[tuple[int, Committed | RouterError]] = []
    for i, call in calls:
        if call.decision_id not in known:
            answers.append((i, UnknownDecision(call.decision_id)))
            continue
        outcomes, said = {}, current.setdefault(call.decision_id, {})
        before = _in_force(said)
        for metric, value in call.metrics.items():
            revision, old = said.get(metric, (-1, None))
            outcomes[metric] = _outcome(revision, old, value)
            if outcomes[metric] is not Outcome.DUPLICATE:
                mark = {"decision_id": call.decision_id, "metric": metric, "revision": revision + 1}
                rows.append({"router": router, **mark, "value": value, "received_at": call.received_at})
                said[metric] = (revision + 1, value)
        after = _in_force(said)
        if after != before:
            ledger.correct(Correction(*known[call.decision_id][1:], before, after))
        answers.append((i, outcomes))
    if rows:
        connection.execute(insert(feedback), rows)
        marks = [{k: row[k] for k in ("router", "decision_id", "metric", "revision")} for row in rows]
        connection.execute(insert(pending), marks)
    return answers


def _in_force(said: Mapping[str, tuple[int, float | None]]) -> dict[str, float]:
    return {metric: value for metric, (_, value) in said.items() if value is not None}


def _outcome(revision: int, before: float | None, value: float | None) -> Outcome:
    if value == before:
        return Outcome.DUPLICATE
    if value is None:
        return Outcome.RETRACTED
    return Outcome.RECORDED if revision < 0 else Outcome.REVISED


def _key(put: WriteRequest) -> str | None:
    return None if isinstance(put.what, Escalation) else put.what.idempotency_key


def read_decision(connection: Connection, router: str, decision_id: str) -> Decision | None:
    statement = select(decisions).where(decisions.c.router == router, decisions.c.id == decision_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else decision_from(row)


def decisions_after(connection: Connection, router: str, decision_id: str) -> list[Decision]:
    """The decisions whose parent is this one, in order."""
    mine = decisions.c.router == router, decisions.c.parent == decision_id
    return [
        decision_from(row)
        for row in connection.execute(select(decisions).where(*mine).order_by(decisions.c.id))
    ]
