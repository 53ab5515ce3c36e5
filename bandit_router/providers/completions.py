"""Calls of our own: a text in, a text out, in whatever dialect an arm speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bandit_router.providers.base import Completion, FailureKind, UpstreamAnswer, UpstreamError
from bandit_router.providers.usage import read_chat_usage, read_messages_usage, read_responses_usage


@dataclass(frozen=True, slots=True)
class CompletionForm:
    """One dialect: the request for a text, and the reading of its answer."""

    write: Callable[[str, str, int], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], Completion]


def write_completion(path: str, model: str, text: str, max_output_tokens: int) -> bytes:
    """The body of a request for an answer to ``text``."""
    return orjson.dumps(FORMS[path].write(model, text, max_output_tokens))


async def read_completion(path: str, answer: UpstreamAnswer) -> Completion:
    """The whole answer. Raises UpstreamError when it cannot be read."""
    try:
        body = b"".join([chunk async for chunk in answer.iterate_bytes()])
        return FORMS[path].read(orjson.loads(body))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UpstreamError(FailureKind.GARBLED, "the answer is not what its dialect says") from None
    finally:
        await answer.aclose()


def _write_chat(model: str, text: str, most: int) -> dict[str, Any]:
    return {"model": model, "messages": _one_message(text), "max_completion_tokens": most}


def _read_chat(answer: Mapping[str, Any]) -> Completion:
    return Completion(
        text=answer["choices"][0]["message"]["content"] or "",
        usage=read_chat_usage(answer["usage"], answer.get("service_tier")),
        model=answer["model"],
    )


def _write_messages(model: str, text: str, most: int) -> dict[str, Any]:
    return {"model": model, "messages": _one_message(text), "max_tokens": most}


def _read_messages(answer: Mapping[str, Any]) -> Completion:
    return Completion(
        text="".join(block["text"] for block in answer["content"] if block["type"] == "text"),
        usage=read_messages_usage(answer["usage"]),
        model=answer["model"],
    )


def _write_responses(model: str, text: str, most: int) -> dict[str, Any]:
    return {"model": model, "input": text, "max_output_tokens": most, "store": False}


def _read_responses(answer: Mapping[str, Any]) -> Completion:
    parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    return Completion(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        usage=read_responses_usage(answer["usage"], answer.get("service_tier")),
        model=answer["model"],
    )


def _one_message(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


FORMS: Mapping[str, CompletionForm] = {
    "/v1/chat/completions": CompletionForm(_write_chat, _read_chat),
    "/v1/messages": CompletionForm(_write_messages, _read_messages),
    "/v1/responses": CompletionForm(_write_responses, _read_responses),
}
"""By path, in the order of preference."""
