"""Values of one column of a data file: numbers within bounds, texts that can be routed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets.problems import RowProblem, quote
from bandit_router.types import FloatArray
from bandit_router.validation import check_text, convert_to_float

_BOOLEANS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Which numbers a column may hold. Only a column that is not ``required`` may have gaps."""

    high: float = math.inf
    low: float = 0.0
    required: bool = False
    booleans: bool = False

    @property
    def allowed(self) -> str:
        bounds = (
            f"from {self.low:g} to {self.high:g}" if self.high < math.inf else f"of at least {self.low:g}"
        )
        return f"a finite number {bounds}{', or true or false' if self.booleans else ''}"


QUALITY = Kind(high=1.0, required=True, booleans=True)
COST = Kind(required=True)
AMOUNT = Kind()
SHARE = Kind(high=1.0)


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
    if value is None or value == "":
        return math.nan
    try:
        number = _parse_number(value, kind.booleans)
    except ValueError:
        return None
    if math.isnan(number):
        return number
    return number if kind.low <= number <= kind.high and math.isfinite(number) else None


def _parse_number(value: object, booleans: bool) -> float:
    if isinstance(value, str):
        if booleans and value.strip().lower() in _BOOLEANS:
            return _BOOLEANS[value.strip().lower()]
        if "_" not in value:  # float() would read 1_0 as 10
            return float(value)
    elif (number := convert_to_float(value, booleans=booleans)) is not None:
        return number
    raise ValueError(value)


def _number_problem(value: object, origin: Origin, column: str, kind: Kind, *, missing: bool) -> RowProblem:
    wrong = f"{column} is missing" if missing else f"{column} is {quote(value)}"
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
    """Whole numbers as text, because ids are often counted; everything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def format_tasks(values: Sequence[object]) -> list[str]:
    """Task names, "" for a gap."""
    return ["" if value is None else str(value) for value in values]
