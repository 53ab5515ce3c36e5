"""Planted keys and texts come out of a real service nowhere: not in its log, its answers or its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from bandit_router.errors import ConfigError
from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.settings import make_settings
from bandit_router.store.tables import calls, metadata
from bandit_router.types import Usage
from tests.databases import sql
from tests.providers.upstream import Upstream, serving, wait_until
from tests.services import Service, run_cli, write_settings
from tests.services import serving as serving_router

PROVIDER_KEYS = ("planted-key-of-a-variable", "planted-key-of-a-file")
PASSWORD, CLIENT_KEY = "planted-store-password", "planted-client-key"
TEXT = "planted-text"
"""In prompts, in tools, in answers, and in what upstream says of a failure."""

PLANTED = "planted-"
"""How all of them begin; so does no other word of ours."""

USAGE = Usage(input_tokens=8, output_tokens=3)
_ERROR_EVENT = f'data: {{"type":"error","error":{{"type":"overloaded","message":"{TEXT}"}}}}\n\n'
SCENES = (
    Scene(pieces=(TEXT, " and ", TEXT), usage=USAGE),
    Scene(tool=(TEXT, f'{{"{TEXT}":"{TEXT}"}}'), finish="tool", usage=USAGE),
    *(Scene(status=status, error=TEXT) for status in (400, 401, 429, 500)),
    Scene(raw=f"<{TEXT}>".encode()),
    Scene(raw=_ERROR_EVENT.encode()),
    Scene(pieces=(TEXT,) * 9, cut_after=6),
    Scene(pieces=(TEXT,) * 9, stall_after=6),
)
_MESSAGE = {"role": "user", "content": f"Say {TEXT}."}
_CHAT_TOOL = {"type": "function", "function": {"name": TEXT, "description": TEXT, "parameters": {}}}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [{"role": "system", "content": TEXT}, _MESSAGE],
        "tools": [_CHAT_TOOL],
    },
    "/v1/responses": {"input": [_MESSAGE], "instructions": TEXT, "prompt_cache_key": TEXT},
    "/v1/messages": {"messages": [_MESSAGE], "system": TEXT, "max_tokens": 9},
}
ARMS = {"/v1/chat/completions": "one", "/v1/responses": "one", "/v1/messages": "two"}
CREDENTIALS = {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY, "cookie": CLIENT_KEY}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a database, with a password where it can have one."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return re.sub("^postgresql://postgres:@", f"postgresql://postgres:{PASSWORD}@", url)


@contextmanager
def planted_service(
    folder: Path, database: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """A service with keys in a variable and in a file, whose SDKs log all they can."""
    (folder / "key").write_text(PROVIDER_KEYS[1], encoding="utf-8")
    for name, value in {
        "PLANTED_KEY": PROVIDER_KEYS[0],
        "OPENAI_LOG": "debug",
        "ANTHROPIC_LOG": "debug",
    }.items():
        monkeypatch.setenv(name, value)
    called: dict[str, Any] = {
        "input_usd_per_mtok": 1.0,
        "output_usd_per_mtok": 2.0,
        "allow_private": True,
        "dialects": ["chat", "responses", "messages"],
        "base_url": {
            "chat": f"{upstream.url}/v1",
            "responses": f"{upstream.url}/v1",
            "messages": upstream.url,
        },
        "first_token_timeout_s": 0.2,
        "gap_timeout_s": 0.2,
        "total_timeout_s": 0.4,
    }
    nowhere = {"base_url": "http://127.0.0.1:1/v1", "dialects": ["chat", "responses"]}
    arms = (
        {**called, "name": "one", "provider": "openai", "api_key_env": "PLANTED_KEY"},
        {**called, "name": "two", "provider": "anthropic", "api_key_file": f"{folder}/key"},
        {**called, **nowhere, "name": "off", "provider": "openai", "api_key_env": "PLANTED_KEY"},
    )
    settings = write_settings(folder, arms=arms, store={"url": database})
    log_format = "json" if database.startswith("postgresql") else "text"
    with serving_router(settings, "--log-format", log_format) as service:
        yield service


def repeat_key(scene: Scene, request: ScriptedRequest) -> Scene:
    """The scene of a server that repeats in its errors the key it got, as OpenAI's does in part."""
    headers = request.headers
    return replace(scene, error=f"{scene.error} {headers.get('authorization', headers.get('x-api-key'))}")


def ask(service: Service, path: str, arm: str, *, stream: bool) -> str:
    """What a client is answered, headers and body."""
    body = {**BODIES[path], "model": arm, "stream": stream}
    with suppress(httpx.RemoteProtocolError):
        answer = httpx.post(f"{service.url}{path}", json=body, headers=CREDENTIALS, timeout=30.0)
        return f"{answer.headers} {answer.text}"
    return ""


def dump_tables(database: str) -> str:
    with sql(database) as connection:
        return str([connection.execute(select(table)).all() for table in metadata.sorted_tables])


def list_decisions(database: str) -> list[str]:
    """The decisions whose call has ended."""
    with sql(database) as connection:
        return list(connection.scalars(select(calls.c.decision_id).where(calls.c.outcome.is_not(None))))


def test_keys_and_texts_come_out_nowhere(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_stage = [SCENES[0]]
    with (
        serving(lambda request: repeat_key(on_stage[0], request)) as upstream,
        planted_service(tmp_path, database, upstream, monkeypatch) as service,
    ):
        answers = []
        for scene in SCENES:
            on_stage[0] = scene
            for path, arm in ARMS.items():
                answers += [ask(service, path, arm, stream=stream) for stream in (False, True)]
        answers += [ask(service, path, arm, stream=False) for path in BODIES for arm in ("off", "auto")]
        asked = str([(call.headers, call.body) for call in upstream.app.calls])
        assert all(secret in asked for secret in (*PROVIDER_KEYS, TEXT))  # they were planted well
        assert TEXT in str(answers)
        for secret in (*PROVIDER_KEYS, CLIENT_KEY, PASSWORD):
            assert secret not in str(answers)
        assert CLIENT_KEY not in asked

        wait_until(lambda: len(list_decisions(database)) >= 2 * len(SCENES) * len(ARMS))
        assert PLANTED not in dump_tables(database)
        decision = list_decisions(database)[0]
        pages = [path for path in httpx.get(f"{service.url}/openapi.json").json()["paths"] if "{" not in path]
        for page in [*pages, f"/v1/decisions/{decision}"]:
            assert PLANTED not in httpx.get(f"{service.url}{page}", headers=CREDENTIALS).text
        explained = run_cli("explain", decision, "--config", str(service.config))
        assert "probability" in explained.stdout
        assert PLANTED not in explained.stdout + explained.stderr

        with sql(database) as connection:
            connection.execute(text("DROP TABLE calls"))
        path, arm = next(iter(ARMS.items()))
        assert PLANTED not in ask(service, path, arm, stream=True)
    assert "HTTP Request: POST" in service.log  # the client of the SDKs did log
    assert PLANTED not in service.log


def test_a_password_in_a_base_url_is_refused_and_not_repeated() -> None:
    arm = {"name": "one", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    with pytest.raises(ConfigError, match="base_url") as caught:
        make_settings({"arms": [{**arm, "base_url": f"https://user:{PASSWORD}@host/v1"}]})
    assert PASSWORD not in str(caught.value)
