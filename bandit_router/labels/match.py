"""Compares an answer with references: 1 if it is right, else 0.

Both become words: compatibility forms (NFKC), lower case, no punctuation; a number is one word, with its sign
and its decimals, without separators of thousands. ``exact``: the answer's words are those of a reference.
``contains``: the words of a reference stand in the answer, one after the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

_WORD = re.compile(r"(?:(?<!\w)-)?\d+(?:[.,]\d+)*|[^\W_]+")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


class Match(StrEnum):
    """When an answer is right."""

    CONTAINS = "contains"
    EXACT = "exact"


def find_words(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).replace("−", "-").casefold())
    return [word.replace(",", "") if _THOUSANDS.fullmatch(word) else word for word in words]


def grade_answer(answer: str, references: Sequence[str], match: Match) -> float:
    """1.0 if the answer matches any of the references, else 0.0."""
    words = find_words(answer)
    return float(any(_matches(words, find_words(reference), match) for reference in references))


def _matches(words: list[str], reference: list[str], match: Match) -> bool:
    if match is Match.EXACT or not reference:
        return words == reference
    size = len(reference)
    return any(words[i : i + size] == reference for i in range(len(words) - size + 1))
