"""Logging in to the dashboard with an API key, and out again."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from bandit_router.router import AsyncRouter
from bandit_router.security.keys import Scope, find_invalidity, parse_credential
from bandit_router.server.body import read_bytes
from bandit_router.server.dashboard.rendering import render_page
from bandit_router.server.dashboard.session_cookie import (
    ROOT,
    delete_session_cookie,
    is_dashboard,
    read_token_hash,
    set_session_cookie,
)
from bandit_router.server.key_ring import Ring, TooManyUnknownKeys

LOGIN = f"{ROOT}/login"
LOGOUT = f"{ROOT}/logout"


class LoginRefusal(Exception):
    """A key that nobody is logged in with: what the page says, and its status."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class LoginPages:
    """The pages that let a browser in and out. A ring of their own limits how many keys can be tried."""

    def __init__(self, router: AsyncRouter) -> None:
        self._router = router
        self._ring = Ring(router.find_key)

    async def show(self, request: Request) -> Response:
        """The form that asks for a key."""
        return render_page("login.html", next=_read_next(request.query_params.get("next")), problem=None)

    async def log_in(self, request: Request) -> Response:
        """Begin a session for the key of the form, and go on to the page that was asked for."""
        form = parse_qs((await read_bytes(request, None)).decode("utf-8", "replace"))
        next_page = _read_next(form.get("next", [ROOT])[0])
        try:
            _require_own_origin(request)
            token = await self._begin_session(form.get("key", [""])[0].strip())
        except LoginRefusal as refusal:
            return render_page("login.html", refusal.status, next=next_page, problem=str(refusal))
        response = RedirectResponse(next_page, HTTPStatus.SEE_OTHER)
        set_session_cookie(response, request.scope, token)
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session on all workers, and show the form again."""
        _require_own_origin(request)
        token_hash = read_token_hash(request.scope)
        if token_hash is not None:
            await self._router.end_session(token_hash)
        response = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
        delete_session_cookie(response, request.scope)
        return response

    async def _begin_session(self, text: str) -> str:
        """The token of a new session. Raises LoginRefusal unless the key is valid and may read."""
        credential = parse_credential(text)
        if credential is None:
            raise LoginRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, "A key has the form br_…_…; copy all of it.")
        try:
            key = await self._ring.find(credential.key_id)
        except TooManyUnknownKeys as error:
            raise LoginRefusal(HTTPStatus.TOO_MANY_REQUESTS, f"{error}; try again in a moment.") from None
        invalidity = find_invalidity(key, credential, self._router.now())
        if key is None or invalidity is not None:
            raise LoginRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"The key {invalidity}.")
        if not key.allows(Scope.READ):
            detail = "The key lacks the scope read: bandit-router keys create NAME --scope read makes one."
            raise LoginRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        return await self._router.begin_session(credential)


def make_login_address(path: str, query: str) -> str:
    """The address of the form, which leads on to this page."""
    page = f"{path}?{query}" if query else path
    return f"{LOGIN}?{urlencode({'next': page})}"


def _read_next(address: str | None) -> str:
    """The page of ours to go to after the form: no address elsewhere."""
    if address is None:
        return ROOT
    parts = urlsplit(address)
    is_ours = not parts.scheme and not parts.netloc and is_dashboard(parts.path) and "\\" not in address
    return address if is_ours and parts.path not in (LOGIN, LOGOUT) else ROOT


def _require_own_origin(request: Request) -> None:
    """Raise LoginRefusal for a form that another site sent."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise LoginRefusal(HTTPStatus.FORBIDDEN, "The form came from another site.")
