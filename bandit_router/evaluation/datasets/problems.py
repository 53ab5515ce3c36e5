"""Problems of a data file, row by row: raised as one error, or logged with the queries left out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from bandit_router.errors import ConfigError

log = logging.getLogger(__name__)

_NAMED = 5
_QUOTED_CHARS = 60


class RowProblem(NamedTuple):
    """What is wrong at one line or row (counted from 1), and with which query if the row names one."""

    line: int
    message: str
    query: str | None = None


def quote(value: object) -> str:
    """A value as an error prints it: on one line and not too long."""
    text = repr(value)
    return text if len(text) <= _QUOTED_CHARS else f"{text[: _QUOTED_CHARS - 1]}…"


def raise_problems(path: Path, unit: str, problems: Sequence[RowProblem], fix: str) -> None:
    """Raise ConfigError naming the first few problems and counting the rest; nothing when there are none."""
    if problems:
        first, *rest = _describe_problems(unit, problems)
        raise ConfigError("\n  ".join([f"{path}: {first}; {fix}", *rest]))


def log_left_out(path: Path, unit: str, problems: Sequence[RowProblem], left_out: int, of: int) -> None:
    """Log how many queries were left out, how many rows belong to none, and the first few reasons."""
    nameless = sum(problem.query is None for problem in problems)
    also = f" and rows that name no query ({nameless})" if nameless else ""
    reasons = "\n  ".join(_describe_problems(unit, problems))
    log.warning("%s: left out %d of %d queries%s: %s", path, left_out, of, also, reasons)


def _describe_problems(unit: str, problems: Sequence[RowProblem]) -> list[str]:
    """A single problem on one line; of several their number, the first few, and the number of the rest."""
    first = sorted(problems, key=attrgetter("line"))[:_NAMED]
    lines = [f"{unit} {problem.line}: {problem.message}" for problem in first]
    if len(problems) == 1:
        return lines
    rest = len(problems) - len(lines)
    return [f"{len(problems)} problems", *lines, *([f"and {rest} more"] if rest else [])]
