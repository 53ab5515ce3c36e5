"""Decisions as tables of the SCHEMA, whatever a damaged database gives for a decision."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bandit_router.evaluation.logs.arrow import pa
from bandit_router.evaluation.logs.columns import SIGNALS
from bandit_router.evaluation.logs.schema import SCHEMA
from bandit_router.objective.reward import reward
from bandit_router.store.log_reader import LoggedDecision, UnreadableDecision
from bandit_router.types import METRICS, FloatArray, Signals

_YEAR_10000 = 253_402_300_800.0
_UNFIT = (TypeError, ValueError, OverflowError, pa.ArrowException)
_RENAMED = {"costs_usd": "expected_costs_usd"}
"""Columns whose name is not that of the field of a Decision."""


def tabulate(
    rows: Sequence[LoggedDecision | UnreadableDecision], weights: Mapping[str, float]
) -> tuple[Any, list[LoggedDecision], list[UnreadableDecision]]:
    """A table, the rows in it, and those that cannot be. Its ``reward`` is made with the weights given."""
    fit = [row for row in rows if isinstance(row, LoggedDecision)]
    unfit = [row for row in rows if isinstance(row, UnreadableDecision)]
    try:
        return _table(fit, weights), fit, unfit
    except ValueError:  # one at fault is enough
        tried = [(row, _obstacle(row, weights)) for row in fit]
        unfit += [UnreadableDecision(row.decision.id, why) for row, why in tried if why is not None]
        fit = [row for row, why in tried if why is None]
        return _table(fit, weights), fit, unfit


def _obstacle(row: LoggedDecision, weights: Mapping[str, float]) -> str | None:
    try:
        _table([row], weights)
    except ValueError as error:
        return str(error)
    return None


def _table(rows: Sequence[LoggedDecision], weights: Mapping[str, float]) -> Any:
    """Raises ValueError, which names the first column that cannot hold its values."""
    arrays = {}
    for column in SCHEMA:
        try:
            arrays[column.name] = _array(column.name, column.type, rows, weights)
        except _UNFIT as error:
            raise ValueError(f"{column.name}: {error}") from error
    return pa.table(arrays, SCHEMA)


def _array(name: str, kind: Any, rows: Sequence[LoggedDecision], weights: Mapping[str, float]) -> Any:
    if name == "reward":
        return pa.array([reward(row.metrics, weights) for row in rows], kind)
    if name in METRICS:
        return pa.array([row.metrics.get(name) for row in rows], kind)
    values = [getattr(row.decision, _RENAMED.get(name, name)) for row in rows]
    if name == "x":
        return _vectors(values)
    if name == SIGNALS:
        return signals_array(values)
    if name == "decided_at" and not all(0.0 <= at < _YEAR_10000 for at in values):
        raise ValueError("is not a Unix time in seconds")
    return pa.array(values, kind)


def signals_array(values: Iterable[Signals]) -> Any:
    """The column of signals: JSON, null where there are none."""
    texts = (json.dumps(dict(some), sort_keys=True) if some else None for some in values)
    return pa.array(texts, SCHEMA.field(SIGNALS).type)


def _vectors(vectors: Sequence[FloatArray]) -> Any:
    offsets = np.cumsum([0, *(x.size for x in vectors)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate([np.empty(0), *vectors])))
