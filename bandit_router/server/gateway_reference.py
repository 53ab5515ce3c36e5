"""The gateway's part of the OpenAPI document. Its bodies are those of other APIs, which describe them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

_OPENAI = "https://platform.openai.com/docs/api-reference"
_ANTHROPIC = "https://docs.anthropic.com/en/api"

_POSTS = {
    "/v1/chat/completions": ("Have a model answer a chat", f"{_OPENAI}/chat/create"),
    "/v1/responses": ("Have a model answer, in OpenAI's newer form", f"{_OPENAI}/responses/create"),
    "/v1/messages": ("Have a model answer messages, in Anthropic's form", f"{_ANTHROPIC}/messages"),
    "/v1/messages/count_tokens": (
        "Have a model count the tokens of messages",
        f"{_ANTHROPIC}/messages-count-tokens",
    ),
    "/v1/embeddings": ("Have the arm for embeddings embed texts", f"{_OPENAI}/embeddings/create"),
}
"""The summary of each path, and where its bodies are described."""

_MODELS = ("The models that a request can name: auto, and every arm", f"{_OPENAI}/models/list")

_ANSWER = "The answer of the model, or a stream of it; errors, too, have the form of that API"
_MODEL = {"type": "string", "description": "`auto`, or the name of an arm; for embeddings any."}
_BODY = {
    "type": "object",
    "description": "As that API describes it, up to 32 MiB.",
    "required": ["model"],
    "properties": {"model": _MODEL},
}


def add_gateway_reference(app: FastAPI) -> None:
    """Have the app's OpenAPI document list the paths that the gateway, in front of it, answers."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["paths"] |= describe_gateway()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def describe_gateway() -> dict[str, Any]:
    """The paths of the gateway, as an OpenAPI document has them."""
    body = {"required": True, "content": {"application/json": {"schema": _BODY}}}
    posts = {
        path: {"post": _describe(path, *described) | {"requestBody": body}}
        for path, described in _POSTS.items()
    }
    return {**posts, "/v1/models": {"get": _describe("/v1/models", *_MODELS)}}


def _describe(path: str, summary: str, url: str) -> dict[str, Any]:
    return {
        "operationId": f"gateway{path.replace('/', '_')}",
        "tags": ["gateway"],
        "summary": summary,
        "externalDocs": {"url": url},
        "responses": {"200": {"description": _ANSWER}},
    }
