"""Pinned traffic through the gateway: it goes to the arm, and falls back when the arm fails."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest

from bandit_router.providers.scripted import Scene
from bandit_router.store.store import Store
from bandit_router.types import Reason
from tests.gateway.conftest import Gateway, gateway_to
from tests.providers.upstream import wait_until

HELLO = Scene(pieces=("Hello",))
DOWN = Scene(status=503, error="overloaded")
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


def ask(gateway: Gateway, model: str = "auto") -> str:
    """The arm that answered."""
    with openai.OpenAI(base_url=gateway.openai_url, api_key="unused", max_retries=0) as client:
        answer = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
    return str(answer.headers["x-bandit-arm"])


@pytest.mark.parametrize(("scene", "arm"), [(HELLO, "dear"), (DOWN, "cheap")])
def test_the_pinned_arm_is_called_and_another_when_it_fails(tmp_path: Path, scene: Scene, arm: str) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": scene}) as gateway:
        assert ask(gateway) == "cheap"
        with closing(Store.open(f"sqlite:///{gateway.service.database}", "default", create=False)) as store:
            store.pin_traffic("dear", 3600.0)
        wait_until(lambda: bool(gateway.upstreams["dear"].app.calls) or not ask(gateway))
        assert ask(gateway) == arm
        calls = len(gateway.upstreams["cheap"].app.calls) + len(gateway.upstreams["dear"].app.calls)
        decisions = [decision for decision, _ in gateway.read_calls(calls)]
        pinned = [decision for decision in decisions if decision.reason is Reason.PINNED]
        assert {decision.arm for decision in pinned} == {"dear"}
        if scene is DOWN:
            fallbacks = [each for each in decisions if each.reason is Reason.FALLBACK]
            assert {each.parent for each in fallbacks} == {each.id for each in pinned}


def test_a_client_that_names_an_arm_gets_the_pinned_one(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway:
        with closing(Store.open(f"sqlite:///{gateway.service.database}", "default", create=False)) as store:
            store.pin_traffic("dear", 3600.0)
        wait_until(lambda: ask(gateway, "cheap") == "dear")
