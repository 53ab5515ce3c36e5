"""What every store must do for the owner: keep keys, and record each act with the act itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import text

from bandit_router.errors import InvalidInput, StoreError, UnknownKey
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import NewSecret, Scope, find_invalidity, parse_credential
from bandit_router.store.acts import ActKind, find_actor
from bandit_router.store.store import Store
from tests.store.examples import ARMS, OpenStore, learner_of

REQUEST = KeyRequest(
    name="ci",
    scopes=["feedback", "route"],
    arms=["cheap"],
    usd_per_day=2.5,
    requests_per_second=0.5,
    burst=3,
    expires_in_s=86_400.0,
)


def is_valid(store: Store, new: NewSecret) -> bool:
    credential = parse_credential(new.credential)
    assert credential is not None
    return find_invalidity(store.find_key(credential.key_id), credential, store.clock.reference()) is None


def kinds(store: Store) -> list[str]:
    return [act.kind.value for act in store.acts(100)]


def a_key_is_read_back_as_it_was_created(open_store: OpenStore) -> None:
    store = open_store()
    assert not store.has_keys()
    new = store.create_key(REQUEST)
    other = open_store()
    assert other.find_key(new.key.id) == new.key
    assert other.keys() == [new.key]
    assert other.has_keys()
    assert new.key.created_by == find_actor()
    assert new.key.scopes == {Scope.ROUTE, Scope.FEEDBACK}
    assert is_valid(other, new)


def no_secret_is_in_the_database(open_store: OpenStore) -> None:
    store = open_store()
    new = store.create_key(REQUEST)
    rotated = store.rotate_key(new.key.id, 60.0)
    with store.read_log() as log:
        rows = [
            str(row)
            for table in ("api_keys", "audit")
            for row in log.connection.execute(text(f"SELECT * FROM {table}"))
        ]
    secrets = [each.credential.split("_", 2)[2] for each in (new, rotated)]
    assert [secret for secret in secrets if any(secret in row for row in rows)] == []


def a_rotated_key_has_another_secret_and_the_old_one_for_a_while(open_store: OpenStore) -> None:
    store = open_store()
    first = store.create_key(REQUEST)
    second = store.rotate_key(first.key.id, 60.0)
    assert is_valid(store, first)
    assert is_valid(store, second)
    third = store.rotate_key(first.key.id)
    assert [is_valid(store, each) for each in (first, second, third)] == [False, False, True]


def a_revoked_key_is_kept_and_refused(open_store: OpenStore) -> None:
    store = open_store()
    new = store.create_key(REQUEST)
    store.revoke_key(new.key.id)
    assert not is_valid(store, new)
    assert store.has_keys()
    with pytest.raises(InvalidInput):
        store.revoke_key(new.key.id)
    with pytest.raises(UnknownKey):
        store.rotate_key("0123456789ab")
    assert kinds(store).count("key_revoked") == 1


def a_key_of_another_router_is_unknown(open_store: OpenStore) -> None:
    new = open_store().create_key(REQUEST)
    other = open_store("other")
    assert other.find_key(new.key.id) is None
    assert not other.has_keys()
    assert other.keys() == []
    with pytest.raises(UnknownKey):
        other.revoke_key(new.key.id)
    assert [act for act in other.acts(100) if act.subject == new.key.id] == []


def a_key_keeps_its_arm_when_the_arm_is_renamed(open_store: OpenStore) -> None:
    store = open_store()
    new = store.create_key(replace(REQUEST, arms=["cheap", "dear"]))
    free = store.create_key(replace(REQUEST, arms=None))
    with store.learner_transaction() as transaction:
        transaction.rename_arm("cheap", "tiny")
    renamed, unbound = store.find_key(new.key.id), store.find_key(free.key.id)
    assert renamed is not None
    assert unbound is not None
    assert renamed.arms == frozenset({"tiny", "dear"})
    assert unbound.arms is None


def every_act_is_recorded_with_who_did_it_to_what(open_store: OpenStore) -> None:
    store = open_store()
    learner = learner_of(store)
    with store.learner_transaction() as transaction:
        transaction.put_arm(replace(ARMS[0], name="added"))
        transaction.put_arm(replace(ARMS[0], name="added", input_usd_per_mtok=7.0))
    store.enable_arm("added", False)
    store.enable_arm("added", True)
    learner.reset("cheap", *store.clock.stamp())
    with store.learner_transaction() as transaction:
        learner.warm_start(transaction, None, None, store.clock.now())
    learner.rename("dear", "best")
    with store.learner_transaction() as transaction:
        transaction.delete_snapshots([1])
    key = store.create_key(REQUEST).key
    store.rotate_key(key.id)
    store.revoke_key(key.id)
    acts = store.acts(100)
    assert [(act.kind, act.subject) for act in acts] == [
        (ActKind.ARM_ADDED, "added"),
        (ActKind.ARM_CHANGED, "added"),
        (ActKind.ARM_DISABLED, "added"),
        (ActKind.ARM_ENABLED, "added"),
        (ActKind.ARM_RESET, "cheap"),
        (ActKind.WARM_START_REMOVED, None),
        (ActKind.ARM_RENAMED, "dear"),
        (ActKind.SNAPSHOTS_DELETED, None),
        (ActKind.KEY_CREATED, key.id),
        (ActKind.KEY_ROTATED, key.id),
        (ActKind.KEY_REVOKED, key.id),
    ]
    assert {act.actor for act in acts} == {find_actor()}
    assert acts[1].details["input_usd_per_mtok"] == 7.0
    assert acts[6].details == {"to": "best"}
    assert acts[7].details == {"versions": [1]}
    assert acts[8].details["scopes"] == ["feedback", "route"]
    assert [act.kind for act in store.acts(2)] == [ActKind.KEY_ROTATED, ActKind.KEY_REVOKED]


def an_act_that_is_rolled_back_is_not_in_the_audit(open_store: OpenStore) -> None:
    store = open_store()
    with suppress(ZeroDivisionError), store.learner_transaction() as transaction:
        transaction.put_arm(replace(ARMS[0], name="added"))
        raise ZeroDivisionError
    assert kinds(store) == []


def what_cannot_be_recorded_is_not_done(open_store: OpenStore) -> None:
    store = open_store()
    key = store.create_key(REQUEST).key
    with store.learner_transaction() as transaction:
        transaction.connection.execute(text("DROP TABLE audit"))
    with pytest.raises(StoreError):
        store.enable_arm("cheap", False)
    with pytest.raises(StoreError):
        store.revoke_key(key.id)
    assert all(arm.enabled for arm in store.arms())
    assert store.keys() == [key]


def a_pin_is_of_one_router_and_ends_when_it_is_taken_away(open_store: OpenStore) -> None:
    store, other = open_store(), open_store("other")
    pin = store.pin_traffic("dear", 60.0)
    heads = store.head(), other.head()
    assert [head.traffic_pin for head in heads if head is not None] == [pin, None]
    assert other.unpin_traffic() is None
    assert open_store().unpin_traffic() == pin
    head = store.head()
    assert head is not None
    assert head.traffic_pin is None
    assert kinds(store) == ["traffic_pinned", "traffic_unpinned"]
    assert kinds(other) == []


ADMINISTRATION: tuple[Callable[[OpenStore], None], ...] = (
    a_key_is_read_back_as_it_was_created,
    no_secret_is_in_the_database,
    a_rotated_key_has_another_secret_and_the_old_one_for_a_while,
    a_revoked_key_is_kept_and_refused,
    a_key_of_another_router_is_unknown,
    a_key_keeps_its_arm_when_the_arm_is_renamed,
    every_act_is_recorded_with_who_did_it_to_what,
    an_act_that_is_rolled_back_is_not_in_the_audit,
    what_cannot_be_recorded_is_not_done,
    a_pin_is_of_one_router_and_ends_when_it_is_taken_away,
)
