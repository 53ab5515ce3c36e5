"""Keys of the HTTP API: arms that a key is for, decisions of other routers, and a database that is away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from bandit_router.router import Router
from bandit_router.security.issue import KeyRequest
from bandit_router.store.store import Store
from tests.providers.upstream import wait_until
from tests.server.conftest import Client, assert_problem
from tests.services import Service, serving, write_settings

CASCADE: dict[str, Any] = {
    "policy": {"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0},
    "cascade": {"enabled": True, "threshold": 1.0, "epsilon": 0.0},
}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a key, which asks for one."""
    with serving(write_settings(tmp_path_factory.mktemp("keyed"), **CASCADE)) as running:
        make_key(running, "admin")
        wait_until(lambda: httpx.get(f"{running.url}/v1/arms").status_code == 401)
        yield running


def make_key(service: Service, *scopes: str, **limits: Any) -> str:
    with closing(Store.open(f"sqlite:///{service.database}", "default", create=False)) as store:
        return store.create_key(KeyRequest(name="test", scopes=scopes, **limits)).credential


@pytest.fixture
def bound(keyed: Service) -> Iterator[Client]:
    """A client whose key is for one arm of two."""
    with Client(keyed.url) as client:
        client.headers["x-api-key"] = make_key(keyed, "route", "read", "feedback", arms=["small"])
        yield client


@pytest.fixture
def free(keyed: Service) -> Iterator[Client]:
    with Client(keyed.url) as client:
        client.headers["authorization"] = f"Bearer {make_key(keyed, 'admin')}"
        yield client


def test_other_arms_are_masked_and_an_override_of_one_is_forbidden(
    keyed: Service, bound: Client, free: Client
) -> None:
    answer = bound.route().json()
    assert (answer["arm"], answer["pmf"]) == ("small", {"small": 1.0})
    assert answer["excluded"] == {"large": "the API key is not for this arm"}
    with closing(Store.open(f"sqlite:///{keyed.database}", "default", create=False)) as store:
        key_id = store.decision(answer["decision_id"]).key_id
    assert bound.headers["x-api-key"].split("_")[1] == key_id
    problem = assert_problem(bound.route(query="a", override="large"), 403)
    assert "not for arm 'large'" in problem["detail"]
    assert bound.route(query="a", override="small").json()["reason"] == "override"
    assert_problem(bound.route(query="a", forbid=["small"]), 422)
    assert free.route(query="a", override="large").json()["arm"] == "large"


def test_an_idempotency_key_of_another_caller_gives_no_arm_away(bound: Client, free: Client) -> None:
    first = free.route("same", query="a", arms=["large"]).json()
    assert first["arm"] == "large"
    assert_problem(bound.route("same", query="a", arms=["large"]), 422)
    again = bound.route("mine", query="a").json()
    assert bound.route("mine", query="a").json() == again


def test_a_retry_goes_to_no_other_arm(bound: Client, free: Client) -> None:
    decision_id = free.route(query="a").json()["decision_id"]
    path = f"/v1/decisions/{decision_id}/escalate"
    answer = bound.send_raw(path, json.dumps({"confidence": 0.1})).json()
    assert (answer["accept"], answer["why"]) == (True, "large: the API key is not for this arm")


def test_a_decision_of_another_router_is_unknown_whatever_the_key(
    keyed: Service, free: Client, tmp_path: Path
) -> None:
    settings = write_settings(
        tmp_path,
        router={"name": "other"},
        store={"url": f"sqlite:///{keyed.database}"},
    )
    with serving(settings) as other, Client(other.url) as neighbour:
        theirs = neighbour.route().json()["decision_id"]  # keys are per router: this one has none
        unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
        for path in ("/v1/decisions/{}", "/v1/decisions/{}/chain"):
            answers = [free.get(path.format(each)) for each in (theirs, unknown)]
            texts = [assert_problem(each, 404)["detail"] for each in answers]
            assert texts[0].replace(theirs, unknown) == texts[1]
        assert_problem(free.feedback(theirs, quality=1.0), 404)
        assert_problem(free.send_raw(f"/v1/decisions/{theirs}/escalate", '{"confidence": 0.5}'), 404)
        neighbour.headers["x-api-key"] = free.headers["authorization"].removeprefix("Bearer ")
        with closing(Store.open(f"sqlite:///{keyed.database}", "other", create=False)) as store:
            store.create_key(KeyRequest(name="theirs", scopes=["read"]))
        wait_until(lambda: neighbour.get("/v1/arms").status_code == 401)  # a key of the first router


def test_keys_that_cannot_be_checked_are_refused(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service, Client(service.url) as client:
        cached, fresh = make_key(service, "read"), make_key(service, "read")
        wait_until(lambda: client.get("/v1/arms").status_code == 401)
        assert client.get("/v1/arms", headers={"x-api-key": cached}).status_code == 200
        with closing(sqlite3.connect(service.database)) as connection:
            connection.execute("ALTER TABLE api_keys RENAME TO gone")
        assert_problem(client.get("/v1/arms", headers={"x-api-key": fresh}), 503)
        wait_until(lambda: client.get("/v1/arms", headers={"x-api-key": cached}).status_code == 503)
        assert client.get("/healthz").status_code == 200
        with closing(sqlite3.connect(service.database)) as connection:
            connection.execute("ALTER TABLE gone RENAME TO api_keys")
        for key in (cached, fresh):
            assert client.get("/v1/arms", headers={"x-api-key": key}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/arms", "/docs", "/openapi.json", "/v1/nowhere", "/metrics"])
def test_without_keys_only_this_machine_is_answered_on_every_path(client: Client, path: str) -> None:
    assert client.get(path).status_code in (200, 404)
    for headers in ({"host": "evil.example"}, {"x-forwarded-for": "1.2.3.4"}, {"via": "1.1 proxy"}):
        problem = assert_problem(client.get(path, headers=headers), 403)
        assert "keys create" in problem["detail"]
        assert client.get("/healthz", headers=headers).status_code == 200
        assert client.get("/readyz", headers=headers).status_code == 200


def test_open_answers_anybody_until_there_is_a_key(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path), "--open") as service, Client(service.url) as client:
        client.headers["host"] = "router.example"
        assert client.get("/v1/arms").status_code == 200
        make_key(service, "read")
        wait_until(lambda: client.get("/v1/arms").status_code == 401)


def test_feedback_is_of_its_key_and_counts_for_nothing_in_quarantine(keyed: Service, free: Client) -> None:
    decision_id = free.route(query="a").json()["decision_id"]
    with closing(Store.open(f"sqlite:///{keyed.database}", "default", create=False)) as store:
        key_id = store.create_key(KeyRequest(name="said", scopes=["feedback"])).key.id
        credential = store.rotate_key(key_id).credential
    with Client(keyed.url) as client:
        client.headers["x-api-key"] = credential
        body = json.dumps({"decision_id": decision_id, "metrics": {"quality": 0.25}})
        assert client.send_raw("/v1/feedback", body).json()["outcomes"] == {"quality": "recorded"}
    with Router.open(keyed.config, apply="never") as router:
        router.quarantine_key(key_id)
        assert router.metrics(decision_id) == {}
        assert router.verify().problems == []
        router.release_key(key_id)
        assert router.metrics(decision_id) == {"quality": 0.25}
        assert router.verify().problems == []
