"""Budgets of keys: a call reserves its worst case before it begins, and what it cost replaces that, once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import update

from bandit_router.errors import KeyBudgetSpent
from bandit_router.learning.audit import audit_store
from bandit_router.security.budget import find_day
from bandit_router.store.conversations import ConversationClaim
from bandit_router.store.key_ledger import TOO_DEAR, KeyLedger
from bandit_router.store.store import Store
from bandit_router.store.tables import calls, decisions, key_spending
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Outcome, Reason
from tests.overspending import check_only
from tests.store.examples import OpenStore, commit, rows, together
from tests.store.key_calls import Uniform, begin, begun, end_of, request, spending

NANO = 10**9


def test_a_call_reserves_its_worst_case_and_settles_what_it_cost(store: Store) -> None:
    called = begun(store)
    assert (called.arm, spending(store)) == ("dear", (0.75, 0.0))
    assert audit_store(store).ok
    assert commit(store, end_of(called, 0.125)) is Outcome.RECORDED
    assert spending(store) == (0.0, 0.125)
    assert commit(store, end_of(called, 0.5)) is Outcome.DUPLICATE
    assert spending(store) == (0.0, 0.125)
    assert audit_store(store).ok


def test_an_arm_that_does_not_fit_is_masked_before_the_draw(store: Store) -> None:
    begun(store)
    called = begun(store)
    assert (called.arm, called.eligible, called.propensity) == ("cheap", ("cheap",), 1.0)
    assert called.excluded == {"dear": TOO_DEAR}
    assert store.decision(called.id).eligible == ("cheap",)
    assert spending(store) == (1.0, 0.0)


def test_the_mask_does_not_depend_on_the_arm_that_was_drawn(store: Store) -> None:
    begun(store)
    drawn = request(store)
    assert isinstance(drawn.payload, Decision)
    lucky = replace(drawn, payload=replace(drawn.payload, arm="cheap"))
    (answer,) = store.write([lucky])
    assert isinstance(answer, Decision)
    assert (answer.eligible, answer.propensity) == (("cheap",), 1.0)


def test_a_call_that_fits_with_no_arm_is_refused_before_it_is_made(store: Store) -> None:
    begun(store)
    begun(store)
    before = rows(store, decisions)
    refusal = begin(store)
    assert isinstance(refusal, KeyBudgetSpent)
    assert refusal.left_usd == 0.0
    assert 0.0 < refusal.after_s <= 86_400.0
    assert "0 USD left of its 1 USD a day" in str(refusal)
    assert (rows(store, decisions), rows(store, calls)) == (before, before)
    assert spending(store) == (1.0, 0.0)
    assert isinstance(begin(store, key_id="other"), Decision)


def test_what_ends_makes_room_in_the_same_transaction(store: Store) -> None:
    called = begun(store, usd_per_day=0.8)
    end, following = WriteRequest(payload=end_of(called, 0.0)), request(store, usd_per_day=0.8)
    refused, ended, fits = store.write([request(store, usd_per_day=0.2), end, following])
    assert isinstance(refused, KeyBudgetSpent)
    assert ended is Outcome.RECORDED
    assert isinstance(fits, Decision)
    assert spending(store) == (0.75, 0.0)


def test_a_call_may_cost_more_than_it_reserved_and_that_is_booked(store: Store) -> None:
    commit(store, end_of(begun(store), 3.0))
    assert spending(store) == (0.0, 3.0)
    assert isinstance(begin(store), KeyBudgetSpent)


def test_a_day_has_its_own_budget_and_bears_what_began_on_it(store: Store) -> None:
    now = store.clock.now()
    yesterday = begun(store, decided_at=now - 86_400.0)
    assert isinstance(begin(store, decided_at=now - 86_400.0), Decision)
    assert spending(store) == (0.0, 0.0)
    today = begun(store)
    commit(store, end_of(yesterday, 0.5))
    assert (today.arm, spending(store)) == ("dear", (0.75, 0.0))
    assert audit_store(store).ok


def test_the_sweep_settles_what_a_killed_worker_reserved(store: Store) -> None:
    begun(store, expected_cost_usd=0.03)
    assert store.sweep_calls(-1.0) == 1
    assert spending(store) == (0.0, 0.03)
    assert store.sweep_calls(-1.0) == 0
    assert audit_store(store).ok


def test_a_commit_that_is_repeated_reserves_once_and_is_answered_as_before(store: Store) -> None:
    begun(store)
    again = request(store)
    first, second = store.write([again]), store.write([again])
    (one,), (other,) = first, second
    assert isinstance(one, Decision)
    assert isinstance(other, Decision)
    assert (one.id, one.arm) == (other.id, other.arm)
    assert other.arm == "cheap"
    assert spending(store) == (1.0, 0.0)
    assert audit_store(store).ok


def test_a_decision_that_its_conversation_changes_reserves_for_its_arm(store: Store) -> None:
    first = in_conversation(request(store, conversation="c", usd_per_day=5.0))
    (kept,) = store.write([first])
    assert isinstance(kept, Decision)
    racing = in_conversation(request(store, conversation="c", usd_per_day=5.0))
    assert isinstance(racing.payload, Decision)
    racing = replace(racing, payload=replace(racing.payload, arm="cheap"))  # it did not know of the first
    (answer,) = store.write([racing])
    assert isinstance(answer, Decision)
    assert (answer.arm, answer.reason) == ("dear", Reason.STICKY)
    assert spending(store) == (1.5, 0.0)
    third = in_conversation(request(store, conversation="c", usd_per_day=1.75))
    (answer,) = store.write([third])
    assert isinstance(answer, Decision)
    assert (answer.arm, answer.eligible) == ("cheap", ("cheap",))
    assert spending(store) == (1.75, 0.0)
    assert audit_store(store).ok


def in_conversation(write: WriteRequest) -> WriteRequest:
    assert write.budget is not None
    assert isinstance(write.budget.decider, Uniform)
    claim = ConversationClaim(expiry_cutoff=0.0, expected_choice=None, decider=write.budget.decider)
    return replace(write, claim=claim)


def test_workers_that_spend_one_budget_at_once_never_reserve_more_than_it(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    for n in range(5):
        key_id = f"k{n}"
        answers = together(*(partial(spend, store, key_id) for store in stores))
        called = [one for part in answers for one in part]
        assert spending(stores[0], key_id) == (1.0, 0.0)
        assert sorted(one.arm for one in called) in (["cheap"] * 4, ["cheap", "dear"])
        for one in called:
            commit(stores[0], end_of(one, 0.1))
        assert spending(stores[0], key_id)[0] == 0.0
    assert audit_store(stores[0]).ok


def spend(store: Store, key_id: str) -> list[Decision]:
    """Call until there is nothing left, eight times at most."""
    answers = [begin(store, key_id=key_id) for _ in range(8)]
    return [answer for answer in answers if isinstance(answer, Decision)]


def test_a_ledger_that_only_checks_overspends(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyLedger, "_reserve", check_only)
    with pytest.raises(AssertionError):
        test_workers_that_spend_one_budget_at_once_never_reserve_more_than_it(open_store)


def test_verify_names_an_account_that_is_not_the_sum_of_its_calls(store: Store) -> None:
    begun(store)
    with store.learner_transaction() as transaction:
        transaction.connection.execute(update(key_spending).values(reserved_nano_usd=NANO))
    day = find_day(store.clock.now())
    assert audit_store(store).problems == [f"key k: what is booked on day {day} is not the sum of its calls"]
