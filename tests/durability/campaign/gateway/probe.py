"""`bandit-router`, whose service also tells how many tasks a worker has.

python -m tests.durability.campaign.gateway.probe serve ...
"""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from bandit_router.server import supervisor
from bandit_router.server.app import from_environment

MODULE = "tests.durability.campaign.gateway.probe"
PATH = "/tasks"


def app() -> ASGIApp:
    """The application of the service with one more path."""
    inner = from_environment()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await inner(scope, receive, send)
            return
        body = orjson.dumps(len(asyncio.all_tasks()))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def _run(run: Any) -> Any:
    return lambda _, **options: run(f"{MODULE}:app", **options)


if __name__ == "__main__":
    from bandit_router.cli import main

    with patch.object(supervisor, "run", _run(supervisor.run)):
        main()
