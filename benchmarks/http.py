"""Durable `/v1/route` beside an empty FastAPI endpoint that takes the same body, in the same run.

Both are served by one uvicorn worker and asked the same real queries over the same number of
kept-alive connections, in alternating rounds. The load generator has a core of its own, where there
are two. Ours commits every decision to SQLite (WAL, synchronous FULL) before it answers, with the
settings that `bandit-router init` writes. Prints requests per second with p50 and p99, and as its last
line the ratio; exits with 1 when that is under the bar.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script, this folder comes first on the path, and this file would hide the standard library's http.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, cast

import numpy as np
import uvicorn
import uvloop
from fastapi import FastAPI

from bandit_router.evaluation.datasets import load_paretobandit
from bandit_router.server.schemas import RouteBody
from bandit_router.settings import CONFIG_VARIABLE
from bandit_router.settings.templates import read_template

BAR = 0.6
_ANSWER = {
    "decision_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "arm": "small",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "propensity": 0.9,
    "reason": "policy",
    "policy": "thompson:v=1.0,epsilon=0.02",
    "snapshot": 1,
    "expected_quality": 0.5,
    "expected_cost_usd": 0.0002,
}


def empty_app() -> FastAPI:
    """The floor: the same body checked by FastAPI, a constant answer."""
    app = FastAPI()

    @app.post("/v1/route")
    async def route(body: RouteBody) -> dict[str, object]:  # noqa: ARG001
        return _ANSWER

    @app.get("/readyz")
    async def readyz() -> str:
        return "ready"

    return app


def pin(process: int, cores: set[int]) -> None:
    """Keep a process on some cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, cores)


def wait_until_ready(port: int, path: str = "/readyz") -> None:
    """Return once the server on this port answers; RuntimeError after two minutes."""
    give_up = time.monotonic() + 120.0
    while time.monotonic() < give_up:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server on port {port} did not become ready")


def two_arm_settings() -> str:
    """What `init` writes, without the Claude arms: figures are of two arms, and more of them take longer."""
    before, _, after = read_template().partition('[[arms]]\nname = "claude-small"')
    return before + after[after.index("[store]") :]


class Server(NamedTuple):
    """A server process, and its port on loopback."""

    pid: int
    port: int


@contextmanager
def serving(
    command: list[str], environment: dict[str, str], cores: set[int], ready: str = "/readyz"
) -> Iterator[Server]:
    """A server on a free port and the ``cores``, whose path ``ready`` answers when the block starts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    started = [*command, "--port", str(port)]
    process = subprocess.Popen(started, env=os.environ | environment, stdout=subprocess.DEVNULL)
    pin(process.pid, cores)
    try:
        wait_until_ready(port, ready)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        process.wait()


class Connection(asyncio.Protocol):
    """Sends one request after another on one connection and notes how long each answer took."""

    def __init__(self, requests: list[bytes], latencies: list[float], until: float) -> None:
        self._requests = requests
        self._latencies = latencies
        self._until = until
        self._next = 0
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(error or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        if not gap or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if not head.startswith(b"HTTP/1.1 200"):
            self.finished.set_exception(RuntimeError(self._buffer.decode()))
        elif now < self._until:
            self._buffer = b""
            self._send()
        else:
            self.finished.set_result(None)

    def _send(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)


async def load(
    port: int, requests: list[bytes], connections: int, seconds: float
) -> tuple[float, list[float]]:
    """Requests per second and latencies of one round."""
    latencies: list[float] = []
    start = time.perf_counter()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda k=k: Connection(  # type: ignore[misc]
                requests[k::connections], latencies, start + seconds
            ),
            "127.0.0.1",
            port,
        )
        for k in range(connections)
    ]
    await asyncio.gather(*(protocol.finished for _, protocol in opened))
    elapsed = time.perf_counter() - start
    for transport, _ in opened:
        transport.close()
    return len(latencies) / elapsed, latencies


def request(query: str) -> bytes:
    """The bytes of a routing request for a query."""
    body = json.dumps({"query": query}).encode()
    head = (
        "POST /v1/route HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.floor:
        uvicorn.run(empty_app(), port=options.port, log_level="warning", access_log=False)
        return 0
    *others, last = range(os.cpu_count() or 1)
    servers = set(others or [last])
    pin(0, {last})
    requests = [request(query) for query in load_paretobandit().queries]
    measured: dict[str, list[tuple[float, list[float]]]] = {"empty": [], "route": []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        config = Path(folder) / "router.toml"
        config.write_text(two_arm_settings(), encoding="utf-8")
        environment = {
            CONFIG_VARIABLE: str(config),
            "BANDIT_ROUTER_STORE__URL": f"sqlite:///{folder}/router.db",
        }
        floor = [sys.executable, __file__, "--floor"]
        ours = [sys.executable, "-m", "bandit_router.cli", "serve"]
        ports = {
            "empty": stack.enter_context(serving(floor, {}, servers)).port,
            "route": stack.enter_context(serving(ours, environment, servers)).port,
        }
        for turn in range(options.rounds + 1):
            for name, port in ports.items():
                result = uvloop.run(load(port, requests, options.connections, options.seconds))
                if turn > 0:  # the first round warms both up
                    measured[name].append(result)
    return report(measured, options.connections)


def report(measured: dict[str, list[tuple[float, list[float]]]], connections: int) -> int:
    rates = {name: [rate for rate, _ in rounds] for name, rounds in measured.items()}
    for name, rounds in measured.items():
        p50, p99 = np.percentile(
            [seconds * 1e3 for _, latencies in rounds for seconds in latencies], [50, 99]
        )
        rate = statistics.median(rates[name])
        print(f"{name:6} {rate:8.0f} requests/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    ratio = statistics.median(
        ours / floor for ours, floor in zip(rates["route"], rates["empty"], strict=True)
    )
    verdict = "ok" if ratio >= BAR else "MISSED"
    print(
        f"http: durable /v1/route at {ratio:.2f} of an empty endpoint "
        f"({connections} connections, bar {BAR}): {verdict}"
    )
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
