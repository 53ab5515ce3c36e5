"""Columns of an exported log as arrays, whoever wrote them: 32-bit floats and other kinds of lists too."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.logs.arrow import compute, pa
from bandit_router.types import NO_SIGNALS, FloatArray, IntArray, Signals

_NUMBERS = ("decided_at", "propensity", "cost_weight", *OUTCOMES)
_LISTS = ("x", "pmf", "costs_usd", "eligible")
_TEXTS = ("id", "schema_id", "arm", "reason", "eligible")
READ = list(dict.fromkeys((*_TEXTS, *_NUMBERS, *_LISTS)))
"""The columns that an evaluation reads."""

SIGNALS, LISTED = "signals", "list_cost_usd"
OPTIONAL = (SIGNALS, LISTED)
"""Columns that are read where they are: logs of older versions lack them."""


def problem_with(schema: Any) -> str | None:
    """What is wrong with the columns of a file, if anything."""
    missing = [name for name in READ if name not in schema.names]
    if missing:
        return f"has no column {', '.join(missing)}"
    for name in [*READ, *(name for name in (LISTED,) if name in schema.names)]:
        kind = schema.field(name).type
        value = kind.value_type if name in _LISTS and _is_list(kind) else kind
        is_right = _is_text if name in _TEXTS else _is_number
        if not is_right(value) or (name in _LISTS and not _is_list(kind)):
            wanted = "text" if name in _TEXTS else "numbers"
            return f"column {name} holds {kind}, not {'lists of ' if name in _LISTS else ''}{wanted}"
    return None


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def numbers(column: Any) -> FloatArray:
    """(n,) float64, NaN where null."""
    return np.asarray(column.to_numpy(), dtype=np.float64)


def coded(column: Any) -> tuple[IntArray, list[str]]:
    """Names as (n,) indices into the distinct ones; −1 where null."""
    column = _whole(column)
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    return column.indices.fill_null(-1).to_numpy().astype(np.int64), column.dictionary.to_pylist()


def lengths_of(column: Any) -> IntArray:
    """The length of every list, −1 where null."""
    return np.asarray(compute.list_value_length(column).fill_null(-1).to_numpy(), dtype=np.int64)


def vectors(column: Any, dim: int) -> FloatArray:
    """Lists that all have length ``dim``, as (n, dim)."""
    return _flat(column).reshape(-1, dim) if dim else np.empty((len(column), 0))


class Choices(NamedTuple):
    """What could be chosen in n rows, one entry per row and eligible arm, and what was.

    ``row``, ``code`` (index into ``names``, −1 for none), ``pmf`` and ``cost_usd`` have one entry each;
    ``action`` (n,) is an index into ``names`` too, −1 when it is none of them.
    """

    row: IntArray
    code: IntArray
    pmf: FloatArray
    cost_usd: FloatArray
    action: IntArray
    names: list[str]


def choices_of(table: Any) -> Choices:
    """Of a table whose lists match in length."""
    code, names = coded(values_of(table["eligible"]))
    arm, arm_names = coded(table["arm"])
    place = {name: i for i, name in enumerate(names)}
    return Choices(
        row=np.repeat(np.arange(table.num_rows), lengths_of(table["eligible"])),
        code=code,
        pmf=_flat(table["pmf"]),
        cost_usd=_flat(table["costs_usd"]),
        action=np.array([*(place.get(name, -1) for name in arm_names), -1])[arm],
        names=names,
    )


def listed_of(table: Any) -> FloatArray | tuple[()]:
    """The list cost of every row (n,), NaN where it is not known; () where there is no such column."""
    return numbers(table[LISTED]) if LISTED in table.column_names else ()


def signals_of(table: Any) -> tuple[Signals, ...]:
    """The signals of every row; () where there is no such column, or nothing in it."""
    if SIGNALS not in table.column_names:
        return ()
    code, texts = coded(table[SIGNALS])
    found = [*map(_signals, texts), NO_SIGNALS]  # the last is for null, whose code is −1
    return tuple(found[i] for i in code) if texts else ()


def _signals(text: str) -> Signals:
    try:
        value: object = json.loads(text)
    except ValueError:
        return NO_SIGNALS
    return value if isinstance(value, dict) else NO_SIGNALS


def _flat(column: Any) -> FloatArray:
    return np.asarray(values_of(column).to_numpy(zero_copy_only=False), dtype=np.float64)


def values_of(column: Any) -> Any:
    """The entries of all lists, one after another."""
    return _whole(column).flatten()


def _whole(column: Any) -> Any:
    """As one array; the one chunk there usually is would be copied by combine_chunks."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
