"""Values of one column of a data file: numbers within bounds, texts that can be routed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets.problems import RowProblem, quote
from bandit_router.features import read_query
from bandit_router.types import FloatArray
from bandit_router.validation import check_text, convert_to_float

_BOOLEANS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_DOLLARS = re.compile(r"^(?:US)?\$\s*|^USD\s+|\s*(?:US)?\$$|\s*USD$")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_MESSAGES = re.compile(r"\s*\[\s*\{")
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Which numbers a column may hold. Only a column that is not ``required`` may have gaps.

    ``booleans`` says that true and false, yes and no count as 1 and 0, ``dollars`` that "$0.002" is a number.
    """

    high: float = math.inf
    low: float = 0.0
    required: bool = False
    booleans: bool = False
    dollars: bool = False

    @property
    def allowed(self) -> str:
        bounds = (
            f"from {self.low:g} to {self.high:g}" if self.high < math.inf else f"of at least {self.low:g}"
        )
        return f"a finite number {bounds}{', or true or false' if self.booleans else ''}"


QUALITY = Kind(high=1.0, required=True, booleans=True)
COST = Kind(required=True, dollars=True)
AMOUNT = Kind()
SHARE = Kind(high=1.0)


_REPORTED = "-"
"""Stands in for a value whose problem is reported already."""


class Origin(NamedTuple):
    """Where a value comes from: its line or row, and the query and model it is about, if known."""

    line: int
    query: str | None = None
    model: str | None = None


def read_numbers(
    values: Sequence[object], origins: Sequence[Origin], column: str, kind: Kind, problems: list[RowProblem]
) -> FloatArray:
    """Numbers (r,), NaN for a gap and for a problem, which is appended to ``problems``."""
    numbers = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        number = _number_within(value, kind)
        if number is None or (kind.required and math.isnan(number)):
            problems.append(_number_problem(value, origins[i], column, kind, missing=number is not None))
        else:
            numbers[i] = number
    return numbers


def _number_within(value: object, kind: Kind) -> float | None:
    """The number; NaN for a gap; None for a value that is not allowed."""
    if _is_gap(value):
        return math.nan
    try:
        number = _parse_number(value, kind)
    except ValueError:
        return None
    if math.isnan(number):
        return number
    return number if kind.low <= number <= kind.high and math.isfinite(number) else None


def parse_number(value: object, kind: Kind) -> float:
    """The number, within the bounds of its kind or not; NaN for anything else."""
    try:
        return math.nan if _is_gap(value) else _parse_number(value, kind)
    except ValueError:
        return math.nan


def _is_gap(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _parse_number(value: object, kind: Kind) -> float:
    """A number, or the text of one, perhaps with a decimal comma or, of dollars, their sign.

    Raises ValueError.
    """
    if isinstance(value, str):
        text = value.strip()
        if kind.booleans and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if kind.dollars:
            text = _DOLLARS.sub("", text)
        if _DECIMAL_COMMA.fullmatch(text) and not _AMBIGUOUS.fullmatch(text):
            text = text.replace(",", ".")
        if "_" not in text:  # float() would read 1_0 as 10
            return float(text)
    elif (number := convert_to_float(value, booleans=kind.booleans)) is not None:
        return number
    raise ValueError(value)


def _number_problem(value: object, origin: Origin, column: str, kind: Kind, *, missing: bool) -> RowProblem:
    wrong = f"{column} is missing" if missing else f"{column} is {quote(value)}"
    if isinstance(value, str) and _AMBIGUOUS.fullmatch(_DOLLARS.sub("", value.strip())):
        wrong += " (a decimal comma or thousands? write it with a point)"
    elif isinstance(value, str) and value.strip().endswith("%"):
        wrong += " (write a percentage as a share, 95% as 0.95)"
    lost = f"; query {quote(origin.query)} has no result for {origin.model!r}" if kind.required else ""
    return RowProblem(origin.line, f"{wrong}, allowed is {kind.allowed}{lost}", origin.query)


def read_texts(
    values: Sequence[object], origins: Sequence[Origin], column: str, problems: list[RowProblem]
) -> list[str | None]:
    """Texts (r), None for a problem, which is appended to ``problems``."""
    texts: list[str | None] = []
    for value, origin in zip(values, origins, strict=True):
        problem = _text_problem(value, column)
        if problem:
            problems.append(RowProblem(origin.line, problem, origin.query))
        texts.append(None if problem else str(value))
    return texts


def read_prompts(
    values: Sequence[object], origins: Sequence[Origin], column: str, problems: list[RowProblem]
) -> list[str | None]:
    """The texts of queries (r), as :func:`read_texts`; of chat messages, the newest of a user."""
    plain: list[object] = []
    for value, origin in zip(values, origins, strict=True):
        try:
            plain.append(_newest_message(value))
        except InvalidInput as error:
            problems.append(RowProblem(origin.line, f"{column}: {error}", origin.query))
            plain.append(_REPORTED)
    texts = read_texts(plain, origins, column, problems)
    return [None if value is _REPORTED else text for value, text in zip(plain, texts, strict=True)]


def _text_problem(value: object, column: str) -> str | None:
    if value is None or value == "":
        return f"{column} is missing, allowed is any text"
    if not isinstance(value, str):
        return f"{column} is {quote(value)}, allowed is text"
    try:
        check_text(column, value)
    except InvalidInput as error:
        return str(error)
    return None


def format_id(value: object) -> object:
    """An id as text without outer spaces; ids are often counted, or made 3.0 by a gap among them."""
    if isinstance(value, str):
        return value.strip()
    number = convert_to_float(value)
    if number is None:
        return value
    return None if math.isnan(number) else str(int(number)) if number.is_integer() else str(value)


def format_name(value: object) -> object:
    """A name without outer spaces, which people do not see."""
    return value.strip() if isinstance(value, str) else value


def _newest_message(value: object) -> object:
    """The newest user message of chat messages, or of a text that holds them as JSON; else the value itself.

    Raises InvalidInput for messages without one.
    """
    messages = value
    if isinstance(value, str) and _MESSAGES.match(value):
        try:
            messages = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(messages, list) and messages and all(isinstance(m, dict) and "role" in m for m in messages):
        return read_query(messages).text
    return value


def format_identity(value: object) -> str:
    """A text as the id of its query: two conversations with one newest message are two queries."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def format_tasks(values: Sequence[object]) -> list[str]:
    """Task names, "" for a gap."""
    return ["" if value is None else str(value) for value in values]
