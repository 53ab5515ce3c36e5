"""Decodes Parquet columns of a log into arrays, whichever writer made them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.logs.schema import compute, pa
from bandit_router.types import NO_SIGNALS, NO_TASK, FloatArray, IntArray, Signals


def decode_numbers(column: Any) -> FloatArray:
    """(n,) float64, NaN where null."""
    return np.asarray(column.to_numpy(), dtype=np.float64)


def decode_names(column: Any) -> tuple[IntArray, list[str]]:
    """Names as (n,) indices into the distinct ones; −1 where null."""
    column = _as_single_array(column)
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    return column.indices.fill_null(-1).to_numpy().astype(np.int64), column.dictionary.to_pylist()


def decode_list_lengths(column: Any) -> IntArray:
    """The length of every list (n,), −1 where null."""
    return np.asarray(compute.list_value_length(column).fill_null(-1).to_numpy(), dtype=np.int64)


def decode_vectors(column: Any, dim: int) -> FloatArray:
    """Lists that all have length ``dim``, as (n, dim)."""
    return _list_numbers(column).reshape(-1, dim) if dim else np.empty((len(column), 0))


class EligibleArms(NamedTuple):
    """The eligible arms of n rows, and the arm chosen in each.

    ``row``, ``code``, ``pmf`` and ``cost_usd`` have an entry for each row and eligible arm; ``action`` (n,)
    has one for each row. ``code`` and ``action`` are indices into ``names``, −1 for a missing name and for an
    action that is eligible in no row.
    """

    row: IntArray
    code: IntArray
    pmf: FloatArray
    cost_usd: FloatArray
    action: IntArray
    names: list[str]


def decode_eligible_arms(table: Any) -> EligibleArms:
    """The eligible arms of a table whose lists match in length."""
    code, names = decode_names(list_values(table["eligible"]))
    arm, arm_names = decode_names(table["arm"])
    index = {name: i for i, name in enumerate(names)}
    return EligibleArms(
        row=np.repeat(np.arange(table.num_rows), decode_list_lengths(table["eligible"])),
        code=code,
        pmf=_list_numbers(table["pmf"]),
        cost_usd=_list_numbers(table["costs_usd"]),
        action=np.array([*(index.get(name, -1) for name in arm_names), -1])[arm],
        names=names,
    )


def decode_list_costs(table: Any) -> FloatArray | tuple[()]:
    """The list cost of every row (n,), NaN where unknown; empty without such a column."""
    return decode_numbers(table["list_cost_usd"]) if "list_cost_usd" in table.column_names else ()


def decode_reward_weights(table: Any) -> FloatArray | tuple[()]:
    """The weight of every reward (n,), 1 where there is none; empty without such a column."""
    if "reward_weight" not in table.column_names:
        return ()
    return _fill_nulls(table["reward_weight"], 1.0)


def decode_task_numbers(table: Any) -> FloatArray | tuple[()]:
    """What every row gives as its task (n,), NO_TASK where null; empty without such a column."""
    return _fill_nulls(table["task"], NO_TASK) if "task" in table.column_names else ()


def decode_tasks(table: Any) -> IntArray | tuple[()]:
    """The number of every row's task (n,), of rows that all give one; empty without such a column."""
    numbers = decode_task_numbers(table)
    return numbers if isinstance(numbers, tuple) else numbers.astype(np.int64)


def decode_signals(table: Any) -> tuple[Signals, ...]:
    """The signals of every row; empty without such a column, or with nothing in it."""
    if "signals" not in table.column_names:
        return ()
    code, texts = decode_names(table["signals"])
    signals = [*map(_parse_signals, texts), NO_SIGNALS]  # the last is for null, whose code is −1
    return tuple(signals[i] for i in code) if texts else ()


def _parse_signals(text: str) -> Signals:
    try:
        value: object = json.loads(text)
    except ValueError:
        return NO_SIGNALS
    return value if isinstance(value, dict) else NO_SIGNALS


def list_values(column: Any) -> Any:
    """The entries of all lists, one after another."""
    return _as_single_array(column).flatten()


def _list_numbers(column: Any) -> FloatArray:
    return np.asarray(list_values(column).to_numpy(zero_copy_only=False), dtype=np.float64)


def _fill_nulls(column: Any, value: float) -> FloatArray:
    """(n,) float64, of a column of any numbers, or of nulls alone."""
    return np.where(column.is_null(), value, decode_numbers(column))


def _as_single_array(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    # combine_chunks would copy the one chunk there usually is.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
