"""The service in a thread of the test's own process, so that a test can reach into it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from bandit_router.gateway.gateway import Gateway
from bandit_router.server.app import assemble_app, create_api
from bandit_router.settings import load_settings
from tests.providers.upstream import wait_until


@contextmanager
def serving_in_process(config: Path) -> Iterator[tuple[str, Gateway]]:
    """Its URL, and its gateway with the router in it."""
    api = create_api(load_settings(config))
    server = uvicorn.Server(uvicorn.Config(assemble_app(api), log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", api.state.gateway
        finally:
            server.should_exit = True
            thread.join()
