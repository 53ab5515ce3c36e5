"""Which providers there are, and what an arm makes of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from bandit_router.errors import ConfigError
from bandit_router.providers.addresses import is_public
from bandit_router.providers.registry import (
    describe_thin_dialects,
    find_translations,
    list_dialects,
    open_provider,
)
from bandit_router.providers.sdk import make_urls
from tests.providers.upstream import make_arm

NATIVE = {
    "openai": ["chat", "responses"],
    "anthropic": ["messages", "chat"],
    "scripted": ["chat", "responses", "messages"],
}


@pytest.mark.parametrize(
    ("fields", "dialects"),
    [
        *[({"provider": provider}, dialects) for provider, dialects in NATIVE.items()],
        ({"provider": "mistral"}, []),
        ({"base_url": "http://h/v1"}, ["chat", "responses"]),
        ({"base_url": {"chat": "http://h/v1", "messages": "http://h"}}, ["chat", "messages"]),
        ({"base_url": "http://h/v1", "dialects": ["messages"]}, ["messages"]),
        ({"provider": "anthropic", "dialects": ["messages"]}, ["messages"]),
        ({"provider": "anthropic", "base_url": "http://h"}, ["messages", "chat"]),
        ({"provider": "anthropic", "base_url": {"messages": "http://h"}}, ["messages", "chat"]),
        ({"provider": "anthropic", "base_url": {"responses": "http://h/v1"}}, ["responses"]),
    ],
)
def test_the_dialects_of_an_arm(fields: dict[str, Any], dialects: list[str]) -> None:
    assert list(list_dialects(make_arm(**fields))) == dialects


@pytest.mark.parametrize("provider", ["azure", "bedrock", "vertex", "mistral"])
def test_another_provider_is_a_settings_error(provider: str) -> None:
    with pytest.raises(ConfigError, match=f"'{provider}'.*(yet|not one)"):
        open_provider(make_arm(provider=provider))


def test_a_dialect_that_the_provider_does_not_speak_needs_a_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    with pytest.raises(ConfigError, match="responses"):
        open_provider(make_arm(provider="anthropic", dialects=["responses", "messages"]))


@pytest.mark.parametrize(
    ("fields", "translated"),
    [
        ({}, True),
        ({"dialects": ["chat"]}, True),
        ({"base_url": "http://h"}, True),
        ({"dialects": ["messages"]}, False),
        ({"base_url": {"chat": "http://h/v1", "messages": "http://h"}}, False),
        ({"provider": "openai"}, False),
    ],
)
def test_chat_is_translated_unless_the_arm_speaks_it(
    fields: dict[str, Any], translated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "key")
    arm = make_arm(**{"provider": "anthropic", **fields})
    assert find_translations(arm) == ({"chat": "messages"} if translated else {})
    provider: Any = open_provider(arm)
    assert ("/v1/messages" in provider._urls) is (arm.provider == "anthropic")
    asyncio.run(provider.aclose())


def test_base_urls_are_written_as_sdks_have_them() -> None:
    arm = make_arm(base_url={"chat": "http://h/api/v1/", "messages": "http://h/api"})
    assert make_urls(arm, {}, list_dialects(arm)) == {
        "/v1/chat/completions": "http://h/api/v1/chat/completions",
        "/v1/embeddings": "http://h/api/v1/embeddings",
        "/v1/messages": "http://h/api/v1/messages",
        "/v1/messages/count_tokens": "http://h/api/v1/messages/count_tokens",
    }


def test_an_arm_calls_its_provider_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "key")
        monkeypatch.setenv(f"{name}_BASE_URL", "http://elsewhere.invalid")
    urls = set()
    for provider in ("openai", "anthropic"):
        client: Any = open_provider(make_arm(provider=provider))
        urls |= set(client._urls.values())
        asyncio.run(client.aclose())
    assert urls == {
        "https://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1/embeddings",
        "https://api.openai.com/v1/responses",
        "https://api.anthropic.com/v1/messages",
        "https://api.anthropic.com/v1/messages/count_tokens",
    }


def test_a_dialect_with_fewer_than_two_arms_is_warned_of() -> None:
    arms = [make_arm(name="a"), make_arm(name="b"), make_arm(name="c", provider="anthropic")]
    (warning,) = describe_thin_dialects(arms)
    assert "'c'" in warning
    assert "messages" in warning
    assert "chat" not in warning  # which an arm of Anthropic takes in translation
    assert describe_thin_dialects([arms[2], arms[2]])[0].startswith("no arm speaks the dialect responses")
    off = make_arm(name="c", provider="anthropic", enabled=False)
    assert describe_thin_dialects([*arms[:2], off]) == [
        warning.replace("only arm 'c' speaks", "no arm speaks")
    ]
    assert describe_thin_dialects([make_arm(provider="scripted"), make_arm(provider="scripted")]) == []


PUBLIC = ["93.184.216.34", "2606:2800:220:1::1"]
NOT_PUBLIC = """
    127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
    ::1 fe80::1%eth0 fd00::1 ff02::1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
""".split()  # noqa: SIM905 - a table reads better


def test_which_addresses_are_public() -> None:
    assert [address for address in PUBLIC + NOT_PUBLIC if is_public(address)] == PUBLIC


def test_neither_sdk_nor_price_list_is_loaded_before_it_is_needed() -> None:
    code = """
import sys
from bandit_router.providers.registry import open_provider
from bandit_router.settings import make_settings
arm = {"name": "a", "provider": "scripted", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}
open_provider(make_settings({"arms": [arm]}).arms[0])
assert not {"openai", "anthropic", "genai_prices"} & sys.modules.keys(), "loaded"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
