"""The processes of ``commands/forked``: they fork from one that has imported the package already."""

from __future__ import annotations

import marshal
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from tempfile import TemporaryDirectory

from tests.processes import end, start_module

TIMEOUT_S = 120.0


@contextmanager
def forked_commands() -> Iterator[str]:
    """Where to ask for processes while the block lasts; at its end, all of them have ended."""
    with (
        TemporaryDirectory(prefix="bandit-router-") as folder,
        ThreadingUnixStreamServer(f"{folder}/socket", _Request) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{folder}/socket"
        finally:
            server.shutdown()
            thread.join()


class _Request(BaseRequestHandler):
    """One command: answers with the number of its process, and later with its exit code."""

    request: socket.socket

    def handle(self) -> None:
        _, fds, _, _ = socket.recv_fds(self.request, 1, 3)
        with self.request.makefile("rwb") as file:
            command, folder, environment = marshal.load(file)
            process = start_module(command, environment, Path(folder), fds)
            for fd in fds:
                os.close(fd)
            file.write(f"{process.pid}\n".encode())
            file.flush()
            process.join(TIMEOUT_S)
            end(process)
            file.write(f"{process.exitcode}\n".encode())
