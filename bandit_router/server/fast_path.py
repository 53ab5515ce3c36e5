"""The fast path: calls the endpoints that carry the traffic without the framework around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from bandit_router.server.problems import answer_error

Endpoint = Callable[[Request], Awaitable[Response]]


class FastPath:
    """An ASGI app in front of ``app`` that calls the endpoint of a POST path itself.

    These endpoints read their own body and write their own response; the framework around them would cost as
    much as a whole decision. They are added to ``app`` as well, which documents them.
    """

    def __init__(self, app: FastAPI, posts: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._posts = posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._posts.get(scope["path"])
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        try:
            response = await endpoint(Request(scope, receive))
        except Exception as error:  # as the error handlers of the app do
            response = answer_error(error)
        await response(scope, receive, send)
