"""A relay in front of a service that loses answers, and refuses requests, as its script says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx


class Fault(NamedTuple):
    """What becomes of a request: its answer is lost once the service has acted, or it never gets there.

    ``retry_after`` is a header of the refusal.
    """

    lost: bool = False
    status: int = 503
    retry_after: str | None = None
    body: bytes = b""


LOST = Fault(lost=True)


class Received(NamedTuple):
    """A request as it came, the names of its headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Relay:
    """Where it listens, the faults to come, and the requests so far."""

    target: str
    faults: list[Fault]
    url: str = ""
    requests: list[Received] = field(default_factory=list)


@contextmanager
def relaying(target: str, *faults: Fault) -> Iterator[Relay]:
    """Relay to ``target``: the first requests with these faults, then all others as they are."""
    relay = Relay(target, list(faults))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            relay.requests.append(Received(self.path, headers, body))
            fault = relay.faults.pop(0) if relay.faults else None
            if fault is not None and not fault.lost:
                hint = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
                self._answer(fault.status, hint, fault.body)
                return
            kept = {name: headers[name] for name in headers.keys() - {"host", "connection"}}
            answer = httpx.post(f"{relay.target}{self.path}", content=body, headers=kept)
            if fault is None:
                told = {"content-type": answer.headers["content-type"]}
                self._answer(answer.status_code, told, answer.content)
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield relay
        finally:
            server.shutdown()
            thread.join()
