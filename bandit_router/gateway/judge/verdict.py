"""What a judge says, read strictly: one line in the form that was asked for, or no verdict."""

from __future__ import annotations

import re
from enum import StrEnum

_SCORE = re.compile(r"SCORE: (10|[0-9])")
_BETTER = re.compile(r"BETTER: (A|B|TIE)")
_ANY_LINE = re.compile(r"^\W*(?:SCORE|BETTER)\W*:", re.MULTILINE | re.IGNORECASE)
_HIGHEST = 10.0


class Better(StrEnum):
    """Which of two answers is better."""

    A = "A"
    B = "B"
    TIE = "TIE"


_SWAPPED = {Better.A: Better.B, Better.B: Better.A, Better.TIE: Better.TIE}


def read_score(text: str) -> float | None:
    """The score in [0, 1] of ``SCORE: n`` in the last line, n from 0 to 10; None if there is no verdict."""
    verdict = _read_last_line(text, _SCORE)
    return None if verdict is None else int(verdict) / _HIGHEST


def read_better(text: str) -> Better | None:
    """The answer of ``BETTER: x`` in the last line; None if there is no verdict."""
    verdict = _read_last_line(text, _BETTER)
    return None if verdict is None else Better(verdict)


def combine_orders(first: Better | None, swapped: Better | None) -> Better | None:
    """The verdict of a judge who was asked twice, the second time with the answers in the other order.

    None where the two do not say the same: then the order has decided, or chance.
    """
    if first is None or swapped is None or first is not _SWAPPED[swapped]:
        return None
    return first


def _read_last_line(text: str, form: re.Pattern[str]) -> str | None:
    """The verdict in the last line, if no other line looks like one: a judge may quote the answer."""
    lines = text.strip().splitlines()
    if not lines or len(_ANY_LINE.findall(text)) != 1:
        return None
    match = form.fullmatch(lines[-1].strip())
    return None if match is None else match[1]
