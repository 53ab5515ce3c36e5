"""The official Anthropic client sees through the gateway what it sees at the provider, and so does that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from bandit_router.providers.scripted import Scene
from bandit_router.types import Usage
from tests.gateway.comparison import ARM, Ask, Stage, staging
from tests.gateway.dialects.examples import EXAMPLES, Example
from tests.providers.upstream import wait_until

USAGE = Usage(input_tokens=8, cache_read_tokens=4, cache_write_tokens=2, output_tokens=3)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE)
WEATHER = Scene(pieces=("Let me look.",), tool=("weather", '{"city":"Köln"}'), finish="tool", usage=USAGE)
JSON = Scene(pieces=('{"city":', '"Köln"}'), usage=USAGE)
MESSAGES: Any = [{"role": "user", "content": "Grüß Köln!"}]
PARAMETERS: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": "weather", "input_schema": PARAMETERS}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
IMAGE: Any = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}
TOOL_TURNS: Any = [
    *MESSAGES,
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "1/2 ü", "signature": "EqoBCkgIARABGAIiQL=="},
            {"type": "redacted_thinking", "data": "EmwKAhgBEgy3"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "K"}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 °C", "is_error": False}],
    },
]


class Place(BaseModel):
    city: str


def create(**fields: Any) -> Ask:
    return lambda client, model: client.messages.create(
        model=model, **{"max_tokens": 2048, "messages": MESSAGES} | fields
    )


def stream(**fields: Any) -> Ask:
    def ask(client: anthropic.Anthropic, model: str) -> Any:
        request: Any = {"max_tokens": 2048, "messages": MESSAGES} | fields
        with client.messages.stream(model=model, **request) as stream:
            return [event.type for event in stream], stream.get_final_message()

    return ask


def parse(client: anthropic.Anthropic, model: str) -> Any:
    answer = client.messages.parse(model=model, max_tokens=64, messages=MESSAGES, output_format=Place)
    assert answer.parsed_output == Place(city="Köln")
    return answer.id, answer.usage, answer.stop_reason


ASKED: dict[str, tuple[Scene, Ask]] = {
    "message": (HELLO, create(system="Be brief.", stop_sequences=["x"], metadata={"user_id": "u"})),
    "message, streamed": (HELLO, create(stream=True)),
    "message by the helper": (HELLO, stream()),
    "tool call": (WEATHER, create(tools=TOOLS)),
    "tool call, streamed": (WEATHER, create(tools=TOOLS, stream=True)),
    "tool call by the helper": (WEATHER, stream(tools=TOOLS)),
    "tool result after signed thinking": (HELLO, create(tools=TOOLS, messages=TOOL_TURNS, thinking=THINKING)),
    "tool result after signed thinking, by the helper": (
        HELLO,
        stream(tools=TOOLS, messages=TOOL_TURNS, thinking=THINKING),
    ),
    "image": (HELLO, create(messages=[{"role": "user", "content": [IMAGE]}])),
    "JSON schema by the helper": (JSON, parse),
}
EVERY_KIND: dict[str, Ask] = {
    "message": create(),
    "message, streamed": create(stream=True),
    "message by the helper": stream(),
}
each_kind = pytest.mark.parametrize("ask", EVERY_KIND.values(), ids=EVERY_KIND)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staging(tmp_path_factory.mktemp("gateway")) as stage:
        yield stage


@pytest.mark.parametrize(("scene", "ask"), ASKED.values(), ids=ASKED)
def test_answers(stage: Stage, scene: Scene, ask: Ask) -> None:
    stage.play(scene)
    assert "status" not in stage.compare(anthropic.Anthropic, ask)  # it is no error


@pytest.mark.parametrize("example", EXAMPLES["messages"].values(), ids=EXAMPLES["messages"])
def test_the_bytes_of_an_answer(stage: Stage, example: Example) -> None:
    def read(client: anthropic.Anthropic, model: str) -> bytes:
        raw = client.messages.with_raw_response.create(
            model=model, max_tokens=64, messages=MESSAGES, stream=example.stream
        )
        return raw.http_response.read()

    media_type = "text/event-stream" if example.stream else "application/json"
    stage.play(Scene(raw=example.answer, headers={"content-type": media_type}))
    assert stage.compare(anthropic.Anthropic, read) == example.answer


@each_kind
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 429, 500, 503, 529])
def test_errors(stage: Stage, status: int, ask: Ask) -> None:
    headers = {"retry-after": "7", "request-id": "req_up"}
    stage.play(Scene(status=status, error="scripted words", headers=headers))
    seen = stage.compare(
        anthropic.Anthropic, ask, model=ARM
    )  # an arm that is named is called though it cools
    assert (seen["status"], seen["request id"]) == (status, "req_up")
    assert "scripted words" in seen["text"]
    assert seen["headers"]["retry-after"] == "7"


@each_kind
def test_a_client_that_waits_no_longer(stage: Stage, ask: Ask) -> None:
    def ask_once(client: anthropic.Anthropic, model: str) -> Any:
        return ask(client.with_options(max_retries=0), model)

    stage.play(Scene(first_token_s=60.0))
    seen = stage.compare(anthropic.Anthropic, ask_once, model=ARM, timeout=0.5)
    assert seen["type"] is anthropic.APITimeoutError
    wait_until(lambda: all(call.departed.is_set() for call in stage.calls))


@each_kind
def test_an_answer_that_is_cut_raises_an_api_error(stage: Stage, ask: Ask) -> None:
    """The provider's own connection would end with an error of the HTTP library instead."""
    stage.play(replace(HELLO, cut_after=4))
    with (
        anthropic.Anthropic(base_url=stage.gateway.anthropic_url, api_key="sk-client") as client,
        pytest.raises(anthropic.APIError),
    ):
        list(ask(client, ARM))
    assert len(stage.calls) == 1
