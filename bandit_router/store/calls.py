"""The calls of the gateway: each begins with its decision, and ends exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from bandit_router.security.budget import KeyDay, to_billionths
from bandit_router.store.decisions import SLICE_COLUMNS
from bandit_router.store.key_ledger import KeyCall, Reservation, Settlement
from bandit_router.store.rollups.tally import Tally, find_slice
from bandit_router.store.tables import calls, decisions
from bandit_router.types import CallEnd, CallOutcome, CallResult, Decision, Usage

_ID_CHARS = 255
_TIER_CHARS = 32
_TEXT_CHARS = 2_000
_USAGE = [field.name for field in fields(Usage)]
_PLAIN = [field.name for field in fields(CallResult) if field.name not in ("outcome", "usage")]
_UNDER_WAY = calls.c.outcome.is_(None)
_OF_DECISION = (decisions.c.router == calls.c.router) & (decisions.c.id == calls.c.decision_id)
_INSERT = insert(calls)
_LOCK_UNDER_WAY = (
    select(
        calls.c.decision_id,
        calls.c.key_id.label("budget_key"),
        calls.c.day,
        calls.c.reserved_nano_usd,
        *SLICE_COLUMNS,
    )
    .join(decisions, _OF_DECISION)
    .where(
        calls.c.router == bindparam("router"),
        calls.c.decision_id.in_(bindparam("ids", expanding=True)),
        _UNDER_WAY,
    )
    .order_by(calls.c.decision_id)
    .with_for_update(of=calls)
)
_END = update(calls).where(
    calls.c.router == bindparam("in_router"), calls.c.decision_id == bindparam("of_decision"), _UNDER_WAY
)


def insert_calls(
    connection: Connection, router: str, begun: Sequence[Decision], reserved: Mapping[str, Reservation]
) -> None:
    """Insert the calls that begin with these decisions, which are new in the log, and what they reserved."""
    rows = [
        {"router": router, "decision_id": decision.id, "started_at": decision.decided_at}
        | _reservation_columns(reserved.get(decision.id))
        for decision in begun
    ]
    connection.execute(_INSERT, rows)


def end_calls(
    connection: Connection, router: str, ends: Sequence[CallEnd], tally: Tally
) -> tuple[list[bool], list[Settlement]]:
    """End the calls that are under way; for each end, whether it is the first of its call.

    Also what there is to settle with the budgets of keys; ``tally`` collects how they ended. The calls are
    locked first, so that of two transactions that end one call the second changes nothing.
    """
    ids = sorted({end.decision_id for end in ends})
    locked = connection.execute(_LOCK_UNDER_WAY, {"router": router, "ids": ids})
    under_way = {row.decision_id: row for row in locked}
    is_first, rows, settlements = [], [], []
    for end in ends:
        row = under_way.pop(end.decision_id, None)
        is_first.append(row is not None)
        if row is None:
            continue
        rows.append({"in_router": router, "of_decision": end.decision_id, **result_columns(end)})
        tally.add_call(find_slice(row), end.outcome)
        if row.budget_key is not None:
            reservation = Reservation(KeyDay(row.budget_key, row.day), row.reserved_nano_usd)
            settlements.append(Settlement(reservation, to_billionths(end.cost_usd)))
    if rows:
        connection.execute(_END, rows)
    return is_first, settlements


def read_key_calls(
    connection: Connection, router: str, ids: Sequence[str] | None = None
) -> Iterator[KeyCall]:
    """The calls that budgets of keys bear; only those of these decisions, if ids are given."""
    columns = calls.c.key_id, calls.c.day, calls.c.outcome, calls.c.reserved_nano_usd, calls.c.cost_usd
    of_keys = select(*columns).where(calls.c.router == router, calls.c.key_id.is_not(None))
    if ids is not None:
        of_keys = of_keys.where(calls.c.decision_id.in_(ids))
    for row in connection.execute(of_keys):
        reservation = Reservation(KeyDay(row.key_id, row.day), row.reserved_nano_usd)
        yield KeyCall(reservation, None if row.outcome is None else to_billionths(row.cost_usd))


def select_abandoned(connection: Connection, router: str, before: float, most: int) -> list[CallEnd]:
    """The ends, as lost, of calls that began before this Unix time and have not ended, oldest first.

    The cost is the one expected of the decision, which its budget has booked already.
    """
    abandoned = (
        select(calls.c.decision_id, decisions.c.expected_cost_usd)
        .join(decisions, _OF_DECISION)
        .where(calls.c.router == router, calls.c.started_at < before, _UNDER_WAY)
        .order_by(calls.c.started_at)
        .limit(most)
    )
    return [
        CallEnd(decision_id=decision_id, outcome=CallOutcome.LOST, cost_usd=expected_usd)
        for decision_id, expected_usd in connection.execute(abandoned)
    ]


def read_call(connection: Connection, router: str, decision_id: str) -> CallEnd | None:
    """How the call of a decision ended; None when it has not, or there is none."""
    of_decision = calls.c.router == router, calls.c.decision_id == decision_id
    row = connection.execute(select(calls).where(*of_decision)).one_or_none()
    if row is None or row.outcome is None:
        return None
    return CallEnd(decision_id=decision_id, **read_result(row))


def read_result(row: Row[Any]) -> dict[str, Any]:
    """The fields of the :class:`CallResult` in a row of a call that has ended."""
    usage = None if row.input_tokens is None else Usage(**{name: getattr(row, name) for name in _USAGE})
    return {name: getattr(row, name) for name in _PLAIN} | {
        "outcome": CallOutcome(row.outcome),
        "usage": usage,
    }


def read_decisions_of_answer(connection: Connection, router: str, answer_id: str, most: int = 2) -> list[str]:
    """The ids of the decisions whose call was answered with this id, oldest first."""
    of_answer = calls.c.router == router, calls.c.answer_id == answer_id
    statement = select(calls.c.decision_id).where(*of_answer).order_by(calls.c.decision_id).limit(most)
    return list(connection.scalars(statement))


def _reservation_columns(reservation: Reservation | None) -> dict[str, Any]:
    if reservation is None:
        return {"key_id": None, "day": None, "reserved_nano_usd": None}
    return reservation.key_day._asdict() | {"reserved_nano_usd": reservation.amount}


def result_columns(end: CallResult) -> dict[str, Any]:
    """The columns that the end of a call sets."""
    return {
        "outcome": end.outcome.value,
        "ttft_s": end.ttft_s,
        "latency_s": end.latency_s,
        "status": end.status,
        "cost_usd": end.cost_usd,
        "cost_reported": end.cost_reported,
        "served_model": _storable(end.served_model),
        "request_id": _storable(end.request_id),
        "answer_id": _storable(end.answer_id, _ID_CHARS),
        "finish": _storable(end.finish),
        "error": _storable(end.error),
        **_usage_columns(end.usage),
    }


def _usage_columns(usage: Usage | None) -> dict[str, Any]:
    columns = {name: getattr(usage, name, None) for name in _USAGE}
    return columns | {"service_tier": _storable(columns["service_tier"], _TIER_CHARS)}


def _storable(text: str | None, most: int = _TEXT_CHARS) -> str | None:
    """The text that upstream sent, without what a database refuses."""
    if text is None:
        return None
    return text[:most].replace("\0", "").encode(errors="replace").decode()
