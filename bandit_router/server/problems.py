"""Errors over HTTP: every error is answered with problem+json (RFC 9457)."""

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

from bandit_router.errors import RETRY_AFTER_S, InvalidInput, RouterError
from bandit_router.problems import INVALID_INPUT, UNAVAILABLE, find_kind, read_members

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_UNAVAILABLE_DETAIL = "the database cannot be used now; the log of the service says why"
_FIX = "send what the HTTP reference allows"
_MOST_ERRORS = 20


class BadRequest(Exception):
    """A request whose body cannot be read at all."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem_response(status: int, detail: str, **members: Any) -> Response:
    """A problem+json response; ``members`` are extensions such as the fields at fault."""
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    headers = {"Retry-After": f"{RETRY_AFTER_S:g}"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(json.dumps(content), status, headers, MEDIA_TYPE)


def _field_path(loc: tuple[int | str, ...]) -> str:
    """The path of a field in the body, as in ``messages[0].content``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return "".join(steps).removeprefix(".") or "body"


@singledispatch
def answer_error(error: Exception) -> Response:
    """The problem response of an error; 500 for one that nothing expected."""
    log.error("a request failed", exc_info=error)
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "an error on our side; the log has it")


@answer_error.register
def _answer_bad_request(error: BadRequest) -> Response:
    return problem_response(error.status, error.detail)


@answer_error.register
def _answer_validation_error(error: ValidationError) -> Response:
    """422 for a body that its schema refuses."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return _answer_invalid_fields([(e["loc"], e["msg"]) for e in errors])


@answer_error.register
def _answer_request_validation_error(error: RequestValidationError) -> Response:
    return _answer_invalid_fields([(e["loc"][1:], e["msg"]) for e in error.errors()])


def _answer_invalid_fields(faults: Sequence[tuple[tuple[int | str, ...], str]]) -> Response:
    """422 that names each field at fault, up to 20."""
    errors = [{"field": _field_path(loc), "detail": message} for loc, message in faults[:_MOST_ERRORS]]
    detail = "; ".join(f"{e['field']}: {e['detail']}" for e in errors)
    if len(faults) > _MOST_ERRORS:
        detail += f"; and {len(faults) - _MOST_ERRORS} more"
    first = {"field": errors[0]["field"], "problem": errors[0]["detail"], "fix": _FIX}
    return problem_response(INVALID_INPUT.status, detail, code=INVALID_INPUT.code, **first, errors=errors)


@answer_error.register
def _answer_router_error(error: RouterError) -> Response:
    """The status, code and members of the error's kind."""
    kind = find_kind(error)
    if kind is None:
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    detail = _UNAVAILABLE_DETAIL if kind is UNAVAILABLE else str(error)
    members = read_members(kind, error)
    if isinstance(error, InvalidInput):
        members["errors"] = [{"field": error.field, "detail": f"{error.problem}; {error.fix}"}]
    return problem_response(kind.status, detail, **members)


@answer_error.register
def _answer_http_exception(error: HTTPException) -> Response:
    """A problem with the status and the headers of the exception."""
    response = problem_response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of the app with a problem response."""

    async def respond(_request: Request, error: Exception) -> Response:
        return answer_error(error)

    for kind in (BadRequest, ValidationError, RequestValidationError, RouterError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)
