"""A call begins with its decision, ends exactly once, and says what it cost exactly once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, update

from bandit_router.learning.audit import audit_store
from bandit_router.store.store import Store
from bandit_router.store.tables import calls, feedback, pending
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import DIALECT, CallEnd, CallOutcome, Decision, Feedback, Outcome, Usage
from tests.store.examples import OpenStore, commit, decision, logged, rows, together

PRUNED = 99
"""A snapshot that is not there, so that `verify` does not recompute the PMF."""

USAGE = Usage(
    input_tokens=7,
    cache_read_tokens=5,
    cache_write_tokens=3,
    cache_write_1h_tokens=1,
    output_tokens=11,
    reasoning_tokens=2,
    service_tier="flex",
)


def begun(store: Store, **changes: Any) -> Decision:
    """A decision of the gateway that is in the log with its call."""
    made = decision(signals={DIALECT: "chat"}, snapshot=PRUNED, **changes)
    (answer,) = store.write([WriteRequest(payload=made, begins_call=True)])
    assert isinstance(answer, Decision)
    return answer


def end_of(called: Decision, cost_usd: float = 0.002, **changes: Any) -> CallEnd:
    """The end of a call that was answered."""
    said = Feedback(
        decision_id=called.id,
        metrics={"cost_usd": cost_usd, "latency_s": 1.5, "error": 0.0},
        received_at=1_700_000_002.0,
    )
    usual: dict[str, Any] = {
        "decision_id": called.id,
        "outcome": CallOutcome.ANSWERED,
        "cost_usd": cost_usd,
        "cost_reported": True,
        "ttft_s": 0.25,
        "latency_s": 1.5,
        "status": 200,
        "usage": USAGE,
        "served_model": "gpt-9-2026",
        "request_id": "req_1",
        "answer_id": "chatcmpl-1",
        "finish": "stop",
        "feedback": said,
    }
    return CallEnd(**(usual | changes))


def test_a_call_is_read_back_as_it_ended(store: Store) -> None:
    called = begun(store)
    assert store.call(called.id) is None
    assert commit(store, end_of(called)) is Outcome.RECORDED
    assert store.call(called.id) == replace(end_of(called), feedback=None)
    assert store.observation(called.id).metrics == {"cost_usd": 0.002, "latency_s": 1.5, "error": 0.0}
    assert audit_store(store).ok


def test_a_decision_whose_commit_is_repeated_has_one_call(store: Store) -> None:
    called = begun(store)
    assert begun(store, id=called.id).id == called.id
    assert rows(store, calls) == 1


def test_a_decision_that_calls_no_arm_has_no_call(store: Store) -> None:
    logged(store)
    assert rows(store, calls) == 0


def test_the_second_end_of_a_call_changes_nothing(store: Store) -> None:
    called = begun(store)
    first, second = end_of(called), end_of(called, 0.5, outcome=CallOutcome.LOST, usage=None)
    requests = [WriteRequest(payload=end) for end in (first, second)]
    assert store.write(requests) == [Outcome.RECORDED, Outcome.DUPLICATE]
    assert commit(store, second) is Outcome.DUPLICATE
    assert store.call(called.id) == replace(first, feedback=None)
    assert store.observation(called.id).metrics["cost_usd"] == 0.002


def test_workers_that_end_one_call_at_once_end_it_once(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    for _ in range(5):
        called = begun(stores[0])
        ends = [end_of(called, cost_usd=float(k + 1)) for k in range(4)]
        outcomes = together(*(partial(commit, s, e) for s, e in zip(stores, ends, strict=True)))
        assert outcomes.count(Outcome.RECORDED) == 1
        winner = ends[outcomes.index(Outcome.RECORDED)]
        assert stores[0].call(called.id) == replace(winner, feedback=None)
        assert stores[0].observation(called.id).metrics["cost_usd"] == winner.cost_usd
    assert rows(stores[0], feedback) == 5 * 3
    assert audit_store(stores[0]).ok


def test_what_a_killed_worker_leaves_is_swept_as_lost_with_the_expected_cost(store: Store) -> None:
    now = store.clock.now()
    old = begun(store, decided_at=now - 100.0, expected_cost_usd=0.03)
    young, ended = begun(store, decided_at=now - 10.0), begun(store, decided_at=now - 100.0)
    commit(store, end_of(ended))
    assert [store.sweep_calls(60.0), store.sweep_calls(60.0)] == [1, 0]
    assert store.call(old.id) == CallEnd(decision_id=old.id, outcome=CallOutcome.LOST, cost_usd=0.03)
    assert store.call(young.id) is None
    assert store.call(ended.id) == replace(end_of(ended), feedback=None)
    assert store.observation(old.id).metrics == {}
    assert commit(store, end_of(old)) is Outcome.DUPLICATE  # it was not killed, only very slow
    assert audit_store(store).ok


def test_the_decisions_of_an_answer_are_found_by_its_id(store: Store, open_store: OpenStore) -> None:
    one, two, three = begun(store), begun(store), begun(store)
    for called, answer_id in ((one, "msg_1"), (two, "msg_2"), (three, "msg_2")):
        commit(store, end_of(called, answer_id=answer_id))
    assert store.decisions_of_answer("msg_1") == [one.id]
    assert store.decisions_of_answer("msg_2") == [two.id, three.id]
    assert store.decisions_of_answer("msg_3") == []
    assert open_store("other").decisions_of_answer("msg_1") == []


def test_what_upstream_sends_is_cut_to_what_a_database_takes(store: Store) -> None:
    called = begun(store)
    wild = "a\0b\ud800" + "c" * 5_000
    end = end_of(called, answer_id=wild, error=wild, served_model=wild, finish=wild, request_id=wild)
    end = replace(end, usage=replace(USAGE, service_tier=wild))
    assert commit(store, end) is Outcome.RECORDED
    stored = store.call(called.id)
    assert stored is not None
    assert stored.answer_id == "ab?" + "c" * (255 - 4)


def test_an_end_whose_stamp_is_ahead_is_clamped(store: Store) -> None:
    called, now = begun(store), store.clock.now()
    end = end_of(called)
    assert end.feedback is not None
    commit(store, replace(end, feedback=replace(end.feedback, received_at=now + 1e6)))
    assert audit_store(store).ok
    assert store.count_clamped_stamps() == 3


@pytest.mark.parametrize("damage", ["no call", "no cost", "cost not in the log"])
def test_verify_names_a_call_that_is_not_accounted(store: Store, damage: str) -> None:
    called = begun(store)
    commit(store, end_of(called))
    with store.learner_transaction() as transaction:
        connection = transaction.connection
        if damage == "no call":
            connection.execute(delete(calls))
        elif damage == "no cost":
            connection.execute(update(calls).values(cost_usd=None))
        else:
            connection.execute(delete(pending).where(pending.c.metric == "cost_usd"))
            connection.execute(delete(feedback).where(feedback.c.metric == "cost_usd"))
    problem, *others = audit_store(store).problems
    assert called.id in problem
    assert all("roll-ups" in other for other in others), "they remember what the log has lost"
