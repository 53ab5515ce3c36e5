"""What every store must do to forget a user: nothing of it is left, and what was learned is as without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import func, select

from bandit_router.errors import UnknownDecision
from bandit_router.learning.audit import audit_store
from bandit_router.store.records import Observation
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, feedback, folded, idempotency, pending
from bandit_router.store.users import delete_user
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Escalation, Outcome, Reason
from tests.store.examples import (
    OpenStore,
    commit,
    decision,
    learner_of,
    logged,
    posterior_of,
    rows,
    said,
    together,
    version_of,
)
from tests.store.examples import feedback as about
from tests.store.key_calls import begun, end_of, spending
from tests.store.user_log import Deed, dump, find_traces, make_deeds, write_deeds

ALICE, BOB = "alice@example.org", "bob@example.org"


def learned_from(store: Store, deeds: list[Deed]) -> Store:
    write_deeds(store, deeds)
    learner_of(store).fold_all(wait=True)
    return store


def state_of(store: Store) -> bytes:
    return store.published()[2]


def without(user: str, deeds: list[Deed]) -> list[Deed]:
    return [deed for deed in deeds if deed.user != user]


def nothing_of_a_forgotten_user_is_in_any_table(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store = learned_from(open_store(), deeds)
    everything = find_traces(dump(store), ALICE, deeds)
    assert len(everything) > 30
    assert learner_of(store).forget_user([ALICE]) == 12 + 4 + 3
    assert find_traces(dump(store), ALICE, deeds) == []
    assert len(find_traces(dump(store), BOB, deeds)) == len(everything)


def what_was_learned_is_as_of_a_log_without_the_user(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store, other = learned_from(open_store(), deeds), learned_from(open_store("s"), without(ALICE, deeds))
    learner_of(store).forget_user([ALICE])
    learner_of(other).rebuild()
    assert state_of(store) == state_of(other)
    for table in (decisions, feedback, pending, folded, idempotency):
        assert rows(store, table) == rows(other, table), table.name


def what_was_not_folded_yet_is_forgotten_too(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store, other = open_store(), learned_from(open_store("s"), without(ALICE, deeds))
    write_deeds(store, deeds)
    learner_of(store).forget_user([ALICE])
    learner_of(store).fold_all()
    learner_of(other).rebuild()
    assert state_of(store) == state_of(other)


def no_snapshot_that_counts_the_user_is_left(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store = learned_from(open_store(), deeds[: len(deeds) // 2])
    learned_from(store, deeds[len(deeds) // 2 :])
    assert len(store.snapshot_versions()) > 2
    learner_of(store).forget_user([ALICE])
    assert store.snapshot_versions() == [version_of(store)]


def forgetting_twice_changes_nothing(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store = learned_from(open_store(), deeds)
    learner_of(store).forget_user([ALICE])
    before = dump(store)
    assert learner_of(store).forget_user([ALICE]) == 0
    assert dump(store) == before


def a_forget_that_was_cut_off_is_finished_by_the_next(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store, other = learned_from(open_store(), deeds), learned_from(open_store("s"), without(ALICE, deeds))
    with store.learner_transaction() as transaction:  # what the first transaction of a forget does
        delete_user(transaction, [ALICE])
    assert learner_of(store).forget_user([ALICE]) == 0
    learner_of(other).rebuild()
    assert state_of(store) == state_of(other)
    assert store.snapshot_versions() == [version_of(store)]


def a_rebuild_that_has_read_the_user_starts_over(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB])
    store, other = learned_from(open_store(), deeds), learned_from(open_store("s"), without(ALICE, deeds))
    learner, read = learner_of(store), store.iterate_observations
    deleted: list[int] = []

    def read_and_forget(size: int) -> Iterator[list[Observation]]:
        for piece in read(size):
            if not deleted:
                with open_store().learner_transaction() as transaction:
                    deleted.append(delete_user(transaction, [ALICE]))
            yield piece

    store.iterate_observations = read_and_forget  # type: ignore[method-assign]
    learner.rebuild()
    learner_of(other).rebuild()
    assert deleted == [12 + 4 + 3]
    assert state_of(store) == state_of(other)


def the_audit_says_how_many_decisions_and_not_whose(open_store: OpenStore) -> None:
    store = learned_from(open_store(), make_deeds([ALICE], rounds=3))
    learner_of(store).forget_user([ALICE])
    (act,) = store.acts(10)
    assert (act.kind, act.subject, act.details) == ("user_forgotten", None, {"decisions": 5})


def another_users_decision_stays_without_its_parent(open_store: OpenStore) -> None:
    store = open_store()
    first = logged(store, user=ALICE)
    follows = {"reason": Reason.OVERRIDE, "parent": first.id, "pmf": (1.0, 0.0), "propensity": 1.0}
    second = logged(store, user=BOB, **follows)
    nobodys = logged(store, **follows | {"parent": second.id})
    assert learner_of(store).forget_user([ALICE]) == 1
    assert store.decision(second.id).parent is None
    assert store.decision(nobodys.id).parent == second.id
    assert first.id.encode() not in dump(store)


def a_chain_goes_as_a_whole_from_any_link(open_store: OpenStore) -> None:
    store = open_store()
    first = logged(store)
    follows = {"reason": Reason.FALLBACK, "pmf": (1.0, 0.0), "propensity": 1.0}
    second = logged(store, user=ALICE, parent=first.id, **follows)
    logged(store, parent=second.id, **follows)
    logged(store, parent=first.id, **follows)
    stays = logged(store)
    assert learner_of(store).forget_user([ALICE]) == 4
    assert rows(store, decisions) == 1
    assert store.decision(stays.id).id == stays.id


def the_user_of_another_router_stays(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE], rounds=3)
    store, other = learned_from(open_store(), deeds), learned_from(open_store("s"), deeds)
    before = state_of(other)
    assert store.user_secret() != other.user_secret()
    learner_of(store).forget_user([ALICE])
    assert rows(store, decisions) == 0
    assert rows(other, decisions) == 5
    assert state_of(other) == before


def feedback_on_a_forgotten_decision_is_of_an_unknown_one(open_store: OpenStore) -> None:
    store = open_store()
    known = logged(store, user=ALICE)
    said(store, known, quality=0.5)
    learner_of(store).forget_user([ALICE])
    with pytest.raises(UnknownDecision):
        commit(store, about(known, quality=1.0))
    judged = Escalation(
        parent=known.id,
        asked_at=1.0,
        confidence=0.5,
        p_good=0.5,
        p_retry_good=None,
        propensity=1.0,
        snapshot=1,
        why="a test",
    )
    with pytest.raises(UnknownDecision):
        commit(store, judged)


def a_key_of_a_forgotten_decision_may_be_used_again(open_store: OpenStore) -> None:
    store = open_store()
    commit(store, decision(user=ALICE, idempotency_key="k"), digest="d")
    learner_of(store).forget_user([ALICE])
    fresh = decision(idempotency_key="k")
    answer = commit(store, fresh, digest="another request")
    assert isinstance(answer, Decision)
    assert answer.id == fresh.id


def feedback_and_learners_at_work_do_not_bring_it_back(open_store: OpenStore) -> None:
    deeds = make_deeds([ALICE, BOB], rounds=20)
    of_alice = [deed.decision for deed in deeds if deed.user == ALICE]
    of_bob = [deed.decision for deed in deeds if deed.user == BOB]
    store = open_store()
    write_deeds(store, deeds)

    def report(made: list[Decision]) -> None:
        worker = open_store()
        for i, each in enumerate([*made, *made]):
            (answer,) = worker.write([WriteRequest(payload=about(each, quality=i / (2 * len(made))))])
            assert isinstance(answer, dict | UnknownDecision), answer

    def learn() -> None:
        learner = learner_of(open_store(), batch=7)
        for _ in range(20):
            learner.fold()

    together(
        partial(report, of_alice),
        partial(report, of_bob),
        learn,
        lambda: learner_of(open_store()).rebuild(),
        lambda: learner_of(open_store()).forget_user([ALICE]),
    )
    assert find_traces(dump(store), ALICE, deeds) == []
    learner_of(store).fold_all(wait=True)
    with store.read_log() as log:
        of_router = decisions.c.router == store.router
        assert log.connection.scalar(select(func.count()).where(of_router)) == len({d.id for d in of_bob}) + 7
    counts = posterior_of(store).count.tolist()
    assert learner_of(store).rebuild() == sum(counts)
    assert posterior_of(store).count.tolist() == counts


def a_budget_keeps_what_forgotten_calls_cost_and_holds_nothing_for_them(open_store: OpenStore) -> None:
    store = open_store()
    commit(store, end_of(begun(store, user=ALICE), 0.125))
    commit(store, end_of(begun(store, user=BOB), 0.0625))
    under_way = begun(store, user=ALICE)
    assert spending(store) == (0.75, 0.1875)
    assert learner_of(store).forget_user([ALICE]) == 2
    assert spending(store) == (0.0, 0.1875 + 0.75)
    assert audit_store(store).problems == []
    assert commit(store, end_of(under_way, 0.25)) is Outcome.DUPLICATE
    assert spending(store) == (0.0, 0.1875 + 0.75)
    assert audit_store(store).problems == []
    assert learner_of(store).forget_user([BOB]) == 1
    assert spending(store) == (0.0, 0.1875 + 0.75)
    assert audit_store(store).problems == []


def calls_that_end_while_they_are_forgotten_are_paid_for_once(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(3)]
    called = [begun(stores[0], usd_per_day=100.0, user=user) for user in [ALICE, BOB] * 8]

    def end(store: Store, mine: list[Decision]) -> None:
        for each in mine:
            commit(store, end_of(each, 0.125))
            begun(store, usd_per_day=100.0, user=BOB, conversation=f"{each.id} again")

    together(
        partial(end, stores[0], called[::2]),
        partial(end, stores[1], called[1::2]),
        lambda: learner_of(stores[2]).forget_user([ALICE]),
    )
    assert audit_store(stores[0]).problems == []
    reserved, spent = spending(stores[0])
    assert reserved == 0.75 * 16
    assert (spent - 0.125 * 16) % 0.625 == 0.0  # an end that came too late left the worst case


USERS: tuple[Callable[[OpenStore], None], ...] = (
    nothing_of_a_forgotten_user_is_in_any_table,
    what_was_learned_is_as_of_a_log_without_the_user,
    what_was_not_folded_yet_is_forgotten_too,
    no_snapshot_that_counts_the_user_is_left,
    forgetting_twice_changes_nothing,
    a_forget_that_was_cut_off_is_finished_by_the_next,
    a_rebuild_that_has_read_the_user_starts_over,
    the_audit_says_how_many_decisions_and_not_whose,
    another_users_decision_stays_without_its_parent,
    a_chain_goes_as_a_whole_from_any_link,
    the_user_of_another_router_stays,
    feedback_on_a_forgotten_decision_is_of_an_unknown_one,
    a_key_of_a_forgotten_decision_may_be_used_again,
    feedback_and_learners_at_work_do_not_bring_it_back,
    a_budget_keeps_what_forgotten_calls_cost_and_holds_nothing_for_them,
    calls_that_end_while_they_are_forgotten_are_paid_for_once,
)
