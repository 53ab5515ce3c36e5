"""Errors on their way over HTTP: one table from which the service answers and the client raises again."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from bandit_router.errors import (
    AmbiguousAnswer,
    ArmExcluded,
    ArmForbidden,
    AuthenticationError,
    CommitTimeout,
    DatabaseBusy,
    DatabaseReplaced,
    IdempotencyConflict,
    InvalidInput,
    NoBudget,
    NoEligibleArm,
    NoSafety,
    Overloaded,
    PermissionDenied,
    RateLimited,
    RouterClosed,
    RouterError,
    SchemaMismatch,
    StoreError,
    UnknownAnswer,
    UnknownConversation,
    UnknownDecision,
)


class ErrorKind(NamedTuple):
    """An error over HTTP: its ``code`` and status in a problem, and its attributes that are members of it."""

    code: str
    error: type[RouterError]
    status: HTTPStatus
    members: tuple[str, ...] = ()


INVALID_INPUT = ErrorKind(
    "invalid_input", InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY, ("field", "problem", "fix")
)
UNAVAILABLE = ErrorKind("unavailable", StoreError, HTTPStatus.SERVICE_UNAVAILABLE)
"""Every other error of the database, whose message may name paths, hosts and users of the server."""

KINDS = (
    ErrorKind("schema_mismatch", SchemaMismatch, HTTPStatus.UNPROCESSABLE_ENTITY, INVALID_INPUT.members),
    INVALID_INPUT,
    ErrorKind("arm_excluded", ArmExcluded, HTTPStatus.UNPROCESSABLE_ENTITY, ("excluded", "arm")),
    ErrorKind("no_eligible_arm", NoEligibleArm, HTTPStatus.UNPROCESSABLE_ENTITY, ("excluded",)),
    ErrorKind("arm_forbidden", ArmForbidden, HTTPStatus.FORBIDDEN, ("arm",)),
    ErrorKind("idempotency_conflict", IdempotencyConflict, HTTPStatus.UNPROCESSABLE_ENTITY, ("key",)),
    ErrorKind("unknown_decision", UnknownDecision, HTTPStatus.NOT_FOUND, ("decision_id",)),
    ErrorKind("unknown_conversation", UnknownConversation, HTTPStatus.NOT_FOUND, ("conversation",)),
    ErrorKind("unknown_answer", UnknownAnswer, HTTPStatus.NOT_FOUND, ("answer_id",)),
    ErrorKind("ambiguous_answer", AmbiguousAnswer, HTTPStatus.CONFLICT, ("answer_id",)),
    ErrorKind("no_budget", NoBudget, HTTPStatus.NOT_FOUND),
    ErrorKind("no_safety", NoSafety, HTTPStatus.NOT_FOUND),
    ErrorKind("invalid_api_key", AuthenticationError, HTTPStatus.UNAUTHORIZED),
    ErrorKind("insufficient_scope", PermissionDenied, HTTPStatus.FORBIDDEN),
    ErrorKind("not_local", PermissionDenied, HTTPStatus.FORBIDDEN),
    ErrorKind("rate_limit_exceeded", RateLimited, HTTPStatus.TOO_MANY_REQUESTS),
    ErrorKind("overloaded", Overloaded, HTTPStatus.SERVICE_UNAVAILABLE),
    ErrorKind("database_busy", DatabaseBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    ErrorKind("database_replaced", DatabaseReplaced, HTTPStatus.SERVICE_UNAVAILABLE),
    ErrorKind("commit_timeout", CommitTimeout, HTTPStatus.SERVICE_UNAVAILABLE),
    ErrorKind("router_closed", RouterClosed, HTTPStatus.SERVICE_UNAVAILABLE),
    UNAVAILABLE,
)
"""The first kind that an error is of is its own: subclasses stand before their bases."""

_KIND_OF_CODE = {kind.code: kind for kind in KINDS}


def find_kind(error: RouterError) -> ErrorKind | None:
    """The kind of an error; None for one that no caller can cause."""
    return next((kind for kind in KINDS if isinstance(error, kind.error)), None)


def read_members(kind: ErrorKind, error: RouterError) -> dict[str, Any]:
    """What a problem says of an error besides its message."""
    return {"code": kind.code} | {name: getattr(error, name) for name in kind.members}


def rebuild_error(problem: Mapping[str, Any]) -> RouterError | None:
    """The error that a problem was made from; None if it has no code of ours or lacks a member."""
    kind = _KIND_OF_CODE.get(str(problem.get("code")))
    if kind is None or not problem.keys() >= {"detail", *kind.members}:
        return None
    error = kind.error.__new__(kind.error, problem["detail"])  # the message is made already
    vars(error).update({name: problem[name] for name in kind.members})
    return error
