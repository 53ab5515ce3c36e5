"""What keys cost: CPU of `/v1/route` with the guard and a key, beside the same application without the guard.

Both are asked in one process, in alternating rounds of the same queries, 64 at once; every decision is
committed to SQLite. No server stands in front, whose parsing would make the share smaller. Prints the CPU of
a request of each and, as its last line, the median of the rounds' ratios; exits with 1 when it is over the
bar.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message

from bandit_router.evaluation.datasets import load_paretobandit
from bandit_router.security.issue import KeyRequest
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.guard import Guard
from bandit_router.settings import Settings, make_settings

BAR = 1.03
_AT_ONCE = 64
_ARMS = [
    {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.60},
    {"name": "large", "input_usd_per_mtok": 2.50, "output_usd_per_mtok": 10.0},
]


async def ask(app: ASGIApp, query: str, api_key: str) -> int:
    """The status of one request, with the headers that an HTTP client sends."""
    body = json.dumps({"query": query}).encode()
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = {
        "host": "router.example",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "user-agent": "python-httpx/0.28",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "authorization": f"Bearer {api_key}",
    }
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/route",
        "query_string": b"",
        "client": ("10.0.0.7", 40_000),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    return int(statuses[0])


async def measure_round(app: ASGIApp, queries: Sequence[str], api_key: str) -> float:
    """Seconds of CPU for a request, all threads together."""
    began = time.process_time()
    for start in range(0, len(queries), _AT_ONCE):
        batch = queries[start : start + _AT_ONCE]
        statuses = await asyncio.gather(*(ask(app, query, api_key) for query in batch))
        assert set(statuses) == {200}, statuses
    return (time.process_time() - began) / len(queries)


async def measure(settings: Settings, queries: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """The CPU of a request in every round, by application; the first round of each warms up."""
    documented = create_api(settings)
    bare = assemble_app(documented)
    guarded = Guard(bare, lambda: documented.state.router, open_to_all=False)
    apps: dict[str, ASGIApp] = {"without keys": bare, "with keys": guarded}
    measured: dict[str, list[float]] = {name: [] for name in apps}
    async with documented.router.lifespan_context(documented):
        new = await documented.state.router.create_key(KeyRequest(name="benchmark", scopes=["route"]))
        for turn in range(rounds + 1):
            for name in apps if turn % 2 else reversed(apps):
                cpu_s = await measure_round(apps[name], queries, new.credential)
                if turn > 0:
                    measured[name].append(cpu_s)
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--queries", type=int, default=1024, help="requests in each round")
    options = parser.parse_args()
    queries = load_paretobandit().queries[: options.queries]
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings({"arms": _ARMS, "store": {"url": f"sqlite:///{folder}/router.db"}})
        measured = asyncio.run(measure(settings, queries, options.rounds))
    for name, rounds in measured.items():
        print(f"{name:12} {1e6 * statistics.median(rounds):7.1f} µs of CPU a request")
    pairs = zip(measured["with keys"], measured["without keys"], strict=True)
    ratio = statistics.median(keyed / bare for keyed, bare in pairs)
    verdict = "ok" if ratio <= BAR else "MISSED"
    print(f"keys: {ratio:.3f} of the CPU without them (bar {BAR}): {verdict}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
