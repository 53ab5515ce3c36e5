"""Who calls: the key of a request, which the guard puts into its scope."""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import HTTPConnection
from starlette.types import Scope

from bandit_router.security.keys import ApiKey

_KEY = "bandit_router.key"


def set_key(scope: Scope, key: ApiKey) -> None:
    """Let the endpoints know the key of this request."""
    scope[_KEY] = key


def find_key(request: HTTPConnection) -> ApiKey | None:
    """The key of a request; None where none is asked for."""
    key: ApiKey | None = request.scope.get(_KEY)
    return key


def find_key_id(request: HTTPConnection) -> str | None:
    """The id of the key of a request; None where none is asked for."""
    key = find_key(request)
    return None if key is None else key.id


def find_granted_arms(request: HTTPConnection) -> Collection[str] | None:
    """The only arms that the request may have called; None for all."""
    key = find_key(request)
    return None if key is None else key.arms
