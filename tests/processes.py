"""Processes of tests: each is forked from one that has imported the package, and nothing else, already.

A new interpreter would import for two seconds before it begins. Tests start hundreds of processes. The
workers of a service are forked, too; those of ``tests.server.spawning`` are new interpreters.
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
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn._subprocess
from prometheus_client import values


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
    _take_over(environment, streams)
    sys.stdin = os.fdopen(0, closefd=False)  # uvicorn passes its number on
    os.chdir(folder)
    sys.argv[1:] = command[1:]
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]  # it would start another
    uvicorn._subprocess.spawn = SimpleNamespace(Process=_fork_worker)  # type: ignore[assignment]
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # first of all, as at any exit: joblib ends its workers


def _fork_worker(target: Callable[..., None], kwargs: Mapping[str, Any]) -> BaseProcess:
    """A worker of uvicorn, with the environment and the output of this process."""
    streams = [_Stream(fd) for fd in range(3)]
    return PROCESSES.Process(target=_run_worker, args=(target, kwargs, dict(os.environ), streams))


def _run_worker(
    target: Callable[..., None],
    kwargs: Mapping[str, Any],
    environment: Mapping[str, str],
    streams: Sequence[_Stream],
) -> None:
    _take_over(environment, streams)
    target(**kwargs)


def _take_over(environment: Mapping[str, str], streams: Sequence[_Stream]) -> None:
    """Work with these streams and this environment, of which some packages read when they are imported."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fd, number)
        os.close(stream.fd)
    os.environ.clear()
    os.environ.update(environment)
    values.ValueClass = values.get_value_class()
    for name in ("openai", "anthropic"):
        if name in sys.modules:
            importlib.import_module(f"{name}._utils._logs").setup_logging()
