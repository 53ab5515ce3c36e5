"""Search of the log: it finds what there is, in pages, by index, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from bandit_router.store import decision_search
from bandit_router.store.clock import Stamp
from bandit_router.store.decision_search import DecisionFilter, DecisionSummary
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Reason
from tests.store.examples import OpenStore, decision, said

START = 1_700_000_000.0
ARMS, REASONS, USERS = (
    ("cheap", "dear", "cheap"),
    (Reason.POLICY, Reason.OVERRIDE),
    (None, "ann", "bob", "ann"),
)
TEXTS = ("Prove it", "100% sure?", "under_score", None)


@pytest.fixture
def log(open_store: OpenStore) -> tuple[Store, list[Decision]]:
    """A store with forty decisions, a minute apart, newest first."""
    store = open_store()
    made = [
        decision(
            id=Stamp(START + 60.0 * i, START).make_id(),
            decided_at=START + 60.0 * i,
            arm=ARMS[i % 3],
            reason=REASONS[i % 5 == 0],
            user=USERS[i % 4],
            query=TEXTS[i % 4],
        )
        for i in range(40)
    ]
    for result in store.write([WriteRequest(payload=each) for each in made]):
        assert not isinstance(result, Exception), result
    return store, made[::-1]


FILTERS: list[tuple[DecisionFilter, Callable[[Decision], bool]]] = [
    (DecisionFilter(), lambda _: True),
    (DecisionFilter(arm="dear"), lambda d: d.arm == "dear"),
    (DecisionFilter(reason=Reason.OVERRIDE), lambda d: d.reason is Reason.OVERRIDE),
    (DecisionFilter(user_ids=("ann", "hash of ann")), lambda d: d.user == "ann"),
    (DecisionFilter(user_ids=("ann", "bob")), lambda d: d.user is not None),
    (DecisionFilter(text="PROVE"), lambda d: d.query == "Prove it"),
    (DecisionFilter(text="0%"), lambda d: d.query == "100% sure?"),
    (DecisionFilter(text="r_s"), lambda d: d.query == "under_score"),
    (DecisionFilter(since=START + 600.0), lambda d: d.decided_at >= START + 600.0),
    (DecisionFilter(until=START + 600.0), lambda d: d.decided_at < START + 600.0),
    (
        DecisionFilter(arm="cheap", since=START + 300.0, until=START + 1_800.0, user_ids=("bob",)),
        lambda d: d.arm == "cheap" and 300.0 <= d.decided_at - START < 1_800.0 and d.user == "bob",
    ),
]


def read_all(store: Store, wanted: DecisionFilter, size: int) -> Iterator[DecisionSummary]:
    before = None
    while True:
        page = store.find_decisions(wanted, before, size)
        assert len(page.decisions) <= size
        yield from page.decisions
        before = page.next_before
        if before is None:
            return


@pytest.mark.parametrize("most_looked_at", [3, 10_000])
def test_all_pages_together_have_what_is_wanted_once(
    log: tuple[Store, list[Decision]], monkeypatch: pytest.MonkeyPatch, most_looked_at: int
) -> None:
    monkeypatch.setattr(decision_search, "_MOST_LOOKED_AT", most_looked_at)
    store, made = log
    for wanted, is_wanted in FILTERS:
        expected = [each.id for each in made if is_wanted(each)]
        assert [found.id for found in read_all(store, wanted, 4)] == expected, wanted
        assert [found.id for found in read_all(store, wanted, 100)] == expected, wanted


def test_the_beginning_of_an_id_finds_it(log: tuple[Store, list[Decision]]) -> None:
    store, made = log
    for length in (13, 36):
        wanted = DecisionFilter(id_prefix=made[7].id[:length])
        assert [found.id for found in read_all(store, wanted, 5)] == [made[7].id]
    assert len(list(read_all(store, DecisionFilter(id_prefix=made[0].id[:4]), 100))) == 40
    assert list(read_all(store, DecisionFilter(id_prefix="zz"), 5)) == []


def test_a_decision_comes_with_the_feedback_in_force(log: tuple[Store, list[Decision]]) -> None:
    store, made = log
    said(store, made[0], quality=0.5, error=0.0)
    said(store, made[0], quality=0.75, error=None)
    newest, second = store.find_decisions(DecisionFilter(), None, 2).decisions
    assert newest.metrics == {"quality": 0.75}
    assert (newest.arm, newest.reason, newest.propensity) == (made[0].arm, made[0].reason, made[0].propensity)
    assert second.metrics == {}


def test_every_search_is_by_index(log: tuple[Store, list[Decision]]) -> None:
    store, _ = log
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    for wanted, _ in FILTERS:
        store.find_decisions(wanted, "f", 10)
    event.remove(store._engine, "before_cursor_execute", note)
    assert len(asked) >= 2 * len(FILTERS)
    for statement, parameters in asked:
        plan = explain(store, statement, parameters)
        assert "USING INDEX" in plan or "USING COVERING INDEX" in plan or "Index" in plan, plan
        for forbidden in ("SCAN decisions", "SCAN feedback", "Seq Scan"):
            assert forbidden not in plan, plan


def explain(store: Store, statement: str, parameters: Any) -> str:
    """How the database answers a statement; PostgreSQL is told that tables are too large to be read whole."""
    with store._reading() as connection:
        if connection.dialect.name == "sqlite":
            how = f"EXPLAIN QUERY PLAN {statement}"
        else:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            how = f"EXPLAIN {statement}"
        return "\n".join(str(row) for row in connection.exec_driver_sql(how, parameters))
