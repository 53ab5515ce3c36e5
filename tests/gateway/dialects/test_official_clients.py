"""The official clients read what our dialects write, and our examples are what their types say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bandit_router.gateway.dialects import DIALECTS
from tests.contracts.dialect import open_tap
from tests.gateway.dialects.examples import EXAMPLES, REQUESTS, Example

openai: Any = pytest.importorskip("openai")
anthropic: Any = pytest.importorskip("anthropic")
httpx2: Any = pytest.importorskip("httpx2")

_ANSWERS = [
    pytest.param(name, example, id=f"{name}: {kind}")
    for name, examples in EXAMPLES.items()
    for kind, example in examples.items()
    if not example.facts.error
]
_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
}


def open_client(name: str, content: bytes, status: int = 200, media_type: str = "application/json") -> Any:
    """An official client whose every request is answered so."""

    def answer(_request: Any) -> Any:
        return httpx2.Response(status, content=content, headers={"content-type": media_type})

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = anthropic.Anthropic if name == "messages" else openai.OpenAI
    return client(api_key="none", http_client=http_client, max_retries=0)


def call(name: str, client: Any, stream: bool) -> Any:
    endpoints = {"chat": "chat.completions", "responses": "responses", "messages": "messages"}
    endpoint = client
    for part in endpoints[name].split("."):
        endpoint = getattr(endpoint, part)
    return endpoint.create(**REQUESTS[name], stream=stream)


def stream(name: str, content: bytes) -> list[Any]:
    return list(call(name, open_client(name, content, media_type="text/event-stream"), True))


@pytest.mark.parametrize(("name", "example"), _ANSWERS)
def test_examples_are_of_their_types(name: str, example: Example) -> None:
    if example.stream:
        answers = stream(name, example.answer)
    else:
        answers = [call(name, open_client(name, example.answer), False)]
    assert answers
    for answer in answers:
        type(answer).model_validate_json(answer.model_dump_json(exclude_unset=True))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("status", _ERRORS)
def test_errors(name: str, status: int) -> None:
    body = DIALECTS[name].error_body(status, "no such model", "a_code")
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError), match="no such model") as caught:
        call(name, open_client(name, body, status), False)
    assert type(caught.value).__name__ == _ERRORS[status]
    assert caught.value.type == json.loads(body)["error"]["type"]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("missing", [5, 60])
def test_a_cut_stream_raises(name: str, missing: int) -> None:
    example = EXAMPLES[name]["streamed text"]
    tap = open_tap(DIALECTS[name], example)
    passed = tap.feed(example.answer[:-missing])
    with pytest.raises((openai.APIError, anthropic.APIError), match="upstream was cut"):
        stream(name, passed + DIALECTS[name].error_event("upstream was cut"))


@pytest.mark.parametrize("name", DIALECTS)
def test_models(name: str) -> None:
    models = list(open_client(name, DIALECTS[name].models_body(["auto", "gpt"])).models.list())
    assert [model.id for model in models] == ["auto", "gpt"]
    for model in models:
        type(model).model_validate_json(model.model_dump_json(exclude_unset=True))
