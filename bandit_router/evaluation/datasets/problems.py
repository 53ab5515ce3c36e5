"""What is wrong with a file, row by row: told all at once, or logged and left out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bandit_router.errors import ConfigError

log = logging.getLogger(__name__)

_NAMED = 5
_SHOWN_CHARS = 60


class Problem(NamedTuple):
    """What is wrong at one line or row (counted from 1), and with which query if that can be said."""

    line: int
    what: str
    query: str | None = None


def shown(value: object) -> str:
    """A value as an error prints it: on one line and not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def refuse(path: Path, unit: str, problems: Sequence[Problem], fix: str) -> None:
    """Raise ConfigError naming the first few problems and counting the rest; nothing when there are none."""
    if problems:
        first, *rest = _told(unit, problems)
        raise ConfigError("\n  ".join([f"{path}: {first}; {fix}", *rest]))


def report_left_out(path: Path, unit: str, problems: Sequence[Problem], left_out: int, of: int) -> None:
    """Log how many queries were left out, how many rows belong to none, and the first few reasons."""
    nameless = sum(problem.query is None for problem in problems)
    also = f" and rows that name no query ({nameless})" if nameless else ""
    why = "\n  ".join(_told(unit, problems))
    log.warning("%s: left out %d of %d queries%s: %s", path, left_out, of, also, why)


def _told(unit: str, problems: Sequence[Problem]) -> list[str]:
    """One line for a single problem; else their number, the first few, and the number of the rest."""
    told = [f"{unit} {problem.line}: {problem.what}" for problem in sorted(problems, key=_line)[:_NAMED]]
    if len(problems) == 1:
        return told
    rest = len(problems) - len(told)
    return [f"{len(problems)} problems", *told, *([f"and {rest} more"] if rest else [])]


def _line(problem: Problem) -> int:
    return problem.line
