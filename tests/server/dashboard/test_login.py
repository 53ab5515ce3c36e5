"""Logging in to the dashboard: who gets a session, what its cookie is like, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import NewSecret, hash_secret, parse_credential
from bandit_router.security.sessions import Session, make_token
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.guard import Guard
from bandit_router.server.key_ring import LAG_S
from bandit_router.settings import Settings, load_settings
from bandit_router.store.sessions import insert_session
from bandit_router.store.store import Store
from tests.server.dashboard.browsing import PAGE
from tests.services import write_settings

Scene = Callable[[httpx.AsyncClient, "Place"], Awaitable[None]]


class Place:
    """The store of the router, and the time of its guard."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.time = 1_000.0

    def make_key(self, *scopes: str) -> NewSecret:
        return self.store.create_key(KeyRequest(name="page", scopes=list(scopes)))

    def begin_expired_session(self, key: NewSecret) -> str:
        """The token of a session whose time was over a second ago."""
        token, credential = make_token(), parse_credential(key.credential)
        assert credential is not None
        session = Session(credential, self.store.clock.reference() - 1.0)
        with self.store._writing() as connection:
            insert_session(connection, self.store.router, hash_secret(token), session)
        return token

    def pass_lag(self) -> None:
        self.time += LAG_S + 0.1


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(write_settings(tmp_path))


@pytest.fixture
def play(settings: Settings) -> Callable[[Scene], None]:
    """Plays a scene against the whole application, as a browser on this machine."""

    async def run(scene: Scene) -> None:
        documented = create_api(settings)
        async with documented.router.lifespan_context(documented):
            with closing(Store.open(settings.store.url, settings.router.name)) as store:
                place = Place(store)
                app = Guard(
                    assemble_app(documented),
                    lambda: documented.state.router,
                    open_to_all=False,
                    clock=lambda: place.time,
                )
                transport = httpx.ASGITransport(app)
                address = "http://127.0.0.1:8080"
                async with httpx.AsyncClient(
                    transport=transport, base_url=address, headers=PAGE, follow_redirects=False
                ) as client:
                    await scene(client, place)

    return lambda scene: asyncio.run(run(scene))


async def log_in(client: httpx.AsyncClient, key: str, **fields: str) -> httpx.Response:
    return await client.post("/dashboard/login", data={"key": key, **fields})


def test_a_key_that_may_read_gets_a_session_that_the_page_is_shown_for(
    play: Callable[[Scene], None],
) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        key = place.make_key("read")
        sent_away = await client.get("/dashboard/decisions?arm=small")
        assert sent_away.status_code == 303
        form = sent_away.headers["location"]
        assert form == "/dashboard/login?next=%2Fdashboard%2Fdecisions%3Farm%3Dsmall"
        assert 'value="/dashboard/decisions?arm=small"' in (await client.get(form)).text
        answer = await log_in(client, f" {key.credential}\n", next="/dashboard/decisions?arm=small")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/decisions?arm=small")
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/dashboard"} <= set(cookie.split("; "))
        assert "Secure" not in cookie  # it came by plain HTTP
        assert key.credential not in cookie
        assert (await client.get("/dashboard/decisions")).status_code == 200
        assert (await client.get("/v1/arms")).status_code == 401  # the session is for pages only

    play(scene)


def test_the_cookie_is_secure_over_tls(play: Callable[[Scene], None]) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        key = place.make_key("read").credential
        client.headers["x-forwarded-proto"] = "https"
        assert "Secure" in (await log_in(client, key)).headers["set-cookie"].split("; ")

    play(scene)


def test_the_database_has_no_token(play: Callable[[Scene], None]) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        await log_in(client, place.make_key("read").credential)
        token = client.cookies["bandit_router_session"]
        assert place.store.find_session(token) is None
        assert place.store.find_session(hash_secret(token)) is not None

    play(scene)


def test_other_keys_get_none(play: Callable[[Scene], None]) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        revoked = place.make_key("read")
        place.store.revoke_key(revoked.key.id)
        for key, said in (
            ("", "copy all of it"),
            (f"br_{'0' * 12}_{'x' * 43}", "is not valid"),
            (revoked.credential, "was revoked"),
            (place.make_key("route", "feedback").credential, "lacks the scope read"),
        ):
            answer = await log_in(client, key)
            assert answer.status_code == 422
            assert said in answer.text
            assert "set-cookie" not in answer.headers

    play(scene)


@pytest.mark.parametrize("ending", ["logs out", "is revoked", "is rotated", "expires"])
def test_a_session_ends_when_its_owner(play: Callable[[Scene], None], ending: str) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        key = place.make_key("read")
        await log_in(client, key.credential)
        token = client.cookies["bandit_router_session"]
        assert (await client.get("/dashboard/decisions")).status_code == 200
        if ending == "logs out":
            left = await client.post("/dashboard/logout")
            assert left.headers["location"] == "/dashboard/login"
            client.cookies.set("bandit_router_session", token, path="/dashboard")  # somebody has kept it
        elif ending == "is revoked":
            place.store.revoke_key(key.key.id)
        elif ending == "is rotated":
            place.store.rotate_key(key.key.id)
        else:
            client.cookies.set("bandit_router_session", place.begin_expired_session(key), path="/dashboard")
        place.pass_lag()
        assert (await client.get("/dashboard/decisions")).status_code == 303

    play(scene)


@pytest.mark.parametrize(
    "next_page",
    ["https://evil.example/dashboard", "//evil.example", "/v1/arms", "/dashboard/logout", "\\\\x"],
)
def test_the_form_leads_nowhere_else(play: Callable[[Scene], None], next_page: str) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        answer = await log_in(client, place.make_key("read").credential, next=next_page)
        assert answer.headers["location"] == "/dashboard"

    play(scene)


def test_forms_of_other_sites_are_refused(play: Callable[[Scene], None]) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        key = place.make_key("read").credential
        await log_in(client, key)
        client.headers["origin"] = "https://evil.example"
        assert (await log_in(client, key)).status_code == 403
        assert (await client.post("/dashboard/logout")).status_code == 403
        client.headers["origin"] = "http://127.0.0.1:8080"
        assert (await client.post("/dashboard/logout")).status_code == 303

    play(scene)


def test_programs_are_answered_as_everywhere(play: Callable[[Scene], None]) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:
        key = place.make_key("read").credential
        client.headers["accept"] = "*/*"
        assert (await client.get("/dashboard")).status_code == 401
        assert (await client.get("/dashboard", headers={"x-api-key": key})).status_code == 200

    play(scene)


def test_without_keys_only_this_machine_sees_the_page(play: Callable[[Scene], None]) -> None:
    async def scene(client: httpx.AsyncClient, place: Place) -> None:  # noqa: ARG001
        assert (await client.get("/dashboard")).status_code == 200
        refused = await client.get("/dashboard", headers={"host": "rebound.example"})
        assert refused.status_code == 403
        assert "bandit-router keys create" in refused.text

    play(scene)
