"""A goal's book: every decision, every cost and every reward is in it exactly once, or not at all."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from bandit_router.errors import RouterError, StoreError
from bandit_router.objective.pacing import PacingState, debt
from bandit_router.store import store as store_module
from bandit_router.store.pacing_ledger import read_book
from bandit_router.store.store import Store
from bandit_router.store.tables import spending
from bandit_router.store.write_requests import Committed, WriteRequest
from bandit_router.types import Budget, Decision, Floor, Goal
from tests.databases import sql
from tests.store.examples import commit, decision, said, set_up, together, with_key
from tests.store.examples import feedback as about
from tests.store.forced import wait_until_one_waits
from tests.store.spending_log import assert_booked_once, booked

BUDGET = Budget(usd=0.004)
FLOOR = Floor(reward=0.8, weights={"quality": 1.0, "override": 3.0})
EXPECTED = 0.001
WORTH = 0.75

OpenPaced = Callable[..., Store]
"""Opens a store of the router "r" on the test's database, with BUDGET unless told otherwise."""


@pytest.fixture
def open_paced(url: str) -> Iterator[OpenPaced]:
    stores: list[Store] = []

    def open_one(goal: Goal | None = BUDGET) -> Store:
        stores.append(Store.open(url, "r", goal))
        return set_up(stores[-1])

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_paced: OpenPaced) -> Store:
    return open_paced()


def now(**changes: Any) -> Decision:
    """A decision made now, expected to cost EXPECTED and to be worth WORTH."""
    usual = {"decided_at": time.time(), "expected_cost_usd": EXPECTED, "expected_quality": WORTH}
    return decision(**(usual | changes))


def made(store: Store, **changes: Any) -> Decision:
    """A decision made now that is in the log."""
    answer = commit(store, now(**changes))
    assert isinstance(answer, Decision)
    return answer


def spent(url: str) -> float:
    assert_booked_once(url)
    return booked(url).spent_usd


# -- decisions ------------------------------------------------------------------------------------


def test_a_decision_is_booked_at_what_it_is_expected_to_cost(store: Store, url: str) -> None:
    assert booked(url) == dataclasses.replace(PacingState(), as_of=booked(url).as_of)
    store.write([WriteRequest(payload=now(expected_cost_usd=usd)) for usd in (0.001, 0.01, 0.0)])
    pace = booked(url)
    assert pace.requests == 3
    assert pace.spent_usd == pytest.approx(0.011)
    assert pace.allowance_usd == pytest.approx(3 * BUDGET.usd)
    assert store.pacing.state == pace
    assert_booked_once(url)


def test_a_decision_written_again_is_booked_once(store: Store, open_paced: OpenPaced, url: str) -> None:
    first = made(store)
    commit(store, first)
    commit(open_paced(), first)
    store.write([WriteRequest(payload=first), WriteRequest(payload=now()), WriteRequest(payload=first)])
    assert spent(url) == pytest.approx(2 * EXPECTED)


@pytest.mark.parametrize("lost", ["commit", "statement"])
def test_a_batch_whose_answer_is_lost_is_booked_once(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    known = made(store)
    monkeypatch.setattr(store_module, "_BACKOFF_S", 0.0)
    failures = iter([True, True, False])
    write_once = store._write_once

    def fail(*_: object) -> None:
        if next(failures, False):
            raise OperationalError("COMMIT", {}, Exception("connection lost"))

    def write_and_fail(batch: Sequence[WriteRequest]) -> list[Committed | RouterError]:
        answers = write_once(batch)
        fail()
        return answers

    if lost == "commit":  # it was carried out, nobody heard of it
        monkeypatch.setattr(store, "_write_once", write_and_fail)
    else:  # the book was written, then everything is rolled back
        event.listen(store._engine, "commit", fail)
    store.write(
        [
            WriteRequest(payload=now()),
            WriteRequest(payload=about(known, cost_usd=0.5)),
            WriteRequest(payload=now()),
        ]
    )
    assert spent(url) == pytest.approx(0.5 + 2 * EXPECTED)
    assert booked(url).requests == 3


def test_a_request_replayed_by_its_key_is_booked_once(store: Store, open_paced: OpenPaced, url: str) -> None:
    for one in (store, store, open_paced()):
        commit(one, now(idempotency_key="k"), digest="d")
    store.write([WriteRequest(payload=now(idempotency_key="l"), digest="d") for _ in range(3)])
    assert spent(url) == pytest.approx(2 * EXPECTED)


def test_one_key_at_many_workers_at_once_is_booked_once(open_paced: OpenPaced, url: str) -> None:
    stores = [open_paced() for _ in range(4)]
    for key in "abcde":
        calls = (lambda s=s, key=key: commit(s, now(idempotency_key=key), digest="d") for s in stores)
        together(*calls)
    assert spent(url) == pytest.approx(5 * EXPECTED)


def test_a_transaction_that_fails_books_nothing(store: Store, url: str) -> None:
    made(store)
    before = booked(url)
    bad = WriteRequest(payload=now(propensity=None))
    assert isinstance(store.write([bad])[0], StoreError)
    assert (booked(url), store.pacing.state) == (before, before)
    store.write([WriteRequest(payload=now()), bad, WriteRequest(payload=now())])  # which is done in pieces
    assert spent(url) == pytest.approx(3 * EXPECTED)


# -- costs ----------------------------------------------------------------------------------------


def test_a_cost_corrects_the_book_once(store: Store, url: str) -> None:
    known = made(store)
    steps = ((0.5, 0.5), (0.5, 0.5), (0.75, 0.75), (0.0, 0.0), (None, EXPECTED), (None, EXPECTED), (0.5, 0.5))
    for value, total in steps:
        said(store, known, cost_usd=value)
        assert spent(url) == pytest.approx(total)
    assert booked(url).requests == 1


def test_a_batch_of_revisions_comes_to_the_last_one(store: Store, url: str) -> None:
    known = now()
    values = (0.5, 0.5, 0.25, None, 0.125)
    store.write(
        [
            WriteRequest(payload=known),
            *(WriteRequest(payload=about(known, cost_usd=value)) for value in values),
        ]
    )
    assert spent(url) == pytest.approx(0.125)


def test_a_cost_of_nothing_else_said_again_by_its_key_changes_nothing(store: Store, url: str) -> None:
    known = made(store)
    keyed = with_key("k", about(known, cost_usd=0.5))
    commit(store, keyed, digest="d")
    said(store, known, cost_usd=0.25)
    commit(store, keyed, digest="d")  # arrives late again
    assert spent(url) == pytest.approx(0.25)


def test_other_metrics_cost_nothing(store: Store, url: str) -> None:
    before = booked(url), made(store)
    after = booked(url)
    said(store, before[1], quality=1.0, latency_s=3.0)
    assert booked(url) == after


def test_feedback_that_the_database_refuses_corrects_nothing(store: Store, url: str) -> None:
    known = made(store)
    store.write(
        [
            WriteRequest(payload=about("nobody", cost_usd=1.0)),
            WriteRequest(payload=about(known, cost_usd=0.5)),
        ]
    )
    assert spent(url) == pytest.approx(0.5)


# -- rewards --------------------------------------------------------------------------------------


def earned(url: str) -> float:
    assert_booked_once(url)
    return booked(url).earned


def test_a_floor_books_the_expected_reward_and_then_the_real_one_once(
    open_paced: OpenPaced, url: str
) -> None:
    store = open_paced(FLOOR)
    known = made(store)
    assert earned(url) == pytest.approx(WORTH)
    steps = (
        ({"quality": 0.5}, 0.5),
        ({"quality": 0.5}, 0.5),
        ({"override": 1.0}, 0.125),
        ({"quality": 1.0}, 0.25),
        ({"latency_s": 3.0, "cost_usd": 0.5}, 0.25),
        ({"quality": None}, 0.0),
        ({"override": None}, WORTH),
        ({"error": 1.0}, 0.0),
        ({"error": 0.0}, WORTH),
    )
    for metrics, total in steps:
        said(store, known, **metrics)
        assert earned(url) == pytest.approx(total)
    made(store, expected_quality=0.25)
    assert earned(url) == pytest.approx(WORTH + 0.25)
    assert store.pacing.state == booked(url)
    assert spent(url) == pytest.approx(0.5 + EXPECTED)


def test_what_is_on_its_way_to_a_commit_counts_towards_a_floor(open_paced: OpenPaced) -> None:
    store, known = open_paced(FLOOR), now()
    store.pacing.add_in_flight(known)
    assert (store.pacing.state.requests, store.pacing.state.earned) == (1, WORTH)
    store.pacing.remove_in_flight([known])
    assert store.pacing.state.earned == 0.0


def test_an_expectation_that_no_reward_can_be_counts_as_the_nearest(open_paced: OpenPaced, url: str) -> None:
    store = open_paced(FLOOR)
    far = [now(expected_quality=quality) for quality in (234_030.0, -8.0)]
    store.pacing.add_in_flight(far[0])
    assert store.pacing.state.earned == 1.0
    store.write([WriteRequest(payload=one) for one in far])
    store.pacing.remove_in_flight([far[0]])
    assert booked(url).earned == store.pacing.state.earned == 1.0
    said(store, far[0], quality=0.5)
    assert booked(url).earned == 0.5


def test_a_worker_is_paced_by_the_goal_that_is_booked_for(open_paced: OpenPaced) -> None:
    before = open_paced(BUDGET)
    goals = [before.pacing.goal]
    open_paced(FLOOR)
    before.head()
    goals.append(before.pacing.goal)
    assert goals == [BUDGET, FLOOR]
    assert open_paced(None).pacing.goal is None


def test_feedback_that_changes_no_book_waits_for_nobody(postgresql_url: str) -> None:
    store = set_up(Store.open(postgresql_url, "r", BUDGET))
    known = made(store)
    with ThreadPoolExecutor(1) as thread, sql(postgresql_url) as busy:
        busy.execute(update(spending).values(requests=spending.c.requests))
        thread.submit(said, store, known, quality=1.0, latency_s=3.0).result(timeout=60)
    store.close()


def test_a_budget_books_no_rewards(store: Store, url: str) -> None:
    said(store, made(store), quality=0.5)
    assert earned(url) == 0.0


def test_rewards_are_made_as_the_book_says_whatever_a_worker_thinks(open_paced: OpenPaced, url: str) -> None:
    open_paced(FLOOR)
    without = open_paced(None)
    said(without, made(without), quality=1.0, override=1.0)
    assert earned(url) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "other",
    [Floor(reward=FLOOR.reward), Budget(usd=FLOOR.reward)],
    ids=["other weights", "a budget"],
)
def test_a_goal_that_a_floor_says_nothing_of_starts_anew(
    open_paced: OpenPaced, url: str, other: Goal, caplog: pytest.LogCaptureFixture
) -> None:
    said(open_paced(FLOOR), old := made(open_paced(FLOOR)), quality=0.5)
    changed = open_paced(other)
    assert (booked(url).requests, earned(url)) == (0, 0.0)
    assert "its book starts anew" in caplog.text
    said(changed, old, quality=1.0)
    made(changed)
    assert earned(url) == (WORTH if isinstance(other, Floor) else 0.0)


def test_the_same_floor_goes_on(open_paced: OpenPaced, url: str) -> None:
    store = open_paced(FLOOR)
    said(store, made(store), quality=0.5)
    again = Floor(reward=FLOOR.reward, weights={"override": 3.0, "quality": 1.0})
    assert open_paced(again).pacing.state == booked(url) == store.pacing.state


# -- budgets that come and go ---------------------------------------------------------------------


def test_decisions_from_before_the_budget_are_not_corrected(open_paced: OpenPaced, url: str) -> None:
    old = made(open_paced(None))
    store = open_paced()
    said(store, old, cost_usd=3.0)
    assert spent(url) == 0.0
    new = made(store)
    store.write(
        [WriteRequest(payload=about(old, cost_usd=5.0)), WriteRequest(payload=about(new, cost_usd=0.25))]
    )
    assert spent(url) == pytest.approx(0.25)


def test_a_decision_from_before_that_arrives_late_is_not_booked(store: Store, url: str) -> None:
    late = made(store, decided_at=1_700_000_000.0)
    said(store, late, cost_usd=3.0)
    assert (booked(url).requests, spent(url)) == (0, 0.0)


@pytest.mark.parametrize("other", [Budget(usd=0.005), Budget(usd=BUDGET.usd, per="day")])
def test_another_budget_carries_over_what_was_spent(
    store: Store, open_paced: OpenPaced, url: str, other: Budget
) -> None:
    old = made(store)
    said(store, old, cost_usd=1.5)
    before = booked(url)
    changed = open_paced(other)
    assert changed.pacing.goal == other
    assert booked(url).requests == 1
    assert spent(url) == pytest.approx(1.5)
    assert booked(url).allowance_usd == before.allowance_usd == BUDGET.usd
    said(changed, old, cost_usd=3.0)
    made(changed)
    assert spent(url) == pytest.approx(3.0 + EXPECTED)


def test_a_budget_that_is_changed_and_changed_back_forgets_no_debt(
    store: Store, open_paced: OpenPaced, url: str
) -> None:
    said(store, made(store), cost_usd=1.5)
    open_paced(Budget(usd=0.002))
    again = open_paced(BUDGET)
    assert spent(url) == pytest.approx(1.5)
    assert debt(again.pacing.state, BUDGET) == pytest.approx(debt(store.pacing.state, BUDGET))


@pytest.mark.parametrize("weights", [FLOOR.weights, {"quality": 5.0, "override": 15.0}])
def test_a_floor_that_is_raised_misses_as_much_as_before(
    open_paced: OpenPaced, url: str, weights: dict[str, float]
) -> None:
    floor = Floor(reward=0.9, weights=weights)
    store = open_paced(FLOOR)
    for _ in range(5):
        said(store, made(store), quality=0.0, override=1.0)
    raised = open_paced(floor)
    assert (booked(url).requests, earned(url)) == (5, 0.0)
    assert debt(raised.pacing.state, floor) == pytest.approx(debt(store.pacing.state, FLOOR))
    made(raised)
    assert earned(url) == pytest.approx(WORTH)


def test_a_head_that_was_read_late_does_not_set_the_book_back(store: Store, url: str) -> None:
    made(store)
    with sql(url) as connection:
        slow = read_book(connection, "r")
    made(store)
    store.pacing.update_book(slow)
    assert store.pacing.state.requests == 2


def test_the_same_budget_goes_on(store: Store, open_paced: OpenPaced, url: str) -> None:
    said(store, made(store), cost_usd=0.5)
    before = booked(url)
    assert open_paced().pacing.state == before  # at once, not with the next refresh
    assert booked(url) == before


def test_a_worker_that_knows_of_no_budget_books_all_the_same(
    store: Store, open_paced: OpenPaced, url: str
) -> None:
    without = open_paced(None)
    known = made(without)
    said(without, made(store), cost_usd=0.25)
    said(store, known, cost_usd=0.5)
    assert spent(url) == pytest.approx(0.75)
    assert booked(url).allowance_usd == pytest.approx(2 * BUDGET.usd)


def test_without_a_budget_nothing_is_booked(open_paced: OpenPaced, url: str) -> None:
    store = open_paced(None)
    said(store, made(store), cost_usd=0.5)
    assert (booked(url), store.pacing.state) == (PacingState(), PacingState())


def test_a_head_that_is_read_shows_what_others_spent(store: Store, open_paced: OpenPaced) -> None:
    other = open_paced()
    made(other)
    assert store.pacing.state.requests == 0
    store.head()
    assert store.pacing.state == other.pacing.state


def test_a_goal_that_starts_anew_waits_for_what_is_being_booked(postgresql_url: str) -> None:
    """Else decisions of just now would be neither in the old book nor, by their time, before the new one."""
    old, new = (Store.open(postgresql_url, "r", goal) for goal in (BUDGET, FLOOR))
    set_up(old)
    try:
        with ThreadPoolExecutor(1) as thread:
            with sql(postgresql_url) as busy:
                busy.execute(update(spending).values(requests=spending.c.requests))
                opening = thread.submit(set_up, new)
                wait_until_one_waits(postgresql_url)
                late = time.time()
            opening.result()
        commit(new, now(decided_at=late))
        assert booked(postgresql_url).requests == 0
        assert_booked_once(postgresql_url)
    finally:
        old.close()
        new.close()


# -- whatever happens -----------------------------------------------------------------------------

_COST = st.none() | st.floats(0.0, 10.0) | st.sampled_from([0.0, 0.5])
_GOOD = st.none() | st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.5])
_SAID = st.one_of(
    st.tuples(st.just("cost_usd"), _COST),
    st.tuples(st.sampled_from(["quality", "override", "error", "satisfaction"]), _GOOD),
)
_STEP = st.one_of(
    st.tuples(st.just("decide"), st.floats(0.0, 1.0), st.sampled_from([None, *"ab"])),
    st.tuples(st.just("again"), st.integers(0, 50), st.none()),
    st.tuples(st.just("said"), st.integers(0, 50), _SAID),
    st.tuples(st.just("keyed"), st.integers(0, 50), _SAID),
    st.tuples(st.just("bad"), st.none(), st.none()),
)
_BATCHES = st.lists(st.lists(_STEP, min_size=1, max_size=8), min_size=1, max_size=8)


def test_a_decision_that_is_twice_in_one_batch_is_booked_once(open_paced: OpenPaced, url: str) -> None:
    store = open_paced()
    decision = now(expected_cost_usd=0.25)
    store.write([WriteRequest(payload=decision), WriteRequest(payload=decision)])
    assert_booked_once(url)
    assert booked(url).requests == 1


@pytest.mark.parametrize("goal", [BUDGET, FLOOR], ids=["budget", "floor"])
def test_the_book_is_the_log_whatever_happens(open_paced: OpenPaced, url: str, goal: Goal) -> None:
    stores = [open_paced(goal), open_paced(goal)]
    known: list[Decision] = [made(stores[0])]

    @settings(max_examples=60)
    @given(_BATCHES, st.randoms(use_true_random=False))
    def check(batches: list[list[tuple[str, Any, Any]]], random: Any) -> None:
        for batch in batches:
            random.choice(stores).write([_write_request(step, known) for step in batch])
            assert_booked_once(url)

    check()
    assert booked(url).requests > 100


def _write_request(step: tuple[str, Any, Any], known: list[Decision]) -> WriteRequest:
    kind, one, two = step
    if kind == "decide":
        key = two and f"{two}{len(known) // 5}"
        known.append(now(expected_cost_usd=one, expected_quality=1.0 - one, idempotency_key=key))
        return WriteRequest(payload=known[-1], digest="d")
    if kind == "bad":
        return WriteRequest(payload=now(propensity=None))
    picked = known[-1 - one % len(known)]
    if kind == "again":
        return WriteRequest(payload=picked, digest="d")
    what = about(picked, **dict([two]))
    return (
        WriteRequest(payload=with_key(f"f{one}", what), digest="d")
        if kind == "keyed"
        else WriteRequest(payload=what)
    )
