"""Forgetting a user: every table is covered, and no byte is left in the file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, String, select

from bandit_router.errors import DatabaseBusy, StoreError, UnknownDecision
from bandit_router.security.users import hash_user, make_user_secret
from bandit_router.store import users
from bandit_router.store.store import Store
from bandit_router.store.tables import audit, decisions, metadata, own_calls
from bandit_router.store.timeouts import Timeouts
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision
from tests.store.examples import OpenStore, bind, decision, learner_of, logged, set_up
from tests.store.examples import feedback as about
from tests.store.forced import after_statement, uncommitted, wait_until_one_waits
from tests.store.user_log import dump, find_traces, make_deeds, write_deeds

ALICE, BOB = "alice@example.org", "bob@example.org"
FILES = ("", "-wal", "-shm")


def test_every_column_with_the_id_of_a_decision_is_covered() -> None:
    kind = decisions.c.id.type
    assert isinstance(kind, String)
    with_ids = {
        column
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, String) and column.type.length == kind.length
    }
    covered: set[Column[object]] = {table.c[name] for table, name in users.DELETED + users.CLEARED}
    assert with_ids - {audit.c.id, own_calls.c.id} == covered


TABLES = {table.name: table for table, _ in users.DELETED}


@pytest.mark.parametrize("left_out", TABLES)
def test_a_forget_that_leaves_out_a_table_is_caught(
    left_out: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds, store = make_deeds([ALICE, BOB], rounds=4), open_store()
    bind(store)
    half = len(deeds) // 2
    write_deeds(store, deeds[:half])
    learner_of(store).fold_all()
    write_deeds(store, deeds[half:])
    kept = tuple(each for each in users.DELETED if each[0].name != left_out)
    monkeypatch.setattr(users, "DELETED", kept)
    try:
        learner_of(store).forget_user([ALICE])
    except StoreError:  # a row that is left refers to one that was to be deleted
        return
    assert find_traces(dump(store), ALICE, deeds)


def test_no_byte_of_a_forgotten_user_is_in_the_file(sqlite_url: str) -> None:
    path, deeds = Path(sqlite_url.removeprefix("sqlite:///")), make_deeds([ALICE, BOB], rounds=40)
    store = set_up(Store.open(sqlite_url, "r"))
    other = Store.open(sqlite_url, "r")  # another worker, with connections of its own
    other.head()
    write_deeds(store, deeds)
    learner_of(store).fold_all()
    assert find_traces(read_files(path), ALICE, deeds)
    learner_of(store).forget_user([ALICE])
    assert find_traces(read_files(path), ALICE, deeds), "deleted rows stay in free space and in the log"
    store.compact()
    assert find_traces(read_files(path), ALICE, deeds) == []
    assert find_traces(read_files(path), BOB, deeds)
    assert other.decision(next(deed.decision.id for deed in deeds if deed.user == BOB))
    write_deeds(other, make_deeds(["carol"], rounds=2))
    for each in (store, other):
        each.close()


def test_compacting_waits_for_a_reader_and_says_if_it_stays(sqlite_url: str) -> None:
    store = set_up(Store.open(sqlite_url, "r", timeouts=Timeouts(lock_s=0.2)))
    try:
        with store.read_log() as log:
            log.connection.execute(select(decisions)).all()
            logged(store)
            with pytest.raises(DatabaseBusy):
                store.compact()
        store.compact()
    finally:
        store.close()


def test_feedback_under_way_is_forgotten_too(postgresql_url: str) -> None:
    with closing(set_up(Store.open(postgresql_url, "r"))) as store, ThreadPoolExecutor(1) as thread:
        known = logged(store, user=ALICE)
        with uncommitted(postgresql_url, WriteRequest(payload=about(known, quality=0.5))):
            forgotten = thread.submit(learner_of(store).forget_user, [ALICE])
            wait_until_one_waits(postgresql_url)
        assert forgotten.result() == 1
        assert known.id.encode() not in dump(store)


def test_feedback_that_waits_for_a_forget_is_of_an_unknown_decision(postgresql_url: str) -> None:
    with closing(set_up(Store.open(postgresql_url, "r"))) as store, ThreadPoolExecutor(1) as thread:
        known = logged(store, user=ALICE)
        with store.learner_transaction() as transaction:
            users.delete_user(transaction, [ALICE])
            said = thread.submit(store.write, [WriteRequest(payload=about(known, quality=0.5))])
            wait_until_one_waits(postgresql_url)
        (answer,) = said.result()
        assert isinstance(answer, UnknownDecision)


def test_a_decision_that_is_forgotten_while_its_key_is_read_is_made_anew(postgresql_url: str) -> None:
    with closing(set_up(Store.open(postgresql_url, "r"))) as store:
        first = logged(store, user=ALICE, idempotency_key="k")
        again = decision(user=ALICE, idempotency_key="k")
        other = set_up(Store.open(postgresql_url, "r"))
        with closing(other), after_statement(store, 0, lambda: learner_of(other).forget_user([ALICE])):
            (answer,) = store.write([WriteRequest(payload=again)])
        assert isinstance(answer, Decision)
        assert answer.id == again.id
        with pytest.raises(UnknownDecision):
            store.decision(first.id)


def read_files(path: Path) -> bytes:
    files = [path.with_name(path.name + suffix) for suffix in FILES]
    return b"".join(file.read_bytes() for file in files if file.exists())


def test_a_hash_is_of_its_secret_and_its_user() -> None:
    secret, other = make_user_secret(), make_user_secret()
    assert hash_user(secret, ALICE) == hash_user(secret, ALICE)
    assert len({hash_user(s, u) for s in (secret, other) for u in (ALICE, BOB, "ü")}) == 6
    # RFC 4231, test case 2
    known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hash_user(b"Jefe".hex(), "what do ya want for nothing?") == known
