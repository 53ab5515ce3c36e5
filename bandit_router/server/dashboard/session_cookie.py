"""The cookie that a browser shows after it logged in: its token, for the paths of the dashboard only."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from bandit_router.security.sessions import SESSION_S, hash_token

ROOT = "/dashboard"
_NAME = "bandit_router_session"


def is_dashboard(path: str) -> bool:
    """Whether this is the path of the dashboard or below it."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def read_token_hash(scope: Scope) -> str | None:
    """The hash of the token that a request of the dashboard shows; None if it shows none."""
    if not is_dashboard(scope["path"]):
        return None
    return hash_token(HTTPConnection(scope).cookies.get(_NAME, ""))


def set_session_cookie(response: Response, scope: Scope, token: str) -> None:
    """Have the browser show the token from now on, over TLS only if it came by TLS."""
    response.set_cookie(
        _NAME,
        token,
        max_age=int(SESSION_S),
        path=ROOT,
        secure=_came_by_tls(scope),
        httponly=True,
        samesite="strict",
    )


def delete_session_cookie(response: Response, scope: Scope) -> None:
    """Have the browser forget its token."""
    response.delete_cookie(_NAME, path=ROOT, secure=_came_by_tls(scope), httponly=True, samesite="strict")


def _came_by_tls(scope: Scope) -> bool:
    forwarded = HTTPConnection(scope).headers.get("x-forwarded-proto", "")
    return scope["scheme"] == "https" or forwarded == "https"
