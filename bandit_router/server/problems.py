"""Errors over HTTP: problem+json (RFC 9457)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import singledispatch
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from bandit_router.errors import (
    RETRY_AFTER_S,
    IdempotencyConflict,
    InvalidInput,
    NoBudget,
    NoEligibleArm,
    Overloaded,
    RouterClosed,
    RouterError,
    StoreError,
    UnknownConversation,
    UnknownDecision,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_STATUS: tuple[tuple[type[RouterError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NoEligibleArm, HTTPStatus.UNPROCESSABLE_ENTITY),
    (IdempotencyConflict, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownDecision, HTTPStatus.NOT_FOUND),
    (UnknownConversation, HTTPStatus.NOT_FOUND),
    (NoBudget, HTTPStatus.NOT_FOUND),
    (Overloaded, HTTPStatus.SERVICE_UNAVAILABLE),
    (RouterClosed, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_MOST_ERRORS = 20


class BadRequest(Exception):
    """A request that is wrong before anything in it can be looked at."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem(status: int, detail: str, **members: Any) -> Response:
    """A problem+json response; ``members`` are extensions such as the fields at fault."""
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    headers = {"Retry-After": f"{RETRY_AFTER_S:g}"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(json.dumps(content), status, headers, MEDIA_TYPE)


def _field(loc: tuple[int | str, ...]) -> str:
    """Where in the body, as in ``messages[0].content``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".") or "body"


@singledispatch
def answer(error: Exception) -> Response:
    """The problem that an error is answered with."""
    log.error("a request failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error on our side; the log has it")


@answer.register
def _(error: BadRequest) -> Response:
    return problem(error.status, error.detail)


@answer.register
def _(error: ValidationError) -> Response:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return _invalid([(e["loc"], e["msg"]) for e in found])


@answer.register
def _(error: RequestValidationError) -> Response:
    return _invalid([(e["loc"][1:], e["msg"]) for e in error.errors()])


def _invalid(found: Sequence[tuple[tuple[int | str, ...], str]]) -> Response:
    errors = [{"field": _field(loc), "detail": message} for loc, message in found[:_MOST_ERRORS]]
    detail = "; ".join(f"{e['field']}: {e['detail']}" for e in errors)
    if len(found) > _MOST_ERRORS:
        detail += f"; and {len(found) - _MOST_ERRORS} more"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


@answer.register
def _(error: RouterError) -> Response:
    found = (status for kind, status in _STATUS if isinstance(error, kind))
    status = next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, InvalidInput):
        errors = [{"field": error.field, "detail": f"{error.problem}; {error.fix}"}]
        return problem(status, str(error), errors=errors)
    if isinstance(error, NoEligibleArm):
        return problem(status, str(error), excluded=error.excluded)
    return problem(status, str(error))


@answer.register
def _(error: HTTPException) -> Response:
    response = problem(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem."""

    async def respond(_request: Request, error: Exception) -> Response:
        return answer(error)

    for kind in (BadRequest, ValidationError, RequestValidationError, RouterError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)
