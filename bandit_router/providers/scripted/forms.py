"""A scene in the form of each dialect: one JSON body, or the events of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from bandit_router.providers.scripted import chat, messages, responses
from bandit_router.providers.scripted.scene import Scene, ScriptedRequest, digest
from bandit_router.types import DialectName

_FORMS = {DialectName.CHAT: chat, DialectName.RESPONSES: responses, DialectName.MESSAGES: messages}

_OPENAI_TYPES = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    **_OPENAI_TYPES,
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    529: "overloaded_error",
}


def render(scene: Scene, request: ScriptedRequest) -> tuple[dict[str, str], list[bytes]]:
    """The headers and chunks of the answer."""
    form = _FORMS[request.dialect]
    answer_id = form.ID_PREFIX + digest(request.body)
    headers = {
        "content-type": "application/json",
        form.REQUEST_ID_HEADER: f"req_{digest(request.path.encode(), request.body)}",
        **scene.headers,
    }
    if scene.raw is not None:
        return headers, [scene.raw]
    if scene.status >= 400:
        return headers, [orjson.dumps(_describe_error(scene, request))]
    if request.stream:
        return headers | {"content-type": "text/event-stream; charset=utf-8"}, form.stream(
            scene, request, answer_id
        )
    return headers, [orjson.dumps(form.answer(scene, request, answer_id))]


def _describe_error(scene: Scene, request: ScriptedRequest) -> Mapping[str, Any]:
    if request.dialect is DialectName.MESSAGES:
        kind = _ANTHROPIC_TYPES.get(scene.status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": scene.error},
            "request_id": "req_scripted",
        }
    kind = _OPENAI_TYPES.get(scene.status, "server_error")
    return {"error": {"message": scene.error, "type": kind, "param": None, "code": None}}
