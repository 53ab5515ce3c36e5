"""Load for ``benchmarks/gateway.py``: requests over kept-alive connections, and the CPU of who answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.gateway_servers import CHUNKS, PATH

_CONTENT = b"token"


class Timing(NamedTuple):
    """Seconds from a request to the first token of its answer, and to the last byte."""

    first_token_s: float
    total_s: float


class Load(NamedTuple):
    """One round: what each answer took, the seconds of the round, and of CPU of the server."""

    timings: list[Timing]
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return len(self.timings) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU of one request, milliseconds."""
        return self.cpu_s * 1e3 / len(self.timings)


@dataclass(frozen=True, slots=True)
class Target:
    """A server to ask: its port, and its process."""

    port: int
    pid: int
    idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=deque)


def make_request(query: str, *, stream: bool, long: bool = False) -> bytes:
    """The bytes of a chat request."""
    body = {"model": "auto", "messages": [{"role": "user", "content": query}], "stream": stream}
    if long:
        body["max_tokens"] = CHUNKS
    content = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def ask(target: Target, request: bytes) -> Timing:
    """Send a request on an idle connection, or on a new one. Raises RuntimeError for a status but 200."""
    reader, writer = (
        target.idle.pop() if target.idle else await asyncio.open_connection("127.0.0.1", target.port)
    )
    start = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode() + (await reader.read(2000)).decode())
    first = 0.0
    async for piece in _read_pieces(reader, head.lower()):
        if not first and _CONTENT in piece:
            first = time.perf_counter()
    end = time.perf_counter()
    target.idle.append((reader, writer))
    return Timing(first - start, end - start)


async def _read_pieces(reader: asyncio.StreamReader, head: bytes) -> AsyncIterator[bytes]:
    """The body of an answer, in the pieces it comes in."""
    if b"content-length: " in head:
        yield await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


async def saturate(target: Target, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Closed loop: each connection sends its next request when it has its answer."""
    end = time.perf_counter() + seconds

    async def go_on(timings: list[Timing], number: int) -> None:
        while time.perf_counter() < end:
            timings.append(await ask(target, requests[number % len(requests)]))
            number += connections

    return await _measure(target, lambda timings: _gather(go_on(timings, k) for k in range(connections)))


async def keep_rate(target: Target, requests: Sequence[bytes], rate: float, seconds: float) -> Load:
    """Open loop: so many requests a second, whatever becomes of them."""

    async def ask_at(timings: list[Timing], number: int) -> None:
        await asyncio.sleep(number / rate)
        timings.append(await ask(target, requests[number % len(requests)]))

    count = int(rate * seconds)
    return await _measure(target, lambda timings: _gather(ask_at(timings, n) for n in range(count)))


async def _measure(target: Target, run: Callable[[list[Timing]], Awaitable[None]]) -> Load:
    timings: list[Timing] = []
    start, cpu_s = time.perf_counter(), _read_cpu(target.pid)
    await run(timings)
    load = Load(timings, time.perf_counter() - start, _read_cpu(target.pid) - cpu_s)
    for _, writer in target.idle:
        writer.close()
    target.idle.clear()
    return load


async def _gather(work: Iterable[Coroutine[object, object, None]]) -> None:
    await asyncio.gather(*work)


def _read_cpu(pid: int) -> float:
    """Seconds of CPU of all threads of another process; Linux counts them under a clock of its own."""
    return time.clock_gettime((~pid << 3) | 2)
