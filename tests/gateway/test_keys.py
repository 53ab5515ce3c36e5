"""Keys of the gateway: official clients set `api_key`, and raise what an error of ours means to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import anthropic
import httpx
import openai
import pytest

from bandit_router.providers.scripted import Scene
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import Scope
from bandit_router.store.store import Store
from tests.gateway.conftest import Gateway, gateway_to
from tests.providers.upstream import wait_until

HELLO = Scene(pieces=("Hello",))
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_to(tmp_path_factory.mktemp("keys"), {"cheap": HELLO, "dear": HELLO}) as running:
        make_key(running, Scope.ADMIN)
        wait_until(lambda: httpx.get(f"{running.openai_url}/models").status_code == 401)
        yield running


def make_key(gateway: Gateway, *scopes: str, **limits: Any) -> str:
    url = f"sqlite:///{gateway.service.database}"
    with closing(Store.open(url, "default", create=False)) as store:
        return store.create_key(KeyRequest(name="sdk", scopes=scopes, **limits)).credential


def openai_client(gateway: Gateway, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.openai_url, api_key=api_key, max_retries=0)


def ask(client: openai.OpenAI, model: str = "auto") -> Any:
    return client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)


def anthropic_client(gateway: Gateway, api_key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.anthropic_url, api_key=api_key, max_retries=0)


def test_the_clients_only_set_their_api_key(gateway: Gateway) -> None:
    api_key = make_key(gateway, Scope.ROUTE)
    with openai_client(gateway, api_key) as client:
        assert ask(client).parse().choices[0].message.content == "Hello"
        assert [
            chunk.id for chunk in client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
        ]
        assert [model.id for model in client.models.list()] == ["auto", "claude-auto", "cheap", "dear"]
    with anthropic_client(gateway, api_key) as other:
        answer = other.messages.create(model="claude-auto", max_tokens=64, messages=MESSAGES)
        assert answer.content
    sent = str([(call.headers, call.body) for call in gateway.upstreams["cheap"].app.calls])
    assert "br_" not in sent
    assert "br_" not in gateway.service.log


def test_without_a_valid_key_they_raise_an_authentication_error(gateway: Gateway) -> None:
    for api_key in ("sk-unused", f"br_{'0' * 12}_{'x' * 43}"):
        with openai_client(gateway, api_key) as client, pytest.raises(openai.AuthenticationError):
            ask(client)
        with openai_client(gateway, api_key) as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        with anthropic_client(gateway, api_key) as other, pytest.raises(anthropic.AuthenticationError):
            other.messages.create(model="claude-auto", max_tokens=64, messages=MESSAGES)
        with anthropic_client(gateway, api_key) as other, pytest.raises(anthropic.AuthenticationError):
            other.messages.count_tokens(model="claude-auto", messages=MESSAGES)


def test_without_the_scope_they_raise_a_permission_error(gateway: Gateway) -> None:
    api_key = make_key(gateway, Scope.READ, Scope.FEEDBACK)
    with openai_client(gateway, api_key) as client, pytest.raises(openai.PermissionDeniedError) as denied:
        ask(client)
    assert "lacks the scope route" in str(denied.value)
    with anthropic_client(gateway, api_key) as other, pytest.raises(anthropic.PermissionDeniedError):
        other.messages.create(model="claude-auto", max_tokens=64, messages=MESSAGES)


def test_beyond_the_rate_they_raise_a_rate_limit_error(gateway: Gateway) -> None:
    api_key = make_key(gateway, Scope.ROUTE, requests_per_second=0.01, burst=1)
    with openai_client(gateway, api_key) as client:
        ask(client)
        with pytest.raises(openai.RateLimitError) as limited:
            ask(client)
    assert 1 <= int(limited.value.response.headers["retry-after"]) <= 100


def test_a_key_for_some_arms_has_no_other_called(gateway: Gateway) -> None:
    api_key = make_key(gateway, Scope.ROUTE, arms=["dear"])
    with openai_client(gateway, api_key) as client:
        answer = ask(client)  # the policy takes the cheapest that may be called
        assert answer.headers["x-bandit-arm"] == "dear"
        assert ask(client, "dear").headers["x-bandit-arm"] == "dear"
        with pytest.raises(openai.PermissionDeniedError, match="not for arm 'cheap'"):
            ask(client, "cheap")
        assert [model.id for model in client.models.list()] == ["auto", "claude-auto", "dear"]
    with closing(Store.open(f"sqlite:///{gateway.service.database}", "default", create=False)) as store:
        decision = store.decision(answer.headers["x-bandit-decision"])
    assert decision.excluded == {"cheap": "the API key is not for this arm"}
    assert api_key.split("_")[1] == decision.key_id
    assert (decision.eligible, decision.pmf) == (("dear",), (1.0,))
    with anthropic_client(gateway, api_key) as other, pytest.raises(anthropic.PermissionDeniedError):
        other.messages.count_tokens(model="cheap", messages=MESSAGES)


def test_two_keys_have_no_conversation_in_common(gateway: Gateway) -> None:
    kept = []
    for _ in range(2):
        with openai_client(gateway, make_key(gateway, Scope.ROUTE)) as client:
            kept.append(ask(client).headers["x-bandit-decision"])
    with closing(Store.open(f"sqlite:///{gateway.service.database}", "default", create=False)) as store:
        one, other = (store.decision(decision_id).conversation for decision_id in kept)
    assert one is not None
    assert one != other


def test_a_revoked_key_is_refused_soon(gateway: Gateway) -> None:
    api_key = make_key(gateway, Scope.READ)
    url, headers = f"{gateway.service.url}/v1/arms", {"x-api-key": api_key}
    assert httpx.get(url, headers=headers).status_code == 200
    with closing(Store.open(f"sqlite:///{gateway.service.database}", "default", create=False)) as store:
        store.revoke_key(api_key.split("_")[1])
    wait_until(lambda: httpx.get(url, headers=headers).status_code == 401)
