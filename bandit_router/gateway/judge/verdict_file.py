"""The file of verdicts: each is on disk before its call counts as ended, so that none is paid for twice.

The first line is ``{"run": "…"}``, the name of the run in the log of own calls. Every other is one verdict:
its key, and what people want to know of it. A line that a crash cut short is removed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any
from uuid import uuid4

import orjson

from bandit_router.errors import ConfigError
from bandit_router.gateway.judge.comparisons import JudgeTask, Verdict


class VerdictFile:
    """An open file, which no other process has open. ``verdicts`` are those in it, by key."""

    def __init__(self, file: IO[bytes], run: str, verdicts: dict[str, Verdict]) -> None:
        self.run = run
        self.verdicts = verdicts
        self._file = file
        self._lock = Lock()

    def append(self, task: JudgeTask, verdict: Verdict, cost_usd: float) -> None:
        """Add a verdict; it is on disk when this returns."""
        line = {"key": task.key, "query": task.row, "arms": task.arms, "verdict": verdict}
        with self._lock:
            _write_line(self._file, {**line, "cost_usd": cost_usd})
            self.verdicts[task.key] = verdict


@contextmanager
def open_verdicts(path: Path) -> Iterator[VerdictFile]:
    """Open the file, or begin it with a new run. Raises ConfigError when another process has it open."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{path}: another run writes it; wait for it, or name another --out") from None
        lines = _read_whole_lines(file)
        try:
            run = str(lines[0]["run"]) if lines else _begin(file)
            verdicts = {str(line["key"]): line["verdict"] for line in lines[1:]}
        except (LookupError, TypeError):
            raise ConfigError(f"{path}: is not a file of verdicts; name another --out") from None
        yield VerdictFile(file, run, verdicts)


def _read_whole_lines(file: IO[bytes]) -> list[Any]:
    file.seek(0)
    *lines, torn = file.read().split(b"\n")
    if torn:
        file.truncate(sum(len(line) + 1 for line in lines))
    try:
        return [orjson.loads(line) for line in lines]
    except ValueError:
        return [None]  # not ours


def _begin(file: IO[bytes]) -> str:
    run = uuid4().hex
    _write_line(file, {"run": run})
    return run


def _write_line(file: IO[bytes], content: object) -> None:
    file.write(orjson.dumps(content) + b"\n")
    file.flush()
    os.fsync(file.fileno())
