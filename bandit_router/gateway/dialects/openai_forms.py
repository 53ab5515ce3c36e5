"""What OpenAI's two dialects share: the bodies of errors and of the list of models."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def write_error(status: int, message: str, code: str | None) -> dict[str, object]:
    """An error object, whose type follows from the status."""
    usual = "invalid_request_error" if status < 500 else "server_error"
    return {"message": message, "type": _TYPES.get(status, usual), "param": None, "code": code}


class OpenAIForms:
    """The errors and models of OpenAI's dialects."""

    def error_body(self, status: int, message: str, code: str | None = None) -> bytes:
        return orjson.dumps({"error": write_error(status, message, code)})

    def models_body(self, names: Sequence[str]) -> bytes:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "bandit-router"} for name in names
        ]
        return orjson.dumps({"object": "list", "data": models})
