"""An error of Anthropic's as one of chat: its words and its type, in the other form."""

from __future__ import annotations

from typing import Any

import jiter
import orjson

from bandit_router.gateway.dialects.openai_forms import write_error


def translate_error(body: bytes, status: int) -> bytes:
    """The body of an error in chat; of a body that is none of Anthropic's, one that has the status alone."""
    try:
        answer: Any = jiter.from_json(body)
        error = answer["error"]
    except (ValueError, TypeError, LookupError):
        error = None
    if not isinstance(error, dict):
        return orjson.dumps({"error": write_error(status, f"upstream answered {status}", None)})
    return orjson.dumps({"error": translate_error_object(error)})


def translate_error_object(error: object) -> dict[str, Any]:
    """The error object of chat."""
    given = error if isinstance(error, dict) else {}
    message, kind = given.get("message"), given.get("type")
    return {
        "message": message if isinstance(message, str) else "upstream sent an error",
        "type": kind if isinstance(kind, str) else "api_error",
        "param": None,
        "code": None,
    }
