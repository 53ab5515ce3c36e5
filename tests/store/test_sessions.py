"""Sessions of the dashboard, on both databases: every worker finds them, and they end."""

from __future__ import annotations

from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import hash_secret, parse_credential
from bandit_router.security.sessions import SESSION_S, Session, hash_token
from bandit_router.store.sessions import insert_session
from tests.store.examples import OpenStore


def test_a_session_is_found_by_every_worker_until_it_ends(open_store: OpenStore) -> None:
    one, other, elsewhere = open_store(), open_store(), open_store("elsewhere")
    new = one.create_key(KeyRequest(name="page", scopes=["read"]))
    credential = parse_credential(new.credential)
    assert credential is not None
    before = one.clock.reference()
    token = one.begin_session(credential)
    token_hash = hash_token(token)
    assert token_hash is not None
    session = other.find_session(token_hash)
    assert session is not None
    assert session.credential == credential
    assert before <= session.expires_at - SESSION_S <= one.clock.reference()
    assert elsewhere.find_session(token_hash) is None
    other.end_session(token_hash)
    other.end_session(token_hash)
    assert one.find_session(token_hash) is None


def test_the_next_session_takes_away_those_that_are_over(open_store: OpenStore) -> None:
    store, credential = open_store(), parse_credential(f"br_{'0' * 12}_{'x' * 43}")
    assert credential is not None
    for name, left_s in (("old", -1.0), ("young", 60.0)):
        with store._writing() as connection:
            expires_at = store.clock.reference() + left_s
            insert_session(connection, store.router, hash_secret(name), Session(credential, expires_at))
    store.begin_session(credential)
    assert store.find_session(hash_secret("old")) is None
    assert store.find_session(hash_secret("young")) is not None


def test_what_is_no_token_has_no_hash() -> None:
    assert [hash_token(text) for text in ("", "x" * 42, "x" * 44, "ü" * 43, "x" * 42 + " ")] == [None] * 5
