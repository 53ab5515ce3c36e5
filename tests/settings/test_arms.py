"""How an arm is called: what router.toml may say of it, and what of that is stored and shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandit_router.errors import ConfigError
from bandit_router.settings import Settings, make_settings
from bandit_router.settings.shared import dump_shared, restore_shared
from bandit_router.types import DialectName

ARM = {"name": "arm", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
PLANTED = "sk-planted-0123456789"


def make(**fields: Any) -> Settings:
    return make_settings({"arms": [ARM | fields]})


def test_one_base_url_is_that_of_every_dialect() -> None:
    assert make(base_url="http://h/v1").arms[0].base_urls() == dict.fromkeys(DialectName, "http://h/v1")
    assert make(base_url={"messages": "http://h"}).arms[0].base_urls() == {"messages": "http://h"}
    assert make().arms[0].base_urls() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"base_url": "ftp://host"},
        {"base_url": "localhost:8000"},
        {"base_url": f"https://user:{PLANTED}@host"},
        {"base_url": f"https://host/?key={PLANTED}"},
        {"base_url": {"chat": f"https://{PLANTED}@host"}},
        {"base_url": {"completions": "https://host"}},
        {"base_url": {"chat": "https://host"}, "dialects": ["chat", "messages"]},
        {"dialects": ["completions"]},
        {"api_key_env": PLANTED},
        {"api_key_env": "A", "api_key_file": "/b"},
        {"api_key": PLANTED},
        {"gap_timeout_s": 0},
        {"max_concurrency": 0},
        {"script": {"failure_rate": 2}},
    ],
)
def test_what_cannot_be_is_an_error_without_the_key_that_is_in_it(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"arms\[0\]") as caught:
        make(**fields)
    assert PLANTED not in str(caught.value)


def test_how_an_arm_is_called_is_stored_and_its_key_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_VARIABLE", PLANTED)
    settings = make(
        api_key_env="PLANTED_VARIABLE",
        base_url={"chat": "https://host/v1"},
        unsupported=["temperature"],
        max_concurrency=4,
        script={"seed": 3},
    )
    stored = json.dumps(dump_shared(settings))
    assert "PLANTED_VARIABLE" in stored
    assert PLANTED not in stored
    assert restore_shared(make_settings({}), json.loads(stored)) == settings
