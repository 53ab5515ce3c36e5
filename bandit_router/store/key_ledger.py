"""The key ledger: reserves what a call may cost, and settles what it cost, in the transactions of the call.

The account of a key and a day is locked first, so that of two workers the second sees what the first has
reserved. A call that does not fit is never begun.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import add
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from bandit_router.errors import KeyBudgetSpent, NoEligibleArm
from bandit_router.security.budget import (
    CallBudget,
    KeyDay,
    KeySpending,
    find_day,
    find_end_of_day,
    to_billionths,
    to_usd,
)
from bandit_router.store.engine import INSERT
from bandit_router.store.tables import key_spending
from bandit_router.types import Conversation, Decision

TOO_DEAR = "may cost more than the API key has left today"


class BudgetDecider(Protocol):
    """Decides a request again when its key's budget is too small for an arm that could have been chosen."""

    def exclude(self, mask: Mapping[str, str]) -> BudgetDecider:
        """The same without these arms; the reasons are given by arm."""

    def decide(self) -> Decision:
        """The decision with the same id. Raises NoEligibleArm."""

    def decide_again(self, conversation: Conversation | None) -> Decision:
        """The same, given the conversation as it is; None to begin it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetClaim:
    """The budget that a call is to be made on, checked in the transaction that commits its decision."""

    budget: CallBudget
    decider: BudgetDecider


class Reservation(NamedTuple):
    """What a call under way may cost, billionths of USD, and whose budget bears it."""

    key_day: KeyDay
    amount: int


class KeyCall(NamedTuple):
    """A call that a key's budget bears, and what it cost, billionths of USD; None while it is under way."""

    reservation: Reservation
    cost: int | None


class Settlement(NamedTuple):
    """A call that has ended: its reservation, and what it cost, billionths of USD."""

    reservation: Reservation
    cost: int


_OPEN = {name: into(key_spending).on_conflict_do_nothing() for name, into in INSERT.items()}
"""Two workers may begin the first calls of a day at once: the second one's row changes nothing."""

_CHANGE = update(key_spending).where(
    key_spending.c.router == bindparam("in_router"),
    key_spending.c.key_id == bindparam("of_key"),
    key_spending.c.day == bindparam("of_day"),
)


class KeyLedger:
    """The accounts of keys in one transaction: ``lock``, ``settle``, ``reserve`` and ``close``."""

    def __init__(self, connection: Connection, router: str) -> None:
        self._connection = connection
        self._router = router
        self._accounts: dict[KeyDay, KeySpending] = {}
        self._changed: set[KeyDay] = set()
        self._reservations: dict[str, Reservation] = {}

    @property
    def reservations(self) -> Mapping[str, Reservation]:
        """The reservations of this transaction, by decision."""
        return self._reservations

    def lock(self, key_days: Iterable[KeyDay]) -> None:
        """Lock the accounts to change, in the order of their keys, so that two workers never deadlock."""
        wanted = sorted(set(key_days))
        rows = [self._row_of(key_day, KeySpending()) for key_day in wanted]
        self._connection.execute(_OPEN[self._connection.dialect.name], rows)
        same = or_(*(and_(key_spending.c.key_id == key, key_spending.c.day == day) for key, day in wanted))
        locked = select(key_spending).where(key_spending.c.router == self._router, same)
        ordered = locked.order_by(key_spending.c.key_id, key_spending.c.day).with_for_update()
        for row in self._connection.execute(ordered):
            self._accounts[KeyDay(row.key_id, row.day)] = _spending_from(row)

    def settle(self, settlement: Settlement) -> None:
        """Give a reservation back, and book what the call cost instead."""
        (key_day, amount), cost = settlement
        self._add(key_day, reserved=-amount, spent=cost)

    def forget(self, call: KeyCall) -> None:
        """Keep what a call cost that the log is about to lose; one under way has cost what it reserved."""
        key_day, amount = call.reservation
        if call.cost is None:
            self._add(key_day, reserved=-amount, spent=amount, forgotten=amount)
        else:
            self._add(key_day, forgotten=call.cost)

    def reserve(self, decision: Decision, claim: BudgetClaim) -> Decision:
        """The decision to commit, with its reservation.

        Another one with the same id if an arm that could have been chosen does not fit: it is drawn from the
        arms that do, so that its propensity is exact. Raises KeyBudgetSpent if none does.
        """
        too_dear = self._find_too_dear(decision, claim.budget)
        if not too_dear.keys().isdisjoint(decision.eligible):
            try:
                decision = _keep_stamp(claim.decider.exclude(too_dear).decide(), decision)
            except NoEligibleArm:
                raise self._make_refusal(decision, claim.budget) from None
        self._reserve(decision, claim.budget)
        return decision

    def reserve_again(
        self, decision: Decision, claim: BudgetClaim, conversation: Conversation | None
    ) -> Decision:
        """The decision to commit instead of this one, whose conversation is not what it assumed.

        The arm of this one fits, so that there is always one.
        """
        key_day, amount = self._reservations.pop(decision.id)
        self._add(key_day, reserved=-amount)
        too_dear = self._find_too_dear(decision, claim.budget)
        again = _keep_stamp(claim.decider.exclude(too_dear).decide_again(conversation), decision)
        self._reserve(again, claim.budget)
        return again

    def close(self, begun: Collection[str]) -> None:
        """Write the accounts that changed, without reservations of decisions that begin no call after all."""
        for decision_id in self._reservations.keys() - begun:
            key_day, amount = self._reservations.pop(decision_id)
            self._add(key_day, reserved=-amount)
        rows = [
            {"in_router": self._router, "of_key": key_day.key_id, "of_day": key_day.day}
            | _amounts(self._accounts[key_day])
            for key_day in sorted(self._changed)
        ]
        if rows:
            self._connection.execute(_CHANGE, rows)

    def _find_too_dear(self, decision: Decision, budget: CallBudget) -> dict[str, str]:
        left = self._find_left(decision, budget)
        return {arm: TOO_DEAR for arm, usd in budget.worst_usd.items() if to_billionths(usd) > left}

    def _find_left(self, decision: Decision, budget: CallBudget) -> int:
        account = self._accounts[find_key_day(decision, budget)]
        return to_billionths(budget.usd_per_day) - account.spent - account.reserved

    def _reserve(self, decision: Decision, budget: CallBudget) -> None:
        key_day, amount = find_key_day(decision, budget), to_billionths(budget.worst_usd[decision.arm])
        self._add(key_day, reserved=amount)
        self._reservations[decision.id] = Reservation(key_day, amount)

    def _add(self, key_day: KeyDay, *, reserved: int = 0, spent: int = 0, forgotten: int = 0) -> None:
        change = KeySpending(reserved, spent, forgotten)
        self._accounts[key_day] = KeySpending(*map(add, self._accounts[key_day], change))
        self._changed.add(key_day)

    def _make_refusal(self, decision: Decision, budget: CallBudget) -> KeyBudgetSpent:
        left_usd = max(0.0, to_usd(self._find_left(decision, budget)))
        ends_at = find_end_of_day(find_day(decision.decided_at))
        return KeyBudgetSpent(left_usd, budget.usd_per_day, ends_at - decision.decided_at)

    def _row_of(self, key_day: KeyDay, account: KeySpending) -> dict[str, Any]:
        return {"router": self._router, **key_day._asdict(), **_amounts(account)}


@dataclass(frozen=True, slots=True)
class ReservingDecider:
    """Decides again for a conversation, within the budget of a decision that has a reservation."""

    ledger: KeyLedger
    decision: Decision
    claim: BudgetClaim

    def decide_again(self, conversation: Conversation | None) -> Decision:
        """The decision with the same id, given the conversation as it is; None to begin it."""
        return self.ledger.reserve_again(self.decision, self.claim, conversation)


def find_key_day(decision: Decision, budget: CallBudget) -> KeyDay:
    """The account that bears the call of a decision: that of the day on which it begins."""
    return KeyDay(budget.key_id, find_day(decision.decided_at))


def read_key_spending(connection: Connection, router: str, day: int) -> dict[str, KeySpending]:
    """What each key spent on that day and has reserved, by its id; without those that have no account."""
    of_day = key_spending.c.router == router, key_spending.c.day == day
    return {
        row.key_id: _spending_from(row) for row in connection.execute(select(key_spending).where(*of_day))
    }


def read_all_key_spending(connection: Connection, router: str) -> dict[KeyDay, KeySpending]:
    """Every account of the router."""
    rows = connection.execute(select(key_spending).where(key_spending.c.router == router))
    return {KeyDay(row.key_id, row.day): _spending_from(row) for row in rows}


def _keep_stamp(again: Decision, decision: Decision) -> Decision:
    """The new decision at the time of the one before, which was clamped and says whose day it is."""
    return replace(again, decided_at=decision.decided_at, claimed_at=decision.claimed_at)


def _spending_from(row: Any) -> KeySpending:
    return KeySpending(row.reserved_nano_usd, row.spent_nano_usd, row.forgotten_nano_usd)


def _amounts(account: KeySpending) -> dict[str, int]:
    return {f"{name}_nano_usd": amount for name, amount in account._asdict().items()}
