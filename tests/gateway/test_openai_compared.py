"""The official OpenAI client sees through the gateway what it sees at the provider, and so does that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from bandit_router.providers.scripted import Scene
from bandit_router.types import Usage
from tests.gateway.comparison import ARM, Ask, Stage, staging
from tests.gateway.dialects.examples import EXAMPLES, Example
from tests.providers.upstream import wait_until

USAGE = Usage(input_tokens=8, cache_read_tokens=4, output_tokens=3, reasoning_tokens=1)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE)
WEATHER = Scene(tool=("weather", '{"city":"Köln"}'), finish="tool", usage=USAGE)
JSON = Scene(pieces=('{"city":', '"Köln"}'), usage=USAGE)
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüß Köln!"}]
PARAMETERS: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
TOOLS: Any = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}]
IMAGE = "data:image/png;base64,iVBORw0KGgo="
CHAT_IMAGE: Any = [
    {
        "role": "user",
        "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
    }
]
INPUT_IMAGE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What?"},
            {"type": "input_image", "image_url": IMAGE, "detail": "auto"},
        ],
    }
]
CHAT_TOOL_TURNS: Any = [
    *MESSAGES,
    {
        "role": "assistant",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "K"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
]
TOOL_TURNS: Any = [
    {"role": "user", "content": "Weather?"},
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "K"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "12 °C"},
]
JSON_OBJECT: Any = {"type": "json_object"}
JSON_SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}
TEXT_SCHEMA: Any = {"format": {"type": "json_schema", "name": "place", "schema": PARAMETERS}}


class Place(BaseModel):
    city: str


def chat(**fields: Any) -> Ask:
    return lambda client, model: client.chat.completions.create(
        model=model, **{"messages": MESSAGES} | fields
    )


def chat_stream(**fields: Any) -> Ask:
    return chat(stream=True, stream_options={"include_usage": True}, **fields)


def respond(**fields: Any) -> Ask:
    return lambda client, model: client.responses.create(model=model, **{"input": MESSAGES} | fields)


def parse_chat(client: openai.OpenAI, model: str) -> Any:
    answer = client.chat.completions.parse(model=model, messages=MESSAGES, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Köln")
    return answer.id, answer.usage, answer.choices[0].message.content


def stream_chat(client: openai.OpenAI, model: str) -> Any:
    options: Any = {"include_usage": True}
    with client.chat.completions.stream(
        model=model, messages=MESSAGES, tools=CHAT_TOOLS, stream_options=options
    ) as stream:
        return [event.type for event in stream], stream.get_final_completion().to_dict()


def parse_response(client: openai.OpenAI, model: str) -> Any:
    answer = client.responses.parse(model=model, input=MESSAGES, text_format=Place)
    assert answer.output_parsed == Place(city="Köln")
    return answer.id, answer.usage, answer.output_text


def stream_response(client: openai.OpenAI, model: str) -> Any:
    with client.responses.stream(model=model, input=MESSAGES, tools=TOOLS) as stream:
        return [event.type for event in stream], stream.get_final_response().to_dict()


ASKED: dict[str, tuple[Scene, Ask]] = {
    "chat": (HELLO, chat()),
    "chat, streamed": (HELLO, chat_stream()),
    "chat, tool call": (WEATHER, chat(tools=CHAT_TOOLS)),
    "chat, tool call, streamed": (WEATHER, chat_stream(tools=CHAT_TOOLS)),
    "chat, tool result": (HELLO, chat(tools=CHAT_TOOLS, messages=CHAT_TOOL_TURNS)),
    "chat, tool result, streamed": (HELLO, chat_stream(tools=CHAT_TOOLS, messages=CHAT_TOOL_TURNS)),
    "chat, tools by the helper": (WEATHER, stream_chat),
    "chat, image": (HELLO, chat(messages=CHAT_IMAGE)),
    "chat, JSON": (JSON, chat(response_format=JSON_OBJECT)),
    "chat, JSON schema": (JSON, chat(response_format=JSON_SCHEMA)),
    "chat, JSON schema, streamed": (JSON, chat_stream(response_format=JSON_SCHEMA)),
    "chat, JSON schema by the helper": (JSON, parse_chat),
    "responses": (HELLO, respond()),
    "responses, streamed": (HELLO, respond(stream=True)),
    "responses, tool call": (WEATHER, respond(tools=TOOLS)),
    "responses, tool call, streamed": (WEATHER, respond(tools=TOOLS, stream=True)),
    "responses, tool result": (HELLO, respond(tools=TOOLS, input=TOOL_TURNS)),
    "responses, tool result, streamed": (HELLO, respond(tools=TOOLS, input=TOOL_TURNS, stream=True)),
    "responses, tools by the helper": (WEATHER, stream_response),
    "responses, image": (HELLO, respond(input=INPUT_IMAGE)),
    "responses, JSON schema": (JSON, respond(text=TEXT_SCHEMA)),
    "responses, JSON schema, streamed": (JSON, respond(text=TEXT_SCHEMA, stream=True)),
    "responses, JSON schema by the helper": (JSON, parse_response),
}
EVERY_KIND: dict[str, Ask] = {
    "chat": chat(),
    "chat, streamed": chat_stream(),
    "responses": respond(),
    "responses, streamed": respond(stream=True),
}
each_kind = pytest.mark.parametrize("ask", EVERY_KIND.values(), ids=EVERY_KIND)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staging(tmp_path_factory.mktemp("gateway")) as stage:
        yield stage


@pytest.mark.parametrize(("scene", "ask"), ASKED.values(), ids=ASKED)
def test_answers(stage: Stage, scene: Scene, ask: Ask) -> None:
    stage.play(scene)
    assert "type" not in stage.compare(openai.OpenAI, ask)  # it is no error


@pytest.mark.parametrize(
    ("dialect", "example"),
    [
        pytest.param(dialect, example, id=f"{dialect}, {kind}")
        for dialect in ("chat", "responses")
        for kind, example in EXAMPLES[dialect].items()
    ],
)
def test_the_bytes_of_an_answer(
    stage: Stage, dialect: Literal["chat", "responses"], example: Example
) -> None:
    ask = chat_stream if dialect == "chat" and example.stream else chat if dialect == "chat" else respond
    fields: dict[str, Any] = {"stream": True} if dialect == "responses" and example.stream else {}

    def read(client: openai.OpenAI, model: str) -> bytes:
        raw = ask(**fields)(RawClient(client), model)
        content: bytes = raw.http_response.read()
        return content

    media_type = "text/event-stream" if example.stream else "application/json"
    stage.play(Scene(raw=example.answer, headers={"content-type": media_type}))
    assert stage.compare(openai.OpenAI, read) == example.answer


class RawClient:
    """The part of a client that returns raw responses."""

    def __init__(self, client: openai.OpenAI) -> None:
        self.chat = client.chat.with_raw_response
        self.responses = client.responses.with_raw_response


def test_usage_that_nobody_asked_for_is_not_in_a_stream(stage: Stage) -> None:
    """The one change to an answer: upstream is asked for usage, and its chunk is taken out."""

    def ask(client: openai.OpenAI, model: str) -> Any:
        chunks = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        return [chunk.model_dump(exclude={"id"}) for chunk in chunks]  # the script makes it of the request

    stage.play(HELLO)
    assert stage.compare(openai.OpenAI, ask, added=b',"stream_options":{"include_usage":true}')


@each_kind
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503])
def test_errors(stage: Stage, status: int, ask: Ask) -> None:
    headers = {"retry-after": "7", "x-request-id": "req_up", "x-ratelimit-limit-requests": "9"}
    stage.play(Scene(status=status, error="scripted words", headers=headers))
    seen = stage.compare(openai.OpenAI, ask, model=ARM)  # an arm that is named is called though it cools
    assert (seen["status"], seen["request id"]) == (status, "req_up")
    assert "scripted words" in seen["text"]
    assert seen["headers"]["retry-after"] == "7"


@each_kind
def test_an_error_that_is_not_json(stage: Stage, ask: Ask) -> None:
    page = Scene(status=502, raw=b"<h1>Bad Gateway</h1>", headers={"content-type": "text/html"})
    stage.play(page)
    assert stage.compare(openai.OpenAI, ask, model=ARM)["bytes"] == page.raw


@each_kind
def test_a_client_that_waits_no_longer(stage: Stage, ask: Ask) -> None:
    stage.play(Scene(first_token_s=60.0))

    def ask_once(client: openai.OpenAI, model: str) -> Any:
        return ask(client.with_options(max_retries=0), model)

    seen = stage.compare(openai.OpenAI, ask_once, model=ARM, timeout=0.5)
    assert seen["type"] is openai.APITimeoutError
    wait_until(lambda: all(call.departed.is_set() for call in stage.calls))


@pytest.mark.parametrize(
    ("ask", "chunks"), [(chat_stream(), 3), (respond(stream=True), 6)], ids=["chat", "responses"]
)
def test_a_stream_that_is_cut_raises_an_api_error(stage: Stage, ask: Ask, chunks: int) -> None:
    """The provider's own connection would end with an error of the HTTP library instead."""
    got: list[Any] = []
    stage.play(replace(HELLO, cut_after=chunks))
    with (
        openai.OpenAI(base_url=stage.gateway.openai_url, api_key="sk-client") as client,
        pytest.raises(openai.APIError, match="cut upstream"),
    ):
        got.extend(ask(client, ARM))
    assert len(stage.calls) == 1
