"""Processes of tests: each is forked from one that has imported the package, and nothing else, already.

A new interpreter would import for two seconds before it begins. A test starts hundreds of processes.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import runpy
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any


def _make_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


PROCESSES = _make_context()


def start_module(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[int]
) -> BaseProcess:
    """`python -m` of a module and its arguments; ``streams`` are its standard input, output and error."""
    copies = [_Stream(fd) for fd in streams]
    process = PROCESSES.Process(target=_run_module, args=(command, environment, folder, copies))
    process.start()
    return process


def end(process: BaseProcess) -> None:
    """Kill the process if it still runs."""
    if process.is_alive():
        process.kill()
        process.join()


@dataclass(frozen=True, slots=True)
class _Stream:
    """A file descriptor, of which a process that is started gets a copy."""

    fd: int

    def __reduce__(self) -> tuple[Callable[[Any], _Stream], tuple[Any]]:
        return _receive, (DupFd(self.fd),)


def _receive(fd: Any) -> _Stream:
    return _Stream(fd.detach())


def _run_module(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[_Stream]
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.fd, number)
        os.close(stream.fd)
    sys.stdin = os.fdopen(0, closefd=False)  # uvicorn passes its number on
    os.environ.clear()
    os.environ.update(environment)
    for name in ("openai", "anthropic"):  # they read from it, when imported, how much to log
        if name in sys.modules:
            importlib.import_module(f"{name}._utils._logs").setup_logging()
    os.chdir(folder)
    sys.argv[1:] = command[1:]
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # first of all, as at any exit: joblib ends its workers
