"""Single values of a file: numbers within bounds, texts that can be routed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets.problems import Problem, shown
from bandit_router.types import FloatArray
from bandit_router.validation import check_text

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


class Place(NamedTuple):
    """Where a value stands: its line or row, and the query and model it is about, when known."""

    line: int
    query: str | None = None
    model: str | None = None


def read_numbers(
    values: Sequence[object], places: Sequence[Place], column: str, kind: Kind
) -> tuple[FloatArray, list[Problem]]:
    """Numbers (r,), NaN where there is a gap or a problem, and the problems."""
    numbers, problems = np.full(len(values), np.nan), []
    for i, value in enumerate(values):
        number = _number(value, kind)
        if number is None or (kind.required and math.isnan(number)):
            problems.append(_wrong(value, places[i], column, kind, missing=number is not None))
        else:
            numbers[i] = number
    return numbers, problems


def _number(value: object, kind: Kind) -> float | None:
    """The number; NaN when there is none; None when what is there is not allowed."""
    if value is None or value == "":
        return math.nan
    try:
        number = _plain_number(value, kind.booleans)
    except (ValueError, OverflowError):
        return None
    if math.isnan(number):
        return number
    return number if kind.low <= number <= kind.high and math.isfinite(number) else None


def _plain_number(value: object, booleans: bool) -> float:
    if isinstance(value, str):
        if booleans and value.strip().lower() in _BOOLEANS:
            return _BOOLEANS[value.strip().lower()]
        if "_" not in value:  # float() would read 1_0 as 10
            return float(value)
    elif isinstance(value, int | float | Decimal) and (booleans or not isinstance(value, bool)):
        return float(value)
    raise ValueError(value)


def _wrong(value: object, place: Place, column: str, kind: Kind, *, missing: bool) -> Problem:
    what = f"{column} is missing" if missing else f"{column} is {shown(value)}"
    lost = f"; query {shown(place.query)} has no result for {place.model!r}" if kind.required else ""
    return Problem(place.line, f"{what}, allowed is {kind.allowed}{lost}", place.query)


def read_texts(
    values: Sequence[object], places: Sequence[Place], column: str
) -> tuple[list[str | None], list[Problem]]:
    """Texts (r), None where there is a problem, and the problems."""
    texts: list[str | None] = []
    problems: list[Problem] = []
    for value, place in zip(values, places, strict=True):
        why = _not_text(value, column)
        if why:
            problems.append(Problem(place.line, why, place.query))
        texts.append(None if why else str(value))
    return texts, problems


def _not_text(value: object, column: str) -> str | None:
    if value is None or value == "":
        return f"{column} is missing, allowed is any text"
    if not isinstance(value, str):
        return f"{column} is {shown(value)}, allowed is text"
    try:
        check_text(column, value)
    except InvalidInput as error:
        return str(error)
    return None


def as_id(value: object) -> object:
    """Whole numbers as text, because ids are often counted; everything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
