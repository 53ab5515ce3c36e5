"""What every store must do, whatever the database: each check takes a way to open stores on a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sqlalchemy import Connection, event, select

from bandit_router.errors import StoreError, UnknownDecision
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, feedback, pending
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Arm, Decision, Outcome, Reason
from tests.contracts.store_administration import ADMINISTRATION
from tests.contracts.store_influence import INFLUENCE
from tests.contracts.store_keys import IDEMPOTENCY
from tests.contracts.store_users import USERS
from tests.store.examples import OpenStore, commit, decision, fields, logged, rows, said, together
from tests.store.examples import feedback as about

RECORDED, REVISED, RETRACTED, DUPLICATE = (
    Outcome.RECORDED,
    Outcome.REVISED,
    Outcome.RETRACTED,
    Outcome.DUPLICATE,
)

_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=36)
_TUPLES = st.lists(_FINITE, max_size=4).map(tuple)
_DECISIONS = st.builds(
    decision,
    decided_at=st.floats(max_value=1.7e9, allow_infinity=False),  # a time ahead of now would be clamped
    x=arrays(np.float64, st.integers(0, 9)),
    schema_id=_TEXT,
    eligible=st.lists(_TEXT, max_size=4).map(tuple),
    pmf=_TUPLES,
    expected_costs_usd=_TUPLES,
    arm=_TEXT,
    propensity=_FINITE,
    reason=st.sampled_from(Reason),
    policy=_TEXT,
    snapshot=st.integers(0, 2**63 - 1),
    cost_weight=_FINITE,
    expected_quality=_FINITE,
    expected_cost_usd=_FINITE,
    conversation=st.none() | _TEXT,
    parent=st.none() | _TEXT,
    query=st.none() | _TEXT,
    user=st.none() | _TEXT,
).filter(lambda made: made.reason is not Reason.OVERRIDE or made.parent is None)  # it would have to be known


# -- decisions ------------------------------------------------------------------------------------


def a_decision_is_read_back_as_it_was_written(open_store: OpenStore) -> None:
    store = open_store()

    @settings(max_examples=60)
    @given(_DECISIONS)
    def check(written: Decision) -> None:
        commit(store, written)
        assert fields(store.decision(written.id)) == fields(written)

    check()


def a_decision_written_twice_is_one_row(open_store: OpenStore) -> None:
    store, written = open_store(), decision()
    first, again = commit(store, written), commit(store, written)
    assert isinstance(first, Decision)
    assert isinstance(again, Decision)
    assert fields(first) == fields(again)
    assert rows(store, decisions) == 1


def a_decision_of_another_router_is_unknown(open_store: OpenStore) -> None:
    mine, theirs = open_store("r"), open_store("s")
    known = logged(mine)
    with pytest.raises(UnknownDecision):
        theirs.decision(known.id)
    with pytest.raises(UnknownDecision):
        theirs.observation(known.id)
    with pytest.raises(UnknownDecision):
        commit(theirs, about(known, quality=1.0))


# -- feedback -------------------------------------------------------------------------------------


def every_change_of_a_metric_has_its_outcome(open_store: OpenStore) -> None:
    store = open_store()
    known = logged(store)
    values = (None, 0.5, 0.5, 0.25, None, None, 0.25, 0.25)
    outcomes = [said(store, known, quality=value)["quality"] for value in values]
    assert outcomes == [
        DUPLICATE,
        RECORDED,
        DUPLICATE,
        REVISED,
        RETRACTED,
        DUPLICATE,
        REVISED,
        DUPLICATE,
    ]
    assert store.observation(known.id).metrics == {"quality": 0.25}


def metrics_of_one_decision_do_not_touch_each_other(open_store: OpenStore) -> None:
    store = open_store()
    known = logged(store)
    assert said(store, known, quality=0.5, cost_usd=0.02) == {"quality": RECORDED, "cost_usd": RECORDED}
    changes = said(store, known, quality=None, cost_usd=0.02, latency_s=3.0)
    assert changes == {"quality": RETRACTED, "cost_usd": DUPLICATE, "latency_s": RECORDED}
    assert store.observation(known.id).metrics == {"cost_usd": 0.02, "latency_s": 3.0}


def every_feedback_row_has_one_pending_mark(open_store: OpenStore) -> None:
    store = open_store()
    for value in (0.5, 0.25, None):
        known = logged(store)
        said(store, known, quality=value, error=0.0)
        said(store, known, quality=1.0)
    identity = ("decision_id", "metric", "revision")
    with store.read_log() as audit:
        of = [
            sorted(map(tuple, audit.connection.execute(select(*(table.c[name] for name in identity)))))
            for table in (feedback, pending)
        ]
    assert of[0] == of[1]
    assert len(of[0]) == 3 + 3 + 2


def feedback_about_an_unknown_decision_fails_alone(open_store: OpenStore) -> None:
    store, known = open_store(), decision()
    answers = store.write(
        [
            WriteRequest(payload=known),
            WriteRequest(payload=about("nobody", quality=1.0)),
            WriteRequest(payload=about(known, quality=0.5)),
        ]
    )
    assert isinstance(answers[1], UnknownDecision)
    assert answers[2] == {"quality": RECORDED}
    assert rows(store, feedback) == rows(store, pending) == 1


def repetitions_in_one_batch_count_once(open_store: OpenStore) -> None:
    store, rollbacks = open_store(), list[Connection]()
    known = logged(store)
    event.listen(store._engine, "rollback", rollbacks.append)
    values = (0.5, 0.5, 0.25, 0.25, None)
    answers = store.write([WriteRequest(payload=about(known, quality=value)) for value in values])
    outcomes = (RECORDED, DUPLICATE, REVISED, DUPLICATE, RETRACTED)
    assert answers == [{"quality": outcome} for outcome in outcomes]
    assert not rollbacks, "it was committed in pieces"
    assert rows(store, feedback) == 3
    assert store.observation(known.id).metrics == {}


def revisions_by_many_workers_are_all_kept_in_a_row(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    known = logged(stores[0])
    values = iter(np.linspace(0.0, 1.0, 40).tolist())

    def revise(store: Store, mine: list[float]) -> list[Outcome]:
        return [said(store, known, quality=value)["quality"] for value in mine]

    shares = [[next(values) for _ in range(10)] for _ in stores]
    outcomes = together(*(lambda s=s, m=m: revise(s, m) for s, m in zip(stores, shares, strict=True)))
    assert sorted(chain.from_iterable(outcomes)) == [RECORDED] + [REVISED] * 39
    with stores[0].read_log() as audit:
        revisions = audit.connection.scalars(select(feedback.c.revision).order_by(feedback.c.revision))
        assert list(revisions) == list(range(40))


def an_audit_sees_one_moment_while_others_write(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    known = logged(store)
    with store.read_log() as audit:
        assert audit.pending() == set()
        said(other, known, quality=0.5)
        logged(other)
        assert audit.pending() == set()
        assert len(list(audit.decisions())) == 1
        assert list(audit.observations()) == []
    with store.read_log() as audit:
        assert audit.pending() == {known.id}
        assert len(list(audit.decisions())) == 2


# -- failures -------------------------------------------------------------------------------------


def a_row_the_database_refuses_fails_alone(open_store: OpenStore) -> None:
    store, good = open_store(), [decision() for _ in range(7)]
    bad = [
        decision(propensity=None),  # the database says no
        decision(query="\ud800"),  # the driver cannot encode it
        decision(snapshot=2**63),  # one of them says no
        decision(eligible=(object(),)),  # it is no JSON
    ]
    batch = [good[0], bad[0], *good[1:4], bad[1], bad[2], good[4], bad[3], *good[5:]]
    answers = store.write([WriteRequest(payload=what) for what in batch])
    for what, answer in zip(batch, answers, strict=True):
        assert isinstance(answer, StoreError) == any(what is one for one in bad)
    assert rows(store, decisions) == len(good)


def a_batch_of_bad_rows_fails_row_by_row(open_store: OpenStore) -> None:
    store = open_store()
    answers = store.write([WriteRequest(payload=decision(propensity=None)) for _ in range(3)])
    assert [type(answer) for answer in answers] == [StoreError] * 3
    assert rows(store, decisions) == 0


# -- the router and its arms ----------------------------------------------------------------------


def a_new_router_is_made_once_by_many_workers(open_store: OpenStore) -> None:
    stores = [open_store(name) for name in ("r", "s", "t", "u")]
    for name in ("v", "w", "x"):
        for store in stores:
            store.router = name
        together(*(lambda s=s: s.create_router("schema", b"first", {"quality": 1.0}) for s in stores))
        assert stores[0].published() == (1, 0, b"first", [])


def a_router_that_exists_keeps_its_snapshot(open_store: OpenStore) -> None:
    store = open_store()
    before = store.published()
    store.create_router("another schema", b"another state", {})
    assert store.published() == before


def a_router_that_was_never_made_has_no_head(open_store: OpenStore) -> None:
    store = open_store()
    store.router = "nobody"
    assert store.head() is None
    with pytest.raises(StoreError, match="no router 'nobody'"):
        store.published()
    assert store.pending_batch(("reward",), 10) is None


def arms_follow_what_is_declared_and_what_is_switched(open_store: OpenStore) -> None:
    store = open_store()
    added = Arm(name="added", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    revisions = count(store.published()[1] + 1)

    def enabled() -> list[str]:
        assert store.published()[1] == next(revisions)
        return [arm.name for arm in store.arms() if arm.enabled]

    store.enable_arm("cheap", False)
    assert enabled() == ["dear"]
    with store.learner_transaction() as transaction:
        transaction.put_arm(added)
    assert enabled() == ["added", "dear"]
    with store.learner_transaction() as transaction:
        cheap = [arm for arm in transaction.read_arms() if arm.name == "cheap"]
        transaction.declare_arms([replace(arm, enabled=True) for arm in cheap])
    assert enabled() == ["added"]
    store.enable_arm("cheap", True)
    assert enabled() == ["added", "cheap"]


def an_arm_is_read_back_as_it_was_put(open_store: OpenStore) -> None:
    store = open_store()
    arm = Arm(
        name="a",
        provider="p",
        model="m" * 256,
        input_usd_per_mtok=0.1,
        output_usd_per_mtok=1 / 3,
        expected_output_tokens=10_000_000,
        context_window=2**31 - 1,
        capabilities=frozenset({"tools", "vision"}),
    )
    with store.learner_transaction() as transaction:
        transaction.put_arm(arm)
        transaction.put_arm(arm)
    assert [a for a in store.arms() if a.name == "a"] == [arm]


CONTRACT: tuple[Callable[[OpenStore], None], ...] = (
    a_decision_is_read_back_as_it_was_written,
    a_decision_written_twice_is_one_row,
    a_decision_of_another_router_is_unknown,
    every_change_of_a_metric_has_its_outcome,
    metrics_of_one_decision_do_not_touch_each_other,
    every_feedback_row_has_one_pending_mark,
    feedback_about_an_unknown_decision_fails_alone,
    repetitions_in_one_batch_count_once,
    revisions_by_many_workers_are_all_kept_in_a_row,
    an_audit_sees_one_moment_while_others_write,
    *IDEMPOTENCY,
    *ADMINISTRATION,
    *USERS,
    *INFLUENCE,
    a_row_the_database_refuses_fails_alone,
    a_batch_of_bad_rows_fails_row_by_row,
    a_new_router_is_made_once_by_many_workers,
    a_router_that_exists_keeps_its_snapshot,
    a_router_that_was_never_made_has_no_head,
    arms_follow_what_is_declared_and_what_is_switched,
    an_arm_is_read_back_as_it_was_put,
)
