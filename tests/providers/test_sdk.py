"""Calls through the SDKs against servers on loopback: bytes, errors, time-outs, keys and cancellation."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from bandit_router.errors import ConfigError
from bandit_router.providers.base import FailureKind, Provider, UpstreamError
from bandit_router.providers.registry import open_provider
from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.settings.arms import ArmSection
from bandit_router.types import Usage
from tests.providers.upstream import HELLO, Upstream, make_arm, serving, wait_until

KEY = "sk-planted-0123456789"
PATHS = [("openai", "/v1/chat/completions"), ("openai", "/v1/responses"), ("anthropic", "/v1/messages")]
SDK_VARIABLES = """
    OPENAI_API_KEY OPENAI_ADMIN_KEY OPENAI_ORG_ID OPENAI_PROJECT_ID ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN
""".split()  # noqa: SIM905 - a table reads better
"""What the SDKs read from the environment, and send."""
ENDLESS = Scene(pieces=("x",) * 1000, gap_s=0.02)
BODY = b'{ "model":"m",  "stream":true, "unknown": [1e400, "\\u00e9"] }'.replace(b"1e400", b"1e40")

each_path = pytest.mark.parametrize(("provider", "path"), PATHS)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_TEST_KEY", KEY)


async def read_all(provider: Provider, path: str, body: bytes = BODY, *, stream: bool = True) -> bytes:
    answer = await provider.send(path, body, {"x-passed-on": "yes"}, stream=stream)
    try:
        return b"".join([chunk async for chunk in answer.iterate_bytes()])
    finally:
        await answer.aclose()


def call(arm: ArmSection, path: str, body: bytes = BODY, *, stream: bool = True) -> bytes:
    async def run() -> bytes:
        provider = open_provider(arm)
        try:
            return await read_all(provider, path, body, stream=stream)
        finally:
            await provider.aclose()

    return asyncio.run(run())


def fail(arm: ArmSection, path: str, *, stream: bool = True) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        call(arm, path, stream=stream)
    return caught.value


@each_path
def test_bytes_of_request_and_answer_are_unchanged(provider: str, path: str) -> None:
    raw = b'data: {"anything":  1}\n\n: comment\n\nno event at all'
    with serving(replace(HELLO, raw=raw)) as upstream:
        assert call(make_arm(upstream.url, provider=provider), path) == raw
    assert upstream.call.body == BODY
    assert upstream.call.path == path
    assert upstream.call.headers["content-type"] == "application/json"
    assert upstream.call.headers["x-passed-on"] == "yes"


@each_path
def test_an_answer_is_decoded_and_says_no_length_or_encoding(provider: str, path: str) -> None:
    packed = gzip.compress(b"the answer")
    scene = Scene(raw=packed, headers={"content-encoding": "gzip", "retry-after": "7"})

    async def run(arm: ArmSection) -> tuple[dict[str, str], bytes]:
        client = open_provider(arm)
        answer = await client.send(path, b'{"model":"m"}', {}, stream=False)
        body = b"".join([chunk async for chunk in answer.iterate_bytes()])
        await client.aclose()
        return dict(answer.headers), body

    with serving(scene) as upstream:
        headers, body = asyncio.run(run(make_arm(upstream.url, provider=provider)))
    assert body == b"the answer"
    assert not {"content-encoding", "content-length", "transfer-encoding"} & headers.keys()
    assert headers["retry-after"] == "7"


@each_path
def test_the_key_is_sent_as_the_sdk_does(provider: str, path: str) -> None:
    with serving(HELLO) as upstream:
        call(make_arm(upstream.url, provider=provider), path)
    assert upstream.call.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in upstream.call.headers


@each_path
def test_a_server_without_a_key_gets_none(provider: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in SDK_VARIABLES:
        monkeypatch.setenv(variable, KEY)
    with serving(HELLO) as upstream:
        call(make_arm(upstream.url, provider=provider, api_key_env=None), path)
    assert KEY not in str(upstream.call.headers)
    assert not {"authorization", "x-api-key"} & upstream.call.headers.keys()


@each_path
@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 413, 429, 500, 503, 529])
def test_an_error_comes_back_as_it_was_and_nothing_is_sent_twice(
    provider: str, path: str, status: int
) -> None:
    with serving(Scene(status=status, error="so it is", headers={"retry-after": "3"})) as upstream:
        error = fail(make_arm(upstream.url, provider=provider), path)
    assert (error.kind, error.status) == (FailureKind.STATUS, status)
    assert orjson.loads(error.body)["error"]["message"] == "so it is"
    assert dict(error.headers)["retry-after"] == "3"
    assert len(upstream.app.calls) == 1


def test_a_redirect_is_not_followed() -> None:
    with (
        serving(HELLO) as elsewhere,
        serving(
            Scene(status=307, raw=b"", headers={"location": f"{elsewhere.url}/v1/chat/completions"})
        ) as upstream,
    ):
        assert fail(make_arm(upstream.url), "/v1/chat/completions").status == 307
    assert not elsewhere.app.calls


@each_path
def test_nobody_listening_is_a_failure_to_connect(provider: str, path: str) -> None:
    with serving(HELLO) as upstream:
        pass
    assert fail(make_arm(upstream.url, provider=provider), path).kind is FailureKind.CONNECT


@each_path
@pytest.mark.parametrize(
    ("scene", "timeouts", "stream"),
    [
        (replace(HELLO, first_token_s=60), {"first_token_timeout_s": 0.2}, True),
        (replace(HELLO, stall_after=0), {"first_token_timeout_s": 0.2}, True),
        (replace(HELLO, stall_after=2), {"gap_timeout_s": 0.2}, True),
        (ENDLESS, {"total_timeout_s": 0.5}, True),
        (replace(HELLO, first_token_s=60), {"total_timeout_s": 0.2}, False),
    ],
)
def test_each_time_out_ends_the_call_upstream(
    provider: str, path: str, scene: Scene, timeouts: dict[str, float], stream: bool
) -> None:
    with serving(scene) as upstream:
        error = fail(make_arm(upstream.url, provider=provider, **timeouts), path, stream=stream)
        assert error.kind is FailureKind.TIMEOUT
        wait_until(upstream.call.departed.is_set)


def test_an_answer_in_one_piece_need_not_begin_early() -> None:
    with serving(replace(HELLO, first_token_s=0.5)) as upstream:
        arm = make_arm(upstream.url, first_token_timeout_s=0.05)
        assert call(arm, "/v1/chat/completions", b'{"model":"m"}', stream=False)


@each_path
@pytest.mark.parametrize("cut_after", [1, 3])
def test_a_cut_answer_is_never_a_clean_end(provider: str, path: str, cut_after: int) -> None:
    with serving(replace(HELLO, cut_after=cut_after)) as upstream:
        assert fail(make_arm(upstream.url, provider=provider), path).kind is FailureKind.CUT


@each_path
def test_an_error_whose_body_is_cut_is_cut(provider: str, path: str) -> None:
    with serving(Scene(status=500, cut_after=1)) as upstream:
        assert fail(make_arm(upstream.url, provider=provider), path).kind is FailureKind.CUT


def test_a_connection_that_ends_before_its_answer_is_cut() -> None:
    async def run() -> UpstreamError:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        provider = open_provider(make_arm(f"http://127.0.0.1:{port}"))
        with pytest.raises(UpstreamError) as caught:
            await provider.send("/v1/chat/completions", BODY, {})
        await provider.aclose()
        server.close()
        return caught.value

    assert asyncio.run(run()).kind is FailureKind.CUT


@each_path
@pytest.mark.parametrize("first_token_s", [0.0, 60.0], ids=["while streaming", "before the first byte"])
def test_a_caller_who_leaves_ends_the_call_upstream(provider: str, path: str, first_token_s: float) -> None:
    async def leave(upstream: Upstream) -> None:
        client = open_provider(make_arm(upstream.url, provider=provider))
        reading = asyncio.create_task(read_all(client, path))
        seen = 1 if first_token_s == 0 else 0
        while not upstream.app.calls or upstream.call.chunks < seen:
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.to_thread(wait_until, upstream.call.departed.is_set)
        await client.aclose()

    with serving(replace(ENDLESS, first_token_s=first_token_s)) as upstream:
        asyncio.run(leave(upstream))
        assert upstream.call.chunks < len(ENDLESS.pieces)


@each_path
def test_closing_an_answer_ends_the_call_upstream_and_may_be_repeated(provider: str, path: str) -> None:
    async def close(upstream: Upstream) -> None:
        client = open_provider(make_arm(upstream.url, provider=provider))
        answer = await client.send(path, BODY, {})
        await anext(answer.iterate_bytes())
        await answer.aclose()
        await answer.aclose()
        await asyncio.to_thread(wait_until, upstream.call.departed.is_set)
        await client.aclose()

    with serving(ENDLESS) as upstream:
        asyncio.run(close(upstream))


def test_connections_are_used_again() -> None:
    async def run(arm: ArmSection) -> None:
        client = open_provider(arm)
        for _ in range(3):
            await read_all(client, "/v1/chat/completions")
        await client.aclose()

    with serving(HELLO) as upstream:
        asyncio.run(run(make_arm(upstream.url)))
    assert len(upstream.app.calls) == 3
    assert len({received.client for received in upstream.app.calls}) == 1


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_private_address_needs_permission(name: str) -> None:
    with serving(HELLO) as upstream:
        url = upstream.url.replace("127.0.0.1", name)
        error = fail(make_arm(url, allow_private=False), "/v1/chat/completions")
    assert error.kind is FailureKind.CONNECT
    assert "allow_private" in str(error)
    assert not upstream.app.calls


def test_a_key_in_a_file_is_read_again_when_it_changes_or_is_rejected(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("first-key\n")
    rejected = ["Bearer first-key"]

    def check(request: ScriptedRequest) -> Scene:
        return Scene(status=401) if request.headers["authorization"] in rejected else HELLO

    async def run(arm: ArmSection) -> None:
        client = open_provider(arm)
        with pytest.raises(UpstreamError):
            await read_all(client, "/v1/chat/completions")
        stat = key_file.stat()
        key_file.write_text("other-key\n")  # as long as the first
        os.utime(key_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert await read_all(client, "/v1/chat/completions")
        key_file.write_text("a-third-key")
        await read_all(client, "/v1/chat/completions")
        key_file.unlink()
        await read_all(client, "/v1/chat/completions")
        await client.aclose()

    with serving(check) as upstream:
        asyncio.run(run(make_arm(upstream.url, api_key_env=None, api_key_file=str(key_file))))
    sent = [received.headers["authorization"] for received in upstream.app.calls]
    assert sent == ["Bearer first-key", "Bearer other-key", "Bearer a-third-key", "Bearer a-third-key"]


def test_a_missing_key_is_a_settings_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSTREAM_TEST_KEY")
    with pytest.raises(ConfigError, match="UPSTREAM_TEST_KEY"):
        open_provider(make_arm("http://127.0.0.1:1"))
    with pytest.raises(ConfigError, match="no-file"):
        open_provider(make_arm("http://h", api_key_env=None, api_key_file=str(tmp_path / "no-file")))
    monkeypatch.setenv("UPSTREAM_TEST_KEY", "planted key\nin lines")
    with pytest.raises(ConfigError) as caught:
        open_provider(make_arm("http://127.0.0.1:1"))
    assert "planted" not in str(caught.value)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


@each_path
@pytest.mark.parametrize(
    "scene",
    [HELLO, replace(HELLO, cut_after=1), Scene(status=401, error=f"Incorrect API key provided: {KEY}.")],
)
def test_no_key_or_text_is_in_a_log_or_error(
    provider: str, path: str, scene: Scene, everything_logged: pytest.LogCaptureFixture
) -> None:
    with serving(scene) as upstream:
        try:
            call(make_arm(upstream.url, provider=provider), path, b'{"model":"m","x":"planted-text"}')
        except UpstreamError as error:
            shown = f"{error} {error!r} {error.__dict__}"
            assert KEY not in shown
            assert "planted-text" not in shown
    assert KEY not in everything_logged.text
    assert "planted-text" not in everything_logged.text


@each_path
def test_a_completion_has_text_usage_and_model(provider: str, path: str) -> None:
    usage = Usage(
        input_tokens=5, cache_read_tokens=3, cache_write_tokens=2, output_tokens=7, service_tier="priority"
    )
    dialect = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}[path]

    async def run(arm: ArmSection) -> None:
        client = open_provider(arm)
        completion = await client.complete("Hi", max_output_tokens=9)
        await client.aclose()
        assert (completion.text, completion.usage, completion.model) == ("Hello world", usage, "m-1")

    with serving(replace(HELLO, usage=usage)) as upstream:
        asyncio.run(run(make_arm(upstream.url, provider=provider, model="m-1", dialects=[dialect])))
    assert upstream.call.path == path


def test_a_completion_that_is_something_else_is_an_error() -> None:
    async def run(arm: ArmSection) -> UpstreamError:
        client = open_provider(arm)
        with pytest.raises(UpstreamError) as caught:
            await client.complete("Hi", max_output_tokens=9)
        await client.aclose()
        return caught.value

    for raw in (b"<html>", b"{}", b"[]", b'{"choices":[],"model":"m","usage":{}}'):
        with serving(Scene(raw=raw)) as upstream:
            assert asyncio.run(run(make_arm(upstream.url))).kind is FailureKind.GARBLED
