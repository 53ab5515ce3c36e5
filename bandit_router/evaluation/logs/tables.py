"""Decisions and blocks as Arrow tables of the log's SCHEMA."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bandit_router.evaluation.block import OUTCOMES, REWARD, Block
from bandit_router.evaluation.logs.schema import SCHEMA, pa
from bandit_router.objective.reward import compute_reward, find_reward_metrics
from bandit_router.store.log_reader import LoggedDecision, UnreadableDecision
from bandit_router.types import METRICS, NO_TASK, IntArray, Reason

_YEAR_10000 = 253_402_300_800.0
_UNFIT = (TypeError, ValueError, OverflowError, pa.ArrowException)


def tabulate_decisions(
    logged: Sequence[LoggedDecision | UnreadableDecision], weights: Mapping[str, float]
) -> tuple[Any, list[LoggedDecision], list[UnreadableDecision]]:
    """A table, the decisions in it, and those a damaged database gives that fit no table.

    The column ``reward`` follows from the metrics by the reward weights given.
    """
    fit = [row for row in logged if isinstance(row, LoggedDecision)]
    unfit = [row for row in logged if isinstance(row, UnreadableDecision)]
    try:
        return _tabulate(fit, weights), fit, unfit
    except ValueError:  # a single decision is enough to fail: try each alone
        problems = [_tabulation_problem(row, weights) for row in fit]
        unfit += [
            UnreadableDecision(row.decision.id, problem)
            for row, problem in zip(fit, problems, strict=True)
            if problem is not None
        ]
        fit = [row for row, problem in zip(fit, problems, strict=True) if problem is None]
        return _tabulate(fit, weights), fit, unfit


def rename_arms(
    logged: Sequence[LoggedDecision | UnreadableDecision], renamed: Mapping[str, str]
) -> Sequence[LoggedDecision | UnreadableDecision]:
    """The decisions with the names that arms have now."""
    if not renamed:
        return logged
    return [
        row._replace(
            decision=replace(
                row.decision,
                arm=renamed.get(row.decision.arm, row.decision.arm),
                eligible=tuple(renamed.get(arm, arm) for arm in row.decision.eligible),
            )
        )
        if isinstance(row, LoggedDecision)
        else row
        for row in logged
    ]


def _tabulation_problem(logged: LoggedDecision, weights: Mapping[str, float]) -> str | None:
    try:
        _tabulate([logged], weights)
    except ValueError as error:
        return str(error)
    return None


def _tabulate(logged: Sequence[LoggedDecision], weights: Mapping[str, float]) -> Any:
    """Raises ValueError, which names the first column that cannot hold its values."""
    arrays = {}
    for column in SCHEMA:
        try:
            arrays[column.name] = _decision_column(column.name, logged, weights)
        except _UNFIT as error:
            raise ValueError(f"{column.name}: {error}") from error
    return pa.table(arrays, SCHEMA)


def _decision_column(name: str, logged: Sequence[LoggedDecision], weights: Mapping[str, float]) -> Any:
    kind = SCHEMA.field(name).type
    if name == "reward":
        return pa.array([compute_reward(row.metrics, weights) for row in logged], kind)
    if name == "reward_weight":
        return pa.array([_reward_weight(row, weights) for row in logged], kind)
    if name in METRICS:
        return pa.array([row.metrics.get(name) for row in logged], kind)
    if name == "own_metrics":
        own = ({k: v for k, v in row.metrics.items() if k not in METRICS} for row in logged)
        return _json_array(own)
    field = "expected_costs_usd" if name == "costs_usd" else name
    values = [getattr(row.decision, field) for row in logged]
    if name == "x":
        return _list_array([x.size for x in values], pa.array(np.concatenate([np.empty(0), *values])))
    if name == "signals":
        return _json_array(values)
    if name == "task":
        return _task_array(values)
    if name == "decided_at" and not all(0.0 <= at < _YEAR_10000 for at in values):
        raise ValueError("is not a Unix time in seconds")
    return pa.array(values, kind)


def _reward_weight(row: LoggedDecision, weights: Mapping[str, float]) -> float | None:
    if compute_reward(row.metrics, weights) is None:
        return None
    return min(row.weights.get(metric, 1.0) for metric in find_reward_metrics(row.metrics, weights))


def tabulate_block(block: Block, ids: Sequence[str], *, schema_id: str, policy: str = "unknown") -> Any:
    """A block as a table; columns that a block does not have are null."""
    n = len(block)
    arms = pa.array(block.arms, pa.string())
    lengths = block.eligible.sum(axis=1)
    names = pa.DictionaryArray.from_arrays(pa.array(np.nonzero(block.eligible)[1], pa.int32()), arms)
    arrays = {
        "id": pa.array(ids, pa.string()),
        "decided_at": pa.array(block.decided_at),
        "x": _list_array(np.full(n, block.x.shape[1]), pa.array(np.ravel(block.x))),
        "schema_id": _constant_array(schema_id, n),
        "eligible": _list_array(lengths, names),
        "pmf": _list_array(lengths, pa.array(block.logged[block.eligible])),
        "costs_usd": _list_array(lengths, pa.array(block.expected_cost_usd[block.eligible])),
        "arm": pa.DictionaryArray.from_arrays(pa.array(block.action, pa.int32()), arms),
        "propensity": pa.array(block.propensity),
        "reason": _constant_array(Reason.POLICY.value, n),
        "policy": _constant_array(policy, n),
        "cost_weight": pa.array(block.cost_weight),
        "expected_cost_usd": pa.array(block.expected_cost_usd[np.arange(n), block.action]),
        "signals": _json_array(map(block.signals_at, range(n))),
        "task": _task_array(block.tasks()),
    }
    with_gaps = ("list_cost_usd", block.list_costs()), *zip(OUTCOMES, block.outcomes.T, strict=True)
    arrays |= {name: pa.array(values, mask=np.isnan(values)) for name, values in with_gaps}
    arrays["reward_weight"] = pa.array(block.reward_weights(), mask=np.isnan(block.outcomes[:, REWARD]))
    missing = {c.name: pa.nulls(n, c.type) for c in SCHEMA if c.name not in arrays}
    return pa.table({**arrays, **missing}, SCHEMA)


def make_ids(block: Block) -> list[str]:
    """Ids like those of decisions: they sort by time, then by order."""
    ms = (block.decided_at * 1e3).astype(np.int64)
    digits = zip((ms >> 16).tolist(), (ms & 0xFFFF).tolist(), block.order.tolist(), strict=True)
    return [f"{high:08x}-{low:04x}-7000-8000-{order:012x}" for high, low, order in digits]


def _json_array(objects: Iterable[Mapping[str, float | str]]) -> Any:
    """JSON objects, null where there is nothing in them."""
    texts = (json.dumps(dict(each), sort_keys=True) if each else None for each in objects)
    return pa.array(texts, SCHEMA.field("signals").type)


def _task_array(tasks: Sequence[int] | IntArray) -> Any:
    """Numbers of tasks, null where there is none."""
    numbers = np.asarray(tasks, dtype=np.int64)
    return pa.array(numbers, mask=numbers == NO_TASK)


def _constant_array(value: str, n: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value], pa.string()))


def _list_array(lengths: Sequence[int] | IntArray, values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths], dtype=np.int32)), values)
