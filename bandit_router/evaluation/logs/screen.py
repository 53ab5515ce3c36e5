"""Screens the rows of a log: those that cannot be evaluated are left out, counted and named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.logs.columns import (
    EligibleArms,
    decode_eligible_arms,
    decode_list_lengths,
    decode_names,
    decode_numbers,
    decode_reward_weights,
    decode_task_numbers,
    decode_vectors,
)
from bandit_router.types import NO_TASK, OTHER_TASKS, BoolArray, FloatArray, Reason

NAMED = 5
"""How many of the decisions left out for one reason are named by id."""

_PMF_TOLERANCE = 9e-7  # below that of a Block, which may add the same numbers in another order
_LARGEST_FEATURE = 1e100

Fault = tuple[str, BoolArray]
"""A reason to leave rows out, and the rows (n,) it concerns."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many rows are left out for one reason, and the ids of the first few."""

    count: int
    ids: tuple[str, ...]

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.count + other.count, (self.ids + other.ids)[:NAMED])


def add_left_out(reports: Iterable[Mapping[str, LeftOut]]) -> dict[str, LeftOut]:
    """The rows left out of a whole log by reason, from the reports on its row groups in order."""
    total: dict[str, LeftOut] = {}
    for report in reports:
        for reason, rows in report.items():
            total[reason] = total[reason] + rows if reason in total else rows
    return total


class Screened(NamedTuple):
    """The rows that can be evaluated, and a report on the others by reason."""

    table: Any
    left_out: dict[str, LeftOut]


def screen_rows(table: Any, schema_id: str, dim: int) -> Screened:
    """Keep the rows that are exploration, of this feature pipeline, and consistent in themselves.

    A propensity that contradicts its PMF passes: the diagnostics judge it.
    """
    left_out: dict[str, LeftOut] = {}
    for find_faults in (_other_reasons, _other_contexts, _damages, _repeated_ids):
        table = _leave_out(table, find_faults(table, schema_id, dim), left_out)
    return Screened(table, left_out)


def _leave_out(table: Any, faults: Iterable[Fault], left_out: dict[str, LeftOut]) -> Any:
    """The rows without any fault; every other row counts for the first of its faults."""
    kept = np.ones(table.num_rows, dtype=np.bool_)
    for reason, faulty in faults:
        rows = np.flatnonzero(faulty & kept)
        if rows.size:
            ids = table["id"].take(rows[:NAMED]).to_pylist()
            left_out[reason] = LeftOut(int(rows.size), tuple(map(str, ids)))
            kept[rows] = False
    return table if kept.all() else table.filter(kept)


def _other_reasons(table: Any, _schema_id: str, _dim: int) -> Iterator[Fault]:
    code, names = decode_names(table["reason"])
    yield "no reason", code < 0
    for i, name in enumerate(names):
        if name != Reason.POLICY.value:
            yield name, code == i


def _other_contexts(table: Any, schema_id: str, dim: int) -> Iterator[Fault]:
    code, names = decode_names(table["schema_id"])
    yield "another schema", code != (names.index(schema_id) if schema_id in names else len(names))
    yield "another dimension", decode_list_lengths(table["x"]) != dim
    eligible = decode_list_lengths(table["eligible"])
    yield "damaged: nothing was eligible", eligible <= 0
    for name in ("pmf", "costs_usd"):
        yield f"damaged: {name} is not as long as eligible", decode_list_lengths(table[name]) != eligible


def _damages(table: Any, _schema_id: str, dim: int) -> Iterator[Fault]:
    yield "damaged: no id", np.asarray(table["id"].is_null())
    yield "damaged: x is not finite", _has_wild_feature(decode_vectors(table["x"], dim))
    yield from _damaged_choices(decode_eligible_arms(table), table.num_rows)
    propensity = decode_numbers(table["propensity"])
    yield "damaged: propensity is not in (0, 1]", ~((propensity > 0) & (propensity <= 1))
    for name in ("decided_at", "cost_weight"):
        yield f"damaged: {name} is not finite", ~np.isfinite(decode_numbers(table[name]))
    for name in OUTCOMES:
        yield f"damaged: {name} is infinite", np.isinf(decode_numbers(table[name]))
    weight = np.asarray(decode_reward_weights(table))
    if weight.size:
        yield "damaged: reward_weight is not in [0, 1]", ~((weight >= 0) & (weight <= 1))
    task = np.asarray(decode_task_numbers(table))
    if task.size:
        is_number = (task >= NO_TASK) & (task <= OTHER_TASKS) & (task == np.floor(task))
        yield "damaged: task is no number of a task", ~is_number


def _has_wild_feature(x: FloatArray) -> BoolArray:
    """Rows with NaN, infinity or numbers whose products overflow."""
    if x.size and x.min() >= -_LARGEST_FEATURE and x.max() <= _LARGEST_FEATURE:  # false for NaN
        return np.zeros(len(x), dtype=np.bool_)
    return np.asarray(~(np.abs(x) <= _LARGEST_FEATURE).all(axis=1))


def _damaged_choices(arms: EligibleArms, n: int) -> Iterator[Fault]:
    row, p, action = arms.row, arms.pmf, arms.action
    eligible = np.zeros((n, len(arms.names) + 1), dtype=np.bool_)  # the last column: no name
    eligible[row, arms.code] = True
    yield "damaged: an eligible arm has no name", eligible[:, -1].copy()
    yield "damaged: an arm is eligible twice", eligible.sum(axis=1) != np.bincount(row, minlength=n)
    yield "damaged: the action was not eligible", (action < 0) | ~eligible[np.arange(n), action]
    outside = ~((p >= 0) & (p <= 1 + _PMF_TOLERANCE))
    yield "damaged: pmf is not in [0, 1]", np.bincount(row[outside], minlength=n) > 0
    sums = np.bincount(row, weights=p, minlength=n)
    yield "damaged: pmf does not sum to 1", ~(np.abs(sums - 1.0) <= _PMF_TOLERANCE)
    unpriced = ~np.isfinite(arms.cost_usd)
    yield "damaged: costs_usd is not finite", np.bincount(row[unpriced], minlength=n) > 0


def _repeated_ids(table: Any, _schema_id: str, _dim: int) -> Iterator[Fault]:
    """Of several faultless rows with one id, the first counts."""
    code, _ = decode_names(table["id"])
    repeated = np.ones(table.num_rows, dtype=np.bool_)
    repeated[np.unique(code, return_index=True)[1]] = False
    yield "the id of a row before", repeated
