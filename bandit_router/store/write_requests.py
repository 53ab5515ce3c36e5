"""The write path: a batch of write requests in one transaction, each applied exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy import Connection

from bandit_router.errors import IdempotencyConflict, KeyBudgetSpent, RouterError, UnknownDecision
from bandit_router.security.influence import FeedbackKey
from bandit_router.store.calls import end_calls, insert_calls
from bandit_router.store.conversations import ConversationClaim, apply_claims
from bandit_router.store.decisions import (
    insert_decisions,
    read_decision,
    read_slices,
    select_logged_ids,
)
from bandit_router.store.escalations import confidence_feedback, insert_escalations
from bandit_router.store.feedback import GivenFeedback, insert_feedback
from bandit_router.store.idempotency import KeyedAnswer, insert_keys, read_keys, restore_answer
from bandit_router.store.key_ledger import (
    BudgetClaim,
    KeyLedger,
    ReservingDecider,
    Settlement,
    find_key_day,
)
from bandit_router.store.pacing_ledger import PacingLedger
from bandit_router.store.rollups.deltas import insert_delta
from bandit_router.store.rollups.tally import Slice, Tally
from bandit_router.types import CallEnd, Decision, Escalation, Feedback, Outcome, Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteRequest:
    """A decision, feedback, an escalation or the end of a call. ``digest`` identifies the request of a key.

    With a ``claim`` another decision may be committed instead: the one that its conversation calls for.
    ``begins_call`` says that the arm of the decision, or of the retry, is called as soon as it is committed;
    with a ``budget`` only if the call may cost no more than is left of it, and maybe of another arm.
    ``feedback_key`` is the API key that feedback came with.
    """

    payload: Decision | Feedback | Escalation | CallEnd
    digest: str = ""
    claim: ConversationClaim | None = None
    begins_call: bool = False
    budget: BudgetClaim | None = None
    feedback_key: FeedbackKey | None = None

    @property
    def decision(self) -> Decision | None:
        """The decision that it would add to the log."""
        if isinstance(self.payload, Escalation):
            return self.payload.decision
        return self.payload if isinstance(self.payload, Decision) else None

    @property
    def can_wait(self) -> bool:
        """Whether nobody waits for it, so that it may be committed with the next write."""
        return isinstance(self.payload, CallEnd)

    @property
    def idempotency_key(self) -> str | None:
        """The caller's key; an escalation or a call has none, its decision is the key."""
        return None if isinstance(self.payload, Escalation | CallEnd) else self.payload.idempotency_key


Committed = Decision | dict[str, Outcome] | Escalation | Outcome
"""The result of a write request: the decision or escalation in force, the outcome of each metric, or whether
the end of a call was its first."""

WriteResult = Committed | RouterError
"""The result that a caller gets, or the error to raise."""

_Payload = TypeVar("_Payload", Decision, Feedback, Escalation, CallEnd)


@dataclass(slots=True, eq=False)
class _Write:
    """One request of a batch on its way to its answer.

    ``original`` is the first write of the batch with the same new key, where that is another one.
    """

    request: WriteRequest
    answer: WriteResult | None = None
    original: _Write | None = None


class WriteBatch:
    """A batch of write requests, applied in the connection's transaction.

    ``ledger`` collects every decision inserted and every change of a decision's metrics; ``new_decisions``
    are those inserted.
    """

    def __init__(
        self,
        connection: Connection,
        router: str,
        requests: Sequence[WriteRequest],
        ledger: PacingLedger | None = None,
    ) -> None:
        self._connection = connection
        self._router = router
        self._ledger = ledger or PacingLedger()
        self._key_ledger = KeyLedger(connection, router)
        self._tally = Tally()
        self._writes = [_Write(request) for request in requests]
        self._fresh: list[_Write] = []
        self._new_escalations: list[Escalation] = []
        self.new_decisions: list[Decision] = []
        self._call_feedback: list[Feedback] = []
        self._settlements: list[Settlement] = []

    def apply(self) -> list[WriteResult]:
        """Apply the whole batch; an answer or an error for each request, in order.

        A request whose idempotency key was used before gets the answer of then and changes nothing. The
        order of the steps is the order of their locks.
        """
        self._answer_repeated_keys()
        self._end_calls()
        self._settle_budgets()
        self._settle_decisions()
        self._refuse_lost_replacements()
        self._settle_escalations()
        self._insert_decisions()
        self._begin_calls()
        self._insert_feedback()
        self._insert_keys()
        insert_delta(self._connection, self._router, self._tally)
        self._answer_duplicates()
        return [write.answer for write in self._writes]  # type: ignore[misc]  # every write has one by now

    def _answer_repeated_keys(self) -> None:
        """Answer the keys used before, and find the duplicates of new ones; the rest is fresh."""
        keyed = [(key, write) for write in self._writes if (key := write.request.idempotency_key) is not None]
        stored = read_keys(self._connection, self._router, [key for key, _ in keyed]) if keyed else {}
        originals: dict[str, _Write] = {}
        for key, write in keyed:
            earlier = stored.get(key) or originals.setdefault(key, write).request
            if earlier.digest != write.request.digest:
                write.answer = IdempotencyConflict(key)
            elif key in stored:
                write.answer = restore_answer(self._connection, self._router, stored[key].answer)
            elif originals[key] is not write:
                write.original = originals[key]
        self._fresh = [write for write in self._writes if write.answer is None and write.original is None]

    def _end_calls(self) -> None:
        """End calls; only the first end of a call says something of its decision."""
        requested = self._select_fresh(CallEnd)
        if requested:
            first, self._settlements = end_calls(
                self._connection, self._router, [end for _, end in requested], self._tally
            )
            for (write, end), is_first in zip(requested, first, strict=True):
                write.answer = Outcome.RECORDED if is_first else Outcome.DUPLICATE
                if is_first and end.feedback is not None:
                    self._call_feedback.append(end.feedback)

    def _settle_budgets(self) -> None:
        """Settle what has ended with the budgets of keys, then reserve what begins, or refuse it."""
        beginning = [
            (write, decision, claim)
            for write, decision in self._select_fresh(Decision)
            if (claim := write.request.budget) is not None
        ]
        key_days = [settlement.reservation.key_day for settlement in self._settlements]
        key_days += [find_key_day(decision, claim.budget) for _, decision, claim in beginning]
        if not key_days:
            return
        self._key_ledger.lock(key_days)
        for settlement in self._settlements:
            self._key_ledger.settle(settlement)
        ids = [decision.id for _, decision, _ in beginning]
        logged = select_logged_ids(self._connection, self._router, ids) if ids else set()
        for write, decision, claim in beginning:
            if decision.id in logged:  # it was committed before, and only its answer was lost
                write.answer = self._read_decision(decision.id)
                continue
            try:
                write.answer = self._key_ledger.reserve(decision, claim)
            except KeyBudgetSpent as refusal:
                write.answer = refusal

    def _settle_decisions(self) -> None:
        """Answer each request for a decision with the one that its conversation calls for."""
        claimed = []
        for write, requested in self._select_fresh(Decision):
            decision = write.answer or requested
            if not isinstance(decision, Decision):  # it is refused
                continue
            write.answer = decision
            if (claim := write.request.claim) is not None:
                if write.request.budget is not None:
                    decider = ReservingDecider(self._key_ledger, decision, write.request.budget)
                    claim = replace(claim, decider=decider)
                claimed.append((write, (decision, claim)))
        if claimed:
            claims = [claim for _, claim in claimed]
            settled = apply_claims(self._connection, self._router, claims, self._read_decision)
            for (write, _), decision in zip(claimed, settled, strict=True):
                write.answer = decision

    def _refuse_lost_replacements(self) -> None:
        """Refuse each replacement of a decision that is not in the log."""
        replaced = [
            (write, str(write.answer.parent))
            for write in self._fresh
            if isinstance(write.answer, Decision) and _is_replacement(write.answer)
        ]
        if replaced:
            logged = select_logged_ids(self._connection, self._router, [parent for _, parent in replaced])
            for write, parent in replaced:
                if parent not in logged:
                    write.answer = UnknownDecision(parent)

    def _settle_escalations(self) -> None:
        """Answer each request for an escalation with the one in force."""
        requested, slices = self._select_logged_escalations()
        if requested:
            in_force, self._new_escalations = insert_escalations(
                self._connection, self._router, [request for _, request in requested], self._read_decision
            )
            for write, request in requested:
                write.answer = in_force[request.parent]
            for new in self._new_escalations:
                self._tally.add_escalation(slices[new.parent], retried=not new.accepted)

    def _select_logged_escalations(self) -> tuple[list[tuple[_Write, Escalation]], dict[str, Slice]]:
        """The requests for escalations, and where their decisions belong in roll-ups.

        One of a decision that was forgotten meanwhile is refused.
        """
        requested = self._select_fresh(Escalation)
        if not requested:
            return [], {}
        parents = [request.parent for _, request in requested]
        logged = read_slices(self._connection, self._router, parents)
        for write, request in requested:
            if request.parent not in logged:
                write.answer = UnknownDecision(request.parent)
        return [(write, request) for write, request in requested if request.parent in logged], logged

    def _insert_decisions(self) -> None:
        """Insert and book the decisions and the retries that are not in the log; each id once."""
        settled = [write.answer for write in self._fresh if isinstance(write.answer, Decision)]
        retries = [new.decision for new in self._new_escalations if new.decision is not None]
        unique: dict[str, Decision] = {}
        for decision in [*settled, *retries]:
            unique.setdefault(decision.id, decision)
        if unique:
            inserted = insert_decisions(self._connection, self._router, list(unique.values()))
            self.new_decisions = [decision for decision in unique.values() if decision.id in inserted]
            self._ledger.book(self.new_decisions)
            for decision in self.new_decisions:
                self._tally.add_decision(decision)

    def _begin_calls(self) -> None:
        """Insert the calls of the new decisions that begin one, and write the budgets of keys."""
        answers = (write.answer for write in self._fresh if write.request.begins_call)
        decided = (answer.decision if isinstance(answer, Escalation) else answer for answer in answers)
        calling = {decision.id for decision in decided if isinstance(decision, Decision)}
        begun = [decision for decision in self.new_decisions if decision.id in calling]
        if begun:
            insert_calls(self._connection, self._router, begun, self._key_ledger.reservations)
        self._key_ledger.close([decision.id for decision in begun])

    def _insert_feedback(self) -> None:
        """Insert what callers and calls report, the confidences judged, and what replacements say."""
        reports = self._select_fresh(Feedback)
        own = [*self._call_feedback]
        own += [said for new in self._new_escalations for said in confidence_feedback(new)]
        own += [_override_feedback(new) for new in self.new_decisions if _is_replacement(new)]
        calls = [GivenFeedback(said, write.request.feedback_key) for write, said in reports]
        calls += map(GivenFeedback, own)
        if calls:
            outcomes = insert_feedback(self._connection, self._router, calls, self._ledger, self._tally)
            for (write, _), outcome in zip(reports, outcomes, strict=False):  # reports come first
                write.answer = outcome

    def _insert_keys(self) -> None:
        """Store the keys of the requests that were answered; a refused request may be sent again."""
        answers = [
            KeyedAnswer(key, write.request.digest, write.answer, _find_decision_id(write))
            for write in self._fresh
            if (key := write.request.idempotency_key) is not None
            and isinstance(write.answer, Decision | dict)
        ]
        insert_keys(self._connection, self._router, answers)

    def _answer_duplicates(self) -> None:
        """Give each duplicate within the batch the answer of its original."""
        for write in self._writes:
            if write.original is not None:
                write.answer = write.original.answer

    def _select_fresh(self, kind: type[_Payload]) -> list[tuple[_Write, _Payload]]:
        """The fresh writes with a payload of this kind, and the payload of each."""
        return [
            (write, payload) for write in self._fresh if isinstance(payload := write.request.payload, kind)
        ]

    def _read_decision(self, decision_id: str) -> Decision | None:
        return read_decision(self._connection, self._router, decision_id)


def _find_decision_id(write: _Write) -> str:
    """The decision that the answer to a keyed request is, or that its feedback was on."""
    if isinstance(write.answer, Decision):
        return write.answer.id
    assert isinstance(write.request.payload, Feedback)
    return write.request.payload.decision_id


def _is_replacement(decision: Decision) -> bool:
    """Whether the caller named another model because the parent's answer was not good enough."""
    return decision.reason is Reason.OVERRIDE and decision.parent is not None


def _override_feedback(decision: Decision) -> Feedback:
    """Feedback on the parent: its answer was overridden."""
    return Feedback(
        decision_id=str(decision.parent),
        metrics={"override": 1.0},
        received_at=decision.decided_at,
        claimed_at=decision.claimed_at,
    )
