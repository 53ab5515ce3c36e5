"""The official Anthropic client in front of the gateway, with nothing changed but its base_url."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from bandit_router.providers.scripted import Scene
from bandit_router.types import CallOutcome, Usage
from tests.gateway.conftest import Gateway, gateway_to

USAGE = Usage(input_tokens=8, cache_read_tokens=4, cache_write_tokens=2, output_tokens=3)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE)
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


def client_of(gateway: Gateway) -> anthropic.Anthropic:
    version = {"anthropic-version": "2023-06-01"}
    return anthropic.Anthropic(base_url=gateway.anthropic_url, api_key="sk-client", default_headers=version)


def ask(client: anthropic.Anthropic, model: str = "claude-auto") -> anthropic.types.Message:
    return client.messages.create(model=model, max_tokens=64, messages=MESSAGES)


def test_a_message_is_answered_routed_and_priced(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway, client_of(gateway) as client:
        answer = ask(client)
        assert [block.text for block in answer.content if block.type == "text"] == ["Hello world"]
        with client.messages.stream(model="claude-auto", max_tokens=64, messages=MESSAGES) as stream:
            assert stream.get_final_text() == "Hello world"
            streamed = stream.get_final_message().id
        (_, one), (_, two) = gateway.read_calls(2)
        assert [one.outcome, two.outcome] == [CallOutcome.ANSWERED] * 2
        assert [one.answer_id, two.answer_id] == [answer.id, streamed]
        assert one.usage == two.usage == USAGE
        feedback = {"decision_id": streamed, "metrics": {"quality": 1.0}}
        said = httpx.post(f"{gateway.service.url}/v1/feedback", json=feedback)
        assert said.json()["decision_id"] == two.decision_id
        call = gateway.upstreams["cheap"].app.calls[0]
        assert call.headers["anthropic-version"] == "2023-06-01"
        assert "sk-client" not in str(call.headers)
        models = client.models.list()
        assert [model.id for model in models.data] == ["auto", "claude-auto", "cheap", "dear"]


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (429, anthropic.RateLimitError),
        (529, anthropic.APIStatusError),
    ],
)
def test_out_of_arms_the_client_raises_what_the_last_one_said(
    tmp_path: Path, status: int, raised: type[anthropic.APIStatusError]
) -> None:
    scene = Scene(status=status, error="scripted words")
    with gateway_to(tmp_path, {"cheap": scene, "dear": scene}) as gateway, client_of(gateway) as client:
        with pytest.raises(raised, match="scripted words") as caught:
            ask(client)
        assert caught.value.status_code == status
        assert len(gateway.read_calls(1 if status == 400 else 2)) > 0


def test_an_unknown_model_is_a_404_in_the_form_of_the_dialect(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway, client_of(gateway) as client:
        with pytest.raises(anthropic.NotFoundError) as caught:
            ask(client, "claude-nothing")
        assert caught.value.body["type"] == "error"  # type: ignore[index]


def test_a_stream_cut_after_its_first_content_raises(tmp_path: Path) -> None:
    cut = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, cut_after=5)
    with gateway_to(tmp_path, {"cheap": cut, "dear": HELLO}) as gateway, client_of(gateway) as client:
        stream = client.messages.create(model="claude-auto", max_tokens=64, messages=MESSAGES, stream=True)
        with pytest.raises(anthropic.APIError):
            list(stream)
        ((decision, end),) = gateway.read_calls(1)
        assert (end.outcome, end.cost_reported) == (CallOutcome.CUT, False)
        assert end.cost_usd >= decision.expected_cost_usd
