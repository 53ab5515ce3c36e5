"""Which rows of a log can be evaluated. The others are left out, counted and named, and never fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.logs.columns import Choices, choices_of, coded, lengths_of, numbers, vectors
from bandit_router.evaluation.logs.left_out import NAMED, LeftOut
from bandit_router.types import BoolArray, FloatArray, Reason

_PMF_TOLERANCE = 9e-7  # below that of a Block, which may add the same numbers in another order
_LARGEST_FEATURE = 1e100

Fault = tuple[str, BoolArray]
"""What is wrong, and with which rows (n,)."""


class Sifted(NamedTuple):
    """The rows that are left, and those that are not."""

    table: Any
    left_out: dict[str, LeftOut]


def sift(table: Any, schema_id: str, dim: int) -> Sifted:
    """Keep what is exploration, of this pipeline, and consistent in itself.

    A propensity that differs from its PMF stays: that is for the diagnostics to judge.
    """
    left_out: dict[str, LeftOut] = {}
    for faults in (_other_reasons, _other_contexts, _damages, _repeats):
        table = _without(table, faults(table, schema_id, dim), left_out)
    return Sifted(table, left_out)


def _without(table: Any, faults: Iterable[Fault], left_out: dict[str, LeftOut]) -> Any:
    """The rows without any of the faults; every other row counts for the first of its faults."""
    kept = np.ones(table.num_rows, dtype=np.bool_)
    for name, wrong in faults:
        rows = np.flatnonzero(wrong & kept)
        if rows.size:
            ids = table["id"].take(rows[:NAMED]).to_pylist()
            left_out[name] = LeftOut(int(rows.size), tuple(map(str, ids)))
            kept[rows] = False
    return table if kept.all() else table.filter(kept)


def _other_reasons(table: Any, _schema_id: str, _dim: int) -> Iterator[Fault]:
    code, names = coded(table["reason"])
    yield "no reason", code < 0
    for i, name in enumerate(names):
        if name != Reason.POLICY.value:
            yield name, code == i


def _other_contexts(table: Any, schema_id: str, dim: int) -> Iterator[Fault]:
    code, names = coded(table["schema_id"])
    yield "another schema", code != (names.index(schema_id) if schema_id in names else len(names))
    yield "another dimension", lengths_of(table["x"]) != dim
    eligible = lengths_of(table["eligible"])
    yield "damaged: nothing was eligible", eligible <= 0
    for name in ("pmf", "costs_usd"):
        yield f"damaged: {name} is not as long as eligible", lengths_of(table[name]) != eligible


def _damages(table: Any, _schema_id: str, dim: int) -> Iterator[Fault]:
    yield "damaged: no id", np.asarray(table["id"].is_null())
    yield "damaged: x is not finite", _wild(vectors(table["x"], dim))
    choices = choices_of(table)
    yield from _choice_damages(choices, table.num_rows)
    propensity = numbers(table["propensity"])
    yield "damaged: propensity is not in (0, 1]", ~((propensity > 0) & (propensity <= 1))
    for name in ("decided_at", "cost_weight"):
        yield f"damaged: {name} is not finite", ~np.isfinite(numbers(table[name]))
    for name in OUTCOMES:
        yield f"damaged: {name} is infinite", np.isinf(numbers(table[name]))


def _repeats(table: Any, _schema_id: str, _dim: int) -> Iterator[Fault]:
    """Of the rows with the same id, the first that nothing is wrong with counts."""
    code, _ = coded(table["id"])
    again = np.ones(table.num_rows, dtype=np.bool_)
    again[np.unique(code, return_index=True)[1]] = False
    yield "the id of a row before", again


def _wild(x: FloatArray) -> BoolArray:
    """Rows with NaN, infinity or numbers whose products overflow."""
    if x.size and x.min() >= -_LARGEST_FEATURE and x.max() <= _LARGEST_FEATURE:  # false for NaN
        return np.zeros(len(x), dtype=np.bool_)
    return np.asarray(~(np.abs(x) <= _LARGEST_FEATURE).all(axis=1))


def _choice_damages(choices: Choices, n: int) -> Iterator[Fault]:
    row, code = choices.row, choices.code
    there = np.zeros((n, len(choices.names) + 1), dtype=np.bool_)  # the last column: no name
    there[row, code] = True
    yield "damaged: an eligible arm has no name", there[:, -1].copy()
    yield "damaged: an arm is eligible twice", there.sum(axis=1) != np.bincount(row, minlength=n)
    chosen = choices.action
    yield "damaged: the action was not eligible", (chosen < 0) | ~there[np.arange(n), chosen]
    p = choices.pmf
    outside = ~((p >= 0) & (p <= 1 + _PMF_TOLERANCE))
    yield "damaged: pmf is not in [0, 1]", np.bincount(row[outside], minlength=n) > 0
    sums = np.bincount(row, weights=p, minlength=n)
    yield "damaged: pmf does not sum to 1", ~(np.abs(sums - 1.0) <= _PMF_TOLERANCE)
    unpriced = ~np.isfinite(choices.cost_usd)
    yield "damaged: costs_usd is not finite", np.bincount(row[unpriced], minlength=n) > 0
