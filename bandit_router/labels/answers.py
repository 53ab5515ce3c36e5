"""The file of answers beside a table of labels: what was paid for is never asked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandit_router.errors import ConfigError
from bandit_router.gateway.own_run import RunFile, open_run_file
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
    """An open file of answers. ``answers`` are those in it."""

    def __init__(self, file: RunFile, answers: dict[Pair, KeptAnswer]) -> None:
        self.run = file.run
        self.answers = answers
        self._file = file

    def append(self, answer: KeptAnswer) -> None:
        """Add an answer; it is on disk when this returns."""
        self._file.append(answer)
        self.answers[answer.item, answer.arm] = answer


@contextmanager
def open_answers(path: Path) -> Iterator[AnswerFile]:
    """Open the file, or begin it with a new run. Raises ConfigError."""
    with open_run_file(path, "answers") as file:
        try:
            kept = [_read_answer(line) for line in file.lines]
        except (ValueError, LookupError, TypeError):
            raise ConfigError(f"{path}: is not a file of answers; name another --out") from None
        yield AnswerFile(file, {(answer.item, answer.arm): answer for answer in kept})


def _read_answer(fields: dict[str, Any]) -> KeptAnswer:
    result = fields["result"]
    usage = None if result["usage"] is None else Usage(**result["usage"])
    ended = CallResult(**(result | {"outcome": CallOutcome(result["outcome"]), "usage": usage}))
    return KeptAnswer(**(fields | {"result": ended}))
