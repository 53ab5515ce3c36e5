"""The file of answers beside a table of labels: each is on disk before its call counts as ended.

The first line is ``{"run": "…"}``, the name of the run in the log of own calls. Every other is one answer.
A line that a crash cut short is removed: the call of that answer is lost.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any
from uuid import uuid4

import orjson

from bandit_router.errors import ConfigError
from bandit_router.types import CallOutcome, CallResult, Usage

Pair = tuple[str, str]
"""The item of a query, and the name of an arm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAnswer:
    """The answer of an arm to a query, the call it came by, and how that ended."""

    item: str
    arm: str
    call_id: str
    text: str
    result: CallResult


class AnswerFile:
    """An open file of answers, which no other process has open. ``answers`` are those in it."""

    def __init__(self, file: IO[bytes], run: str, answers: dict[Pair, KeptAnswer]) -> None:
        self.run = run
        self.answers = answers
        self._file = file
        self._lock = Lock()

    def append(self, answer: KeptAnswer) -> None:
        """Add an answer; it is on disk when this returns."""
        with self._lock:
            _write_line(self._file, answer)
            self.answers[answer.item, answer.arm] = answer


@contextmanager
def open_answers(path: Path) -> Iterator[AnswerFile]:
    """Open the file, or begin it with a new run. Raises ConfigError when another process has it open."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{path}: another run writes it; wait for it, or name another --out") from None
        lines = _read_whole_lines(file)
        try:
            run = str(orjson.loads(lines[0])["run"]) if lines else _begin(file)
            kept = [_read_answer(orjson.loads(line)) for line in lines[1:]]
        except (ValueError, LookupError, TypeError):
            raise ConfigError(f"{path}: is not a file of answers; name another --out") from None
        yield AnswerFile(file, run, {(answer.item, answer.arm): answer for answer in kept})


def _read_whole_lines(file: IO[bytes]) -> list[bytes]:
    file.seek(0)
    *lines, torn = file.read().split(b"\n")
    if torn:
        file.truncate(sum(len(line) + 1 for line in lines))
    return lines


def _begin(file: IO[bytes]) -> str:
    run = uuid4().hex
    _write_line(file, {"run": run})
    return run


def _write_line(file: IO[bytes], content: object) -> None:
    file.write(orjson.dumps(content) + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _read_answer(fields: dict[str, Any]) -> KeptAnswer:
    result = fields["result"]
    usage = None if result["usage"] is None else Usage(**result["usage"])
    ended = CallResult(**(result | {"outcome": CallOutcome(result["outcome"]), "usage": usage}))
    return KeptAnswer(**(fields | {"result": ended}))
