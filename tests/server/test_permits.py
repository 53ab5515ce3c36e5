"""Permits: a request like one that was let in is known, until anything changes that it was let in by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bandit_router.security.issue import KeyRequest, issue_key, rotate_key
from bandit_router.security.keys import ApiKey, NewSecret
from bandit_router.server import permits
from bandit_router.server.permits import Permits

NEW = issue_key(KeyRequest(name="ci", scopes=["route"], expires_in_s=60.0), 1_000.0, "test")


class Worker:
    """The permits of a worker, with what it has read of keys and the time of its router."""

    def __init__(self, *read: ApiKey) -> None:
        self.read = {key.id: key for key in read}
        self.time = 1_000.0
        self.permits = Permits(self.read.get, lambda: self.time)

    def let_in(self, new: NewSecret, path: str = "/v1/route", **headers: str) -> None:
        self.permits.add(make_scope(new.credential, path, **headers), self.read[new.key.id])

    def find(
        self, new: NewSecret, path: str = "/v1/route", method: str = "POST", **headers: str
    ) -> ApiKey | None:
        return self.permits.find_key(make_scope(new.credential, path, method, **headers))


def make_scope(credential: str, path: str, method: str = "POST", **headers: str) -> dict[str, Any]:
    given = {"host": "router.example", "authorization": f"Bearer {credential}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }


def test_a_request_is_known_by_its_key_its_method_and_its_path() -> None:
    worker = Worker(NEW.key)
    assert worker.find(NEW) is None
    worker.let_in(NEW)
    assert worker.find(NEW) is NEW.key
    assert worker.find(NEW, user_agent="another") is NEW.key
    assert worker.find(NEW, "/v1/feedback") is None
    assert worker.find(NEW, method="GET") is None
    assert worker.find(NEW, x_api_key="br_another") is None
    assert worker.find(NEW._replace(credential=NEW.credential[:-1] + "~")) is None


def test_a_key_that_was_read_anew_or_is_to_be_is_checked_again() -> None:
    worker = Worker(NEW.key)
    worker.let_in(NEW)
    worker.read[NEW.key.id] = replace(NEW.key, revoked_at=1_000.0)
    assert worker.find(NEW) is None
    worker.read[NEW.key.id] = replace(NEW.key)
    assert worker.find(NEW) is None
    worker.let_in(NEW)
    assert worker.find(NEW) is worker.read[NEW.key.id]
    del worker.read[NEW.key.id]
    assert worker.find(NEW) is None


def test_a_key_that_expires_is_not_let_in_any_more() -> None:
    worker = Worker(NEW.key)
    worker.let_in(NEW)
    worker.time = 1_059.9
    assert worker.find(NEW) is NEW.key
    worker.time = 1_060.0
    assert worker.find(NEW) is None


def test_a_former_secret_has_no_permit_as_it_ends_before_its_key() -> None:
    rotated = rotate_key(NEW.key, 1_001.0, grace_s=10.0)
    worker = Worker(rotated.key)
    worker.let_in(NEW)
    assert worker.find(NEW) is None
    worker.let_in(rotated)
    assert worker.find(rotated) is rotated.key


def test_a_session_has_no_permit_whatever_else_it_sends() -> None:
    worker = Worker(NEW.key)
    strange = NEW._replace(credential="sk-ant-unused")
    worker.let_in(strange, "/dashboard")
    assert worker.find(strange, "/dashboard") is None


def test_what_is_remembered_is_limited() -> None:
    worker = Worker(NEW.key)
    worker.let_in(NEW, "/v1/decisions/01890a5d-ac96-774b-bcce-b302099a8057")  # ids would be many paths
    assert worker.permits._keys == {}
    for i in range(permits._MOST + 1):
        worker.let_in(NEW, x_api_key=f"sk-{i}")
    assert len(worker.permits._keys) == 1
    assert worker.find(NEW, x_api_key=f"sk-{permits._MOST}") is NEW.key
