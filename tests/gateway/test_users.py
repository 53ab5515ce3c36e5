"""Users of the gateway: named by a header, by metadata, or by the field that the API has for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from bandit_router.gateway.dialects import DIALECTS
from bandit_router.providers.scripted import Scene
from bandit_router.security.users import hash_user
from bandit_router.store.store import Store
from tests.gateway.conftest import Gateway, gateway_to
from tests.gateway.dialects.examples import REQUESTS

HELLO = Scene(pieces=("Hello",))
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with gateway_to(tmp_path, {"cheap": HELLO}) as running:
        yield running


def hashes(gateway: Gateway, *users: str) -> list[str]:
    with closing(Store.open(f"sqlite:///{gateway.service.database}", "default", create=False)) as store:
        secret = store.user_secret()
    return [hash_user(secret, user) for user in users]


def test_a_decision_is_of_the_user_that_the_client_names(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.openai_url, api_key="unused", max_retries=0) as client:
        create = client.chat.completions.create
        create(model="auto", messages=MESSAGES, user="u1")
        create(model="auto", messages=MESSAGES, user="u1", extra_body={"safety_identifier": "u2"})
        create(model="auto", messages=MESSAGES, user="u1", extra_headers={"x-bandit-user": "u3"})
        create(model="auto", messages=MESSAGES, user="u1", metadata={"x-bandit-user": "u4"})
        client.responses.create(model="auto", input="Say hello.", user="u5")
    with anthropic.Anthropic(base_url=gateway.anthropic_url, api_key="unused", max_retries=0) as other:
        metadata: Any = {"user_id": "u6"}
        other.messages.create(model="auto", max_tokens=9, messages=MESSAGES, metadata=metadata)
    decisions = [decision for decision, _ in gateway.read_calls(6)]
    assert [decision.user for decision in decisions] == hashes(gateway, "u1", "u2", "u3", "u4", "u5", "u6")
    assert len({decision.conversation for decision in decisions[:3]}) == 3
    sent = [json.loads(call.body) for call in gateway.upstreams["cheap"].app.calls]
    assert [body.get("user") for body in sent] == ["u1"] * 4 + ["u5", None]
    assert sent[-1]["metadata"] == {"user_id": "u6"}


@pytest.mark.parametrize(
    ("name", "members", "user"),
    [
        ("chat", {"user": "u"}, "u"),
        ("chat", {"user": "u", "safety_identifier": "s"}, "s"),
        ("chat", {"user": "u", "safety_identifier": ""}, "u"),
        ("chat", {"user": 7}, None),
        ("chat", {"user": "x" * 257}, None),
        ("chat", {"user": "a\0"}, None),
        ("responses", {"safety_identifier": "s"}, "s"),
        ("messages", {"metadata": {"user_id": "x" * 256}}, "x" * 256),
        ("messages", {"metadata": {"user_id": None}}, None),
        ("messages", {"metadata": "u"}, None),
        ("messages", {"user": "u"}, None),
    ],
)
def test_what_a_request_calls_its_user(name: str, members: dict[str, Any], user: str | None) -> None:
    raw = json.dumps({**REQUESTS[name], **members}).encode()
    assert DIALECTS[name].read_request(raw).user == user
