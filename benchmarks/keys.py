"""What keys cost: CPU of `/v1/route` with the guard and a key, beside the same application without the guard.

Both are asked in one process, in short alternating rounds of the same queries, 64 at once; every decision is
committed to SQLite. No server stands in front, whose parsing would make the share smaller. In the rounds the
key is read from the database once. To read it anew, which a busy worker does once a second whatever it
answers, is measured by itself, and added as the share of a second that it takes. Prints the CPU of a request
of each and, as its last line, the median of the rounds' ratios with its 95% interval by ranks; exits with 1
when it is over the bar.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message

from bandit_router.evaluation.datasets import load_paretobandit
from bandit_router.security.issue import KeyRequest
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.guard import Guard
from bandit_router.server.key_ring import LAG_S
from bandit_router.settings import Settings, make_settings

BAR = 1.03
_AT_ONCE = 64
_WARM_UP = 10
_ARMS = [
    {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.60},
    {"name": "large", "input_usd_per_mtok": 2.50, "output_usd_per_mtok": 10.0},
]


class Measured(NamedTuple):
    """Seconds of CPU by round: of a request without keys and with one, and of reading the key anew."""

    bare: list[float]
    keyed: list[float]
    read_s: list[float]


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
    """Seconds of CPU for a request, all threads together, of requests that come at once."""
    began = time.process_time()
    statuses = await asyncio.gather(*(ask(app, query, api_key) for query in queries))
    assert set(statuses) == {200}, statuses
    return (time.process_time() - began) / len(queries)


async def measure(settings: Settings, queries: Sequence[str], rounds: int) -> Measured:
    """The CPU of a request in every round, by application, and that of reading the key anew."""
    documented = create_api(settings)
    bare = assemble_app(documented)
    guarded = Guard(bare, lambda: documented.state.router, open_to_all=False, clock=lambda: 0.0)
    measured = Measured(bare=[], keyed=[], read_s=[])
    async with documented.router.lifespan_context(documented):
        router = documented.state.router
        new = await router.create_key(KeyRequest(name="benchmark", scopes=["route"]))
        for turn in range(_WARM_UP + rounds):
            batch = [queries[(turn * _AT_ONCE + i) % len(queries)] for i in range(_AT_ONCE)]
            pair = (bare, guarded) if turn % 2 else (guarded, bare)
            cpu_s = {bare: 0.0, guarded: 0.0}
            for app in (*pair, *reversed(pair)):  # what drifts meets both alike
                cpu_s[app] += await measure_round(app, batch, new.credential) / 2.0
            began = time.process_time()
            await router.find_key(new.key.id)
            if turn >= _WARM_UP:
                measured.read_s.append(time.process_time() - began)
                measured.bare.append(cpu_s[bare])
                measured.keyed.append(cpu_s[guarded])
    return measured


def find_median(values: Sequence[float]) -> tuple[float, float, float]:
    """The median with its 95% interval, by ranks."""
    ordered, margin = sorted(values), 0.98 * len(values) ** 0.5
    middle = len(ordered) / 2.0
    low, high = max(0, int(middle - margin)), min(len(ordered) - 1, int(middle + margin))
    return statistics.median(ordered), ordered[low], ordered[high]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=300, help=f"of {_AT_ONCE} requests, twice for each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings({"arms": _ARMS, "store": {"url": f"sqlite:///{folder}/router.db"}})
        measured = asyncio.run(measure(settings, load_paretobandit().queries, options.rounds))
    read_s = statistics.median(measured.read_s)
    share = read_s / (LAG_S / 2.0)
    pairs = zip(measured.keyed, measured.bare, strict=True)
    ratio, low, high = (share + each for each in find_median([keyed / bare for keyed, bare in pairs]))
    verdict = "ok" if ratio <= BAR else "MISSED"
    print(f"without keys {1e6 * statistics.median(measured.bare):7.1f} µs of CPU a request")
    print(f"with keys    {1e6 * statistics.median(measured.keyed):7.1f} µs of CPU a request")
    print(f"to read the key anew {1e6 * read_s:.0f} µs, once a second; load {os.getloadavg()[0]:.1f}")
    print(f"keys: {ratio:.3f} [{low:.3f}, {high:.3f}] of the CPU without them (bar {BAR}): {verdict}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
