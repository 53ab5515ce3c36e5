"""A run of own calls that a command makes: one budget, and a file that knows what was paid for already."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any
from uuid import uuid4

import orjson

from bandit_router.errors import ConfigError, OwnBudgetSpent
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.own_calls import (
    OwnAnswer,
    OwnRequest,
    begin_own_call,
    find_worst_usd,
    finish_own_call,
)
from bandit_router.router import AsyncRouter
from bandit_router.store.own_calls import OwnCall
from bandit_router.types import CallOutcome


class OwnRun:
    """Makes the calls of a run. One for which worst cases of others leave no room waits for their costs.

    The first call of an arm runs alone, and so do all after one that cost more than its worst case: so the
    budget is exceeded by one call at most, where an arm that kept to its worst case goes on to do so.
    """

    def __init__(self, router: AsyncRouter) -> None:
        self._router = router
        self._beginning = asyncio.Lock()
        self._under_way = 0
        self._next_end = asyncio.Event()
        self._within_worst_case: set[str] = set()
        self._has_exceeded = False

    async def call(
        self, arm: CallableArm, request: OwnRequest, keep: Callable[[OwnAnswer], None]
    ) -> OwnAnswer:
        """The answer, which ``keep`` has stored. Raises OwnBudgetSpent or UpstreamError."""
        async with self._beginning:
            if self._has_exceeded or arm.name not in self._within_worst_case:
                await self._wait_for_others()
                return await self._finish(arm, request, await self._begin(arm, request), keep)
            call_id = await self._begin(arm, request)
        return await self._finish(arm, request, call_id, keep)

    async def _finish(
        self, arm: CallableArm, request: OwnRequest, call_id: str, keep: Callable[[OwnAnswer], None]
    ) -> OwnAnswer:
        try:
            answer = await finish_own_call(self._router, arm, request, call_id, keep)
        finally:
            self._under_way -= 1
            self._next_end.set()
        self._within_worst_case.add(arm.name)
        self._has_exceeded |= answer.result.cost_usd > find_worst_usd(arm, request)
        return answer

    async def _wait_for_others(self) -> None:
        while self._under_way:
            self._next_end.clear()
            await self._next_end.wait()

    async def _begin(self, arm: CallableArm, request: OwnRequest) -> str:
        while True:
            self._next_end.clear()
            is_alone = not self._under_way
            try:
                call_id = await begin_own_call(self._router, arm, request)
                self._under_way += 1
                return call_id
            except OwnBudgetSpent:
                if is_alone:
                    raise
            await self._next_end.wait()


def find_paid(calls: Sequence[OwnCall]) -> set[tuple[str, str]]:
    """The items of a run, each with the arm, whose calls may have been paid."""
    return {
        (call.item or "", call.arm)
        for call in calls
        if call.counted_usd or (call.result and call.result.outcome is not CallOutcome.FAILED)
    }


class RunFile:
    """An open file of a run, which no other process has open. ``lines`` were in it when it was opened.

    Each line is on disk before the call that it tells of counts as ended.
    """

    def __init__(self, file: IO[bytes], run: str, lines: list[Any]) -> None:
        self.run = run
        self.lines = lines
        self._file = file
        self._lock = Lock()

    def append(self, content: object) -> None:
        """Add a line; it is on disk when this returns."""
        with self._lock:
            _write_line(self._file, content)


@contextmanager
def open_run_file(path: Path, content: str, run: str | None = None) -> Iterator[RunFile]:
    """Open the file, or begin it with this run, or a new one; ``content`` says what it is a file of.

    The first line is ``{"run": "…"}``, the name of the run in the log of own calls. A last line that a crash
    cut short is removed: its call is lost. Raises ConfigError when another process has the file open, or it
    is another one, or of another run.
    """
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{path}: another run writes it; wait for it, or name another --out") from None
        lines = _read_whole_lines(file)
        try:
            first, *rest = map(orjson.loads, lines) if lines else [{"run": _begin(file, run)}]
            opened = RunFile(file, str(first["run"]), rest)
        except (ValueError, LookupError, TypeError):
            raise ConfigError(f"{path}: is not a file of {content}; name another --out") from None
        if run not in (None, opened.run):
            raise ConfigError(f"{path}: belongs to another run; name another --out")
        yield opened


def _read_whole_lines(file: IO[bytes]) -> list[bytes]:
    file.seek(0)
    *lines, torn = file.read().split(b"\n")
    if torn:
        file.truncate(sum(len(line) + 1 for line in lines))
    return lines


def _begin(file: IO[bytes], run: str | None) -> str:
    run = run or uuid4().hex
    _write_line(file, {"run": run})
    return run


def _write_line(file: IO[bytes], content: object) -> None:
    file.write(orjson.dumps(content) + b"\n")
    file.flush()
    os.fsync(file.fileno())
