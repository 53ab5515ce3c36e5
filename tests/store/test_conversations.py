"""Conversations in the store: who begins one, and what becomes of a commit that is tried again."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from bandit_router.errors import UnknownDecision
from bandit_router.store.conversations import ConversationClaim
from bandit_router.store.store import Store
from bandit_router.store.tables import conversations, decisions
from bandit_router.store.tables import feedback as feedback_table
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Conversation, Decision, Reason
from tests.store.examples import OpenStore, commit, decision, feedback, logged, rows, set_up
from tests.store.forced import deadlocks, uncommitted, wait_until_one_waits


def step(conversation: str = "c", *, known: Conversation | None = None, **changes: Any) -> WriteRequest:
    """A decision for "cheap" that begins a conversation, or goes by what is known of it."""
    made = decision(**({"conversation": conversation} | changes))
    choice = None if known is None else known.choice
    claim = ConversationClaim(expiry_cutoff=0.0, expected_choice=choice, decider=Keeping(made))
    return WriteRequest(payload=made, claim=claim)


@dataclasses.dataclass(frozen=True)
class Keeping:
    """Decides again for the arm of the conversation."""

    made: Decision

    def decide_again(self, conversation: Conversation | None) -> Decision:
        return (
            self.made if conversation is None else dataclasses.replace(self.made, **sticky(conversation.arm))
        )


def sticky(arm: str) -> dict[str, Any]:
    pmf = (1.0, 0.0) if arm == "cheap" else (0.0, 1.0)
    return {"arm": arm, "pmf": pmf, "propensity": 1.0, "reason": Reason.STICKY}


def promoted(known: Conversation) -> WriteRequest:
    return step(known=known, **sticky("dear") | {"reason": Reason.PROMOTION, "parent": known.choice})


def write(store: Store, *batch: WriteRequest) -> list[Decision]:
    answers = store.write(batch)
    assert all(isinstance(answer, Decision) for answer in answers), answers
    return answers  # type: ignore[return-value]


def standing(store: Store) -> Conversation:
    found = store.conversation("c")
    assert found is not None
    return found


def test_the_first_decision_begins_a_conversation(store: Store) -> None:
    assert store.conversation("c") is None
    (first,) = write(store, step())
    at = first.decided_at
    expected = Conversation(id="c", arm="cheap", choice=first.id, started_at=at, seen_at=at)
    assert standing(store) == expected


def test_of_two_in_one_batch_the_first_begins_it(store: Store) -> None:
    first, second = write(store, step(**sticky("dear") | {"reason": Reason.POLICY}), step())
    assert (second.arm, second.reason) == ("dear", Reason.STICKY)
    assert standing(store).choice == first.id
    assert store.decision(second.id).arm == "dear"


def test_a_step_moves_only_the_time_it_was_heard_of(store: Store) -> None:
    (first,) = write(store, step())
    known = standing(store)
    write(store, step(known=known, decided_at=first.decided_at + 5.0, **sticky("cheap")))
    write(store, step(known=known, decided_at=first.decided_at + 2.0, **sticky("cheap")))  # late
    assert standing(store) == dataclasses.replace(known, seen_at=first.decided_at + 5.0)


def test_a_promotion_is_the_new_choice_and_the_only_one(store: Store) -> None:
    write(store, step())
    known = standing(store)
    one, other = promoted(known), promoted(known)
    winner, loser = write(store, one, other)
    assert (winner.reason, loser.reason) == (Reason.PROMOTION, Reason.STICKY)
    now = standing(store)
    assert (now.arm, now.choice, now.promoted) == ("dear", winner.id, True)
    assert now.started_at == known.started_at


def test_feedback_and_plain_decisions_have_no_part_in_it(store: Store) -> None:
    commit(store, decision(conversation="c"))
    assert rows(store, conversations) == 0


# -- again, because the answer was lost -----------------------------------------------------------


def test_a_commit_whose_answer_was_lost_is_answered_with_what_was_committed(store: Store) -> None:
    began = step()
    (first,) = write(store, began)
    joined = step()
    (second,) = write(store, joined)
    promotion = promoted(standing(store))
    (third,) = write(store, promotion)
    before = standing(store), rows(store, decisions)
    again = write(store, began, joined, promotion)
    assert [one.id for one in again] == [first.id, second.id, third.id]
    assert [(one.arm, one.reason) for one in again] == [
        ("cheap", Reason.POLICY),
        ("cheap", Reason.STICKY),
        ("dear", Reason.PROMOTION),
    ]
    assert (standing(store), rows(store, decisions)) == before


@pytest.mark.parametrize("at", range(6))
def test_a_commit_that_fails_leaves_nothing_behind_and_is_tried_again(store: Store, at: int) -> None:
    """The connection breaks at any of the statements, or at the commit."""
    failures = iter([True])
    statements = iter(range(100))

    def fail(*_: Any) -> None:
        if next(statements) == at and next(failures, False):
            raise OperationalError("lost", {}, Exception("lost"))

    event.listen(store._engine, "before_cursor_execute", fail)
    try:
        (first,) = write(store, step())
    finally:
        event.remove(store._engine, "before_cursor_execute", fail)
    assert standing(store).choice == first.id
    assert (rows(store, decisions), rows(store, conversations)) == (1, 1)


# -- at the same moment ---------------------------------------------------------------------------


def test_whoever_begins_it_second_waits_and_joins(postgresql_url: str) -> None:
    store = _open(postgresql_url)
    try:
        with ThreadPoolExecutor(1) as thread:
            mine = step(**sticky("dear") | {"reason": Reason.POLICY})
            with uncommitted(postgresql_url, mine):
                theirs = thread.submit(write, store, step())
                wait_until_one_waits(postgresql_url)
            (second,) = theirs.result()
        assert (second.arm, second.reason) == ("dear", Reason.STICKY)
        assert standing(store).choice == mine.payload.id  # type: ignore[union-attr]
    finally:
        store.close()


def test_where_the_first_gives_up_the_second_begins_it(postgresql_url: str) -> None:
    store = _open(postgresql_url)
    try:
        with ThreadPoolExecutor(1) as thread:
            with uncommitted(postgresql_url, step(), commit=False):
                theirs = thread.submit(write, store, step())
                wait_until_one_waits(postgresql_url)
            (second,) = theirs.result()
        assert second.reason is Reason.POLICY
        assert standing(store).choice == second.id
    finally:
        store.close()


def test_of_two_promotions_the_second_waits_and_joins(postgresql_url: str) -> None:
    store = _open(postgresql_url)
    try:
        write(store, step())
        known = standing(store)
        with ThreadPoolExecutor(1) as thread:
            with uncommitted(postgresql_url, promoted(known)):
                theirs = thread.submit(write, store, promoted(known))
                wait_until_one_waits(postgresql_url)
            (second,) = theirs.result()
        assert second.reason is Reason.STICKY
        assert standing(store).choice != second.id
    finally:
        store.close()


@pytest.mark.parametrize("known", [False, True])
def test_a_batch_takes_its_locks_in_order(postgresql_url: str, known: bool) -> None:
    """Another transaction takes the conversations in order, while the batch names them the other way."""
    store = _open(postgresql_url)
    try:
        if known:
            write(store, step("a"), step("b"))
        with ThreadPoolExecutor(1) as thread, uncommitted(postgresql_url, step("a")) as then:
            batch = thread.submit(write, store, step("b"), step("a"))
            wait_until_one_waits(postgresql_url)
            then(step("b"))
        assert {one.reason for one in batch.result()} == {Reason.STICKY}
    finally:
        store.close()
    assert deadlocks(postgresql_url) == 0


def _open(url: str) -> Store:
    return set_up(Store.open(url, "r"))


# -- an override instead of an earlier answer -----------------------------------------------------


def override(parent: str, **changes: Any) -> Decision:
    return decision(**({"reason": Reason.OVERRIDE, "parent": parent} | changes))


def test_an_override_says_of_the_decision_it_replaces_that_it_was_overridden(store: Store) -> None:
    known = logged(store)
    new = commit(store, override(known.id))
    assert isinstance(new, Decision)
    assert store.observation(known.id).metrics == {"override": 1.0}
    assert [child.id for child in store.child_decisions(known.id)] == [new.id]
    assert store.pending_batch(("reward",), 1) is not None


def test_what_it_says_can_be_taken_back_and_is_not_said_again_by_a_retry(store: Store) -> None:
    known = logged(store)
    again = override(known.id)
    commit(store, again)
    commit(store, feedback(known, override=None))
    commit(store, again)
    assert store.observation(known.id).metrics == {}
    assert rows(store, feedback_table) == 2


def test_instead_of_an_unknown_decision_nothing_is_logged(store: Store) -> None:
    lost, fine = override("unknown"), decision()
    answers = store.write([WriteRequest(payload=lost), WriteRequest(payload=fine)])
    assert isinstance(answers[0], UnknownDecision)
    assert isinstance(answers[1], Decision)
    assert rows(store, decisions) == 1


def test_other_decisions_with_a_parent_say_nothing_of_it(store: Store) -> None:
    known = logged(store)
    commit(store, decision(reason=Reason.ESCALATION, parent=known.id))
    assert store.observation(known.id).metrics == {}


def test_followers_are_found_in_order_and_by_router(open_store: OpenStore) -> None:
    store, other = open_store(), open_store("other")
    known = logged(store)
    commit(other, dataclasses.replace(known))
    ids = [commit(store, override(known.id)).id for _ in range(3)]  # type: ignore[union-attr]
    assert [child.id for child in store.child_decisions(known.id)] == sorted(ids)
    assert other.child_decisions(known.id) == []
