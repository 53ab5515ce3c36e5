"""What the endpoints of the API answer and read, as its OpenAPI document describes that."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from bandit_router.server.schemas import ProblemDetails

PROBLEM: dict[str, Any] = {
    "content": {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}}
}
GUARDED: dict[int | str, dict[str, Any]] = {
    401: {"description": "No API key, or one that is not valid", **PROBLEM},
    403: {"description": "The API key lacks the scope, or is not for the arm", **PROBLEM},
    429: {"description": "More requests than the API key has; see Retry-After", **PROBLEM},
}
PROBLEMS: dict[int | str, dict[str, Any]] = GUARDED | {
    400: {"description": "Not one strict JSON object", **PROBLEM},
    413: {"description": "Over server.max_body_bytes, or over 256 KiB without a prompt", **PROBLEM},
    415: {"description": "Not application/json", **PROBLEM},
    422: {"description": "A field is wrong, or no arm is eligible", **PROBLEM},
    503: {"description": "The database is away or too much is waiting; see Retry-After", **PROBLEM},
}
WRONG: dict[int | str, dict[str, Any]] = {422: PROBLEMS[422], 503: PROBLEMS[503]}
UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such decision, answer or conversation", **PROBLEM}
}
AMBIGUOUS: dict[int | str, dict[str, Any]] = {
    409: {"description": "Several decisions were answered with this id", **PROBLEM}
}


def _link_to(path: str, method: str, **told: Any) -> dict[str, Any]:
    """A link of OpenAPI to an operation that takes the decision that was answered with."""
    pointer = path.replace("/", "~1")
    return {"operationRef": f"#/paths/{pointer}/{method}", **told}


_THE_DECISION = "$response.body#/decision_id"
_IN_PATH = {"parameters": {"decision_id": _THE_DECISION}}
DECIDED: dict[int | str, dict[str, Any]] = {
    200: {
        "links": {
            "feedback": _link_to("/v1/feedback", "post", requestBody={"decision_id": _THE_DECISION}),
            "decision": _link_to("/v1/decisions/{decision_id}", "get", **_IN_PATH),
            "escalate": _link_to("/v1/decisions/{decision_id}/escalate", "post", **_IN_PATH),
            "chain": _link_to("/v1/decisions/{decision_id}/chain", "get", **_IN_PATH),
        }
    }
}


def describe_body(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI of a body that the endpoint reads itself, with its idempotency key."""
    schema = model.model_json_schema()
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "parameters": [
            {
                "in": "header",
                "name": "Idempotency-Key",
                "schema": {"type": "string", "maxLength": 255},
                "description": "The same key with the same body gets the same answer and acts once.",
            }
        ],
    }
