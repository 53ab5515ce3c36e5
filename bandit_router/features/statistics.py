"""Text statistics: cheap features of a query, each in [0, 1]."""

from __future__ import annotations

import math
import re

import numpy as np

from bandit_router.types import FloatArray, Query

STATISTIC_NAMES: tuple[str, ...] = (
    "prompt_length",
    "words",
    "word_length",
    "digits",
    "uppercase",
    "non_ascii",
    "newlines",
    "questions",
    "code_marks",
    "math_marks",
    "reasoning_words",
    "choice_marks",
    "turn",
    "tier_premium",
    "tier_free",
)
"""What each entry of :func:`text_statistics` counts, in order."""

_LONGEST_PROMPT, _MOST_WORDS, _MOST_TURNS = 200_000, 5_000, 100

_DIGITS = b"0123456789"
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = _CAPITALS.lower()
_TO_WORDS = bytes(c if c in _LETTERS + _DIGITS else ord(" ") for c in bytes(range(256)).lower())

_CODE_WORDS = frozenset(
    b"def import return class function const void lambda elif printf println async select".split()
)
_REASONING_WORDS = frozenset(
    b"why how explain prove proof derive compare contrast analyze analyse evaluate justify reason design "
    b"debug refactor optimize optimise implement plan critique step steps think".split()
)
_MATH_MARK = re.compile(r"[=+*/^<>\\$%√∑∫≤≥≠≈×÷π∞]")
# The lookbehind (no letter before the letter) comes second: a pattern that starts with a character
# class is searched several times faster.
_CHOICE_MARK = re.compile(r"[A-E](?<!\w[A-E])(?:\)|[.:]\s)")


def text_statistics(query: Query) -> FloatArray:
    """The statistics of a query, shape (len(STATISTIC_NAMES),), each in [0, 1].

    Counts n and shares of all characters become n / (n + h), where h is what counts as half; sizes
    become log(1 + n) / log(1 + N), at most 1. ``prompt_length`` is of everything sent with the query,
    ``turn`` is 0 for the first. ``tier_premium`` and ``tier_free`` are 1 for that tier of user; any
    other tier is neither. Digits, upper case, code and reasoning words are ASCII only.
    """
    text = query.text
    plain = text.encode("ascii", "ignore")
    words = text.split()
    tokens = plain.translate(_TO_WORDS).split()
    chars = max(1, len(text))
    code_marks = (
        text.count("```")
        + text.count("\n    ")
        + text.count("\n\t")
        + _count_bytes(plain, b"{};")
        + len(_CODE_WORDS.intersection(tokens))
    )
    return np.array(
        [
            _scale_logarithmically(max(query.prompt_chars, len(text)), _LONGEST_PROMPT),
            _scale_logarithmically(len(words), _MOST_WORDS),
            _saturate(len("".join(words)) / max(1, len(words)), 5.0),
            _saturate(_count_bytes(plain, _DIGITS) / chars, 0.05),
            _saturate(_count_bytes(plain, _CAPITALS) / chars, 0.05),
            _saturate((len(text) - len(plain)) / chars, 0.05),
            _saturate(text.count("\n"), 5.0),
            _saturate(text.count("?"), 1.0),
            _saturate(code_marks, 3.0),
            _saturate(len(_MATH_MARK.findall(text)), 5.0),
            _saturate(len(_REASONING_WORDS.intersection(tokens)), 1.0),
            _saturate(len(_CHOICE_MARK.findall(text)), 2.0),
            _scale_logarithmically(query.turn - 1, _MOST_TURNS),
            float(query.user_tier == "premium"),
            float(query.user_tier == "free"),
        ]
    )


def _count_bytes(plain: bytes, characters: bytes) -> int:
    return len(plain) - len(plain.translate(None, characters))


def _saturate(n: float, half: float) -> float:
    return n / (n + half)


def _scale_logarithmically(n: int, largest: int) -> float:
    return math.log1p(min(max(n, 0), largest)) / math.log1p(largest)
