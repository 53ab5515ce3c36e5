"""A short way to the endpoints that carry the traffic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from bandit_router.server.problems import answer

Endpoint = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """An ASGI app in front of ``app`` that calls the endpoint of a POST path itself.

    The framework around an endpoint that reads its own body and writes its own response costs as much
    as a whole decision. The endpoints are declared to ``app`` too, which documents them.
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
        except Exception as error:  # what an exception handler of the app would do
            response = answer(error)
        await response(scope, receive, send)
