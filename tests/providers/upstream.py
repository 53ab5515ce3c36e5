"""A server of scripted models on loopback, over real sockets, in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from bandit_router.providers.scripted import ReceivedCall, Scene, Script, ScriptedApp
from bandit_router.settings import make_settings
from bandit_router.settings.arms import ArmSection

_DEADLINE_S = 30.0
HELLO = Scene(pieces=("Hello", " wor", "ld"))


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where it listens, and the calls it has had."""

    url: str
    app: ScriptedApp

    @property
    def call(self) -> ReceivedCall:
        """The one call so far."""
        (call,) = self.app.calls
        return call


@contextmanager
def serving(script: Script | Scene) -> Iterator[Upstream]:
    """Serve a script, or the same scene for every request."""
    app = ScriptedApp((lambda _: script) if isinstance(script, Scene) else script)
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        finally:
            server.should_exit = True
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError when the condition does not come to hold."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def make_arm(url: str | None = None, **fields: Any) -> ArmSection:
    """An arm that is called at ``url``: with a key in UPSTREAM_TEST_KEY unless ``fields`` say otherwise."""
    arm: dict[str, Any] = {"name": "arm", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    if url is not None:
        arm |= {"base_url": f"{url}/v1", "allow_private": True, "api_key_env": "UPSTREAM_TEST_KEY"}
    return make_settings({"arms": [arm | fields]}).arms[0]
