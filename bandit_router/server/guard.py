"""The guard: lets a request in if its API key allows it, or, while there are no keys, if it is local.

It stands around the whole application. What it refuses reaches no endpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bandit_router.errors import RETRY_AFTER_S, RouterError
from bandit_router.router import AsyncRouter
from bandit_router.security.keys import ApiKey, Credential, find_invalidity
from bandit_router.security.keys import Scope as KeyScope
from bandit_router.security.rate_limit import TokenBucket, fill_bucket, take_one
from bandit_router.server.caller import set_key
from bandit_router.server.dashboard.refusals import answer_refusal
from bandit_router.server.dashboard.session_cookie import read_token_hash
from bandit_router.server.gateway import find_dialect
from bandit_router.server.key_headers import find_credential, read_key_headers
from bandit_router.server.key_ring import KeyRing, Ring, TooManyUnknownKeys
from bandit_router.server.local_only import is_local
from bandit_router.server.permits import Permits
from bandit_router.server.problems import problem_response
from bandit_router.server.scopes import ScopeTable

_REALM = 'Bearer realm="bandit-router"'
_POLICY_VIOLATION = 1008


class Refused(Exception):
    """A request that is not let in: what it is answered."""

    def __init__(self, status: int, detail: str, code: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Guard:
    """Middleware around the application of one router, which ``find_router`` returns once it is open.

    ``open_to_all`` answers anybody while there are no keys.
    """

    def __init__(
        self,
        app: ASGIApp,
        find_router: Callable[[], AsyncRouter],
        *,
        open_to_all: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._find_router = find_router
        self._open_to_all = open_to_all
        self._clock = clock
        self._table = ScopeTable()
        self._ring = KeyRing(
            lambda key_id: find_router().find_key(key_id), lambda: find_router().has_keys(), clock
        )
        self._sessions = Ring(lambda token_hash: find_router().find_session(token_hash), clock)
        self._buckets: dict[str, TokenBucket] = {}
        self._permits = Permits(self._ring.recall, lambda: find_router().now())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] == "http":
            try:
                key = self._permits.find_key(scope) or await self._admit(scope)
                if key is not None:
                    self._limit_rate(key)
                    set_key(scope, key)
            except Refused as refused:
                await _answer(refused, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> ApiKey | None:
        """The key of a request that is let in; None where none is asked for. Raises Refused."""
        if self._table.is_open(scope["method"], scope["path"]):
            return None
        try:
            if not await self._ring.has_keys():
                self._require_local(scope)
                return None
            key = await self._authenticate(scope)
        except TooManyUnknownKeys as error:
            raise _too_many(str(error), error.wait_s) from None
        except RouterError as error:
            detail = "API keys cannot be checked now; the log of the service says why"
            raise Refused(503, detail, "unavailable", retry_after=f"{RETRY_AFTER_S:g}") from error
        self._authorize(key, scope)
        self._permits.add(scope, key)
        return key

    def _require_local(self, scope: Scope) -> None:
        if not (self._open_to_all or is_local(scope)):
            raise Refused(
                403,
                "there are no API keys, so that only programs of this machine are answered, without a proxy "
                "between; make a key with `bandit-router keys create`, or start the service with "
                "`bandit-router serve --open` to answer anybody who can connect",
                "not_local",
            )

    async def _authenticate(self, scope: Scope) -> ApiKey:
        credential = find_credential(read_key_headers(scope)) or await self._find_session(scope)
        if credential is None:
            detail = "send an API key: Authorization: Bearer br_…, or x-api-key: br_…"
            raise Refused(401, detail, "invalid_api_key", www_authenticate=_REALM)
        key = await self._ring.find(credential.key_id)
        invalidity = find_invalidity(key, credential, self._find_router().now())
        if key is None or invalidity is not None:
            detail = f"the API key {invalidity}; `bandit-router keys create` makes another"
            challenge = f'{_REALM}, error="invalid_token"'
            raise Refused(401, detail, "invalid_api_key", www_authenticate=challenge)
        return key

    async def _find_session(self, scope: Scope) -> Credential | None:
        """The credential that a browser logged in to the dashboard with; None if it did not."""
        token_hash = read_token_hash(scope)
        session = None if token_hash is None else await self._sessions.find(token_hash)
        is_over = session is None or self._find_router().now() >= session.expires_at
        return None if session is None or is_over else session.credential

    def _authorize(self, key: ApiKey, scope: Scope) -> None:
        needed = self._table.find(scope["method"], scope["path"])
        if needed is None and not key.allows(KeyScope.ADMIN):
            raise Refused(404, f"there is no {scope['method']:.20} {scope['path']:.200}", "not_found")
        if needed is not None and not key.allows(needed):
            detail = f"the API key lacks the scope {needed}; it has {', '.join(sorted(key.scopes))}"
            challenge = f'{_REALM}, error="insufficient_scope", scope="{needed}"'
            raise Refused(403, detail, "insufficient_scope", www_authenticate=challenge)

    def _limit_rate(self, key: ApiKey) -> None:
        if key.requests_per_second is None:
            return
        now = self._clock()
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = fill_bucket(key.requests_per_second, key.burst or 1, now)
        self._buckets[key.id], wait_s = take_one(bucket, now)
        if wait_s > 0.0:
            raise _too_many(f"the API key has {key.requests_per_second:g} requests per second", wait_s)


def _too_many(detail: str, wait_s: float) -> Refused:
    return Refused(429, detail, "rate_limit_exceeded", retry_after=str(max(1, math.ceil(wait_s))))


def _answer(refused: Refused, scope: Scope) -> Response:
    """The refusal as a page for a browser, in the form of the client's dialect, or else as a problem."""
    headers: Mapping[str, str] = refused.headers
    page = answer_refusal(refused.status, refused.detail, scope)
    if page is not None:
        return page
    dialect = find_dialect(scope)
    if dialect is not None:
        body = dialect.error_body(refused.status, refused.detail, refused.code)
        return Response(body, refused.status, dict(headers), "application/json")
    response = problem_response(HTTPStatus(refused.status), refused.detail, code=refused.code)
    response.headers.update(headers)
    return response
