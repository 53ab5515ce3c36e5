"""Imports a log that another router or an application kept: one model a query, with what came of it.

What such a log knows of the probabilities its choices were made with decides what can be said from it::

    unknown    nothing: an estimate needs the reward model alone (dm), and no confounder that is not in x
    action     that of the choice itself: the other arms share the rest as they were chosen overall

Every arm of the file counts as eligible for every query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.block import OUTCOMES, Block
from bandit_router.evaluation.datasets.problems import RowProblem, log_left_out, raise_problems
from bandit_router.evaluation.datasets.scales import check_scale
from bandit_router.evaluation.datasets.source import Source, open_source
from bandit_router.evaluation.datasets.table import SCALE_ADVICE, quality_kind
from bandit_router.evaluation.datasets.values import (
    Kind,
    Origin,
    format_id,
    format_name,
    read_numbers,
    read_prompts,
    read_texts,
)
from bandit_router.evaluation.logs.import_columns import find_repeats, read_tasks, read_times
from bandit_router.evaluation.logs.write import ExportSummary, write_log
from bandit_router.evaluation.task_numbers import number_tasks
from bandit_router.features import Pipeline, read_query
from bandit_router.posterior.arm_priors import make_hyperprior, make_level_prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import FloatArray, IntArray, Scale

COLUMNS = ("text", "features", "arm", "reward", "cost_usd", "propensity", "time", "id", "task")
ROUTER = "imported"
UNKNOWN, ACTION = "unknown", "action"

_PROPENSITY = Kind(high=1.0, low=1e-9, required=True)
_COST = Kind(dollars=True)
_FIX = "correct them, or leave those rows out with skip_bad (--skip-bad)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedRows:
    """n decisions in order of time: contexts x (n, d), arms, rewards, costs, propensities (NaN: unknown).

    ``task_names`` are those of the numbers in ``task`` (n,), NO_TASK where a row names none.
    """

    ids: Sequence[str] | None
    arms: tuple[str, ...]
    action: np.ndarray[tuple[int], np.dtype[np.int64]]
    x: FloatArray
    reward: FloatArray
    cost_usd: FloatArray
    propensity: FloatArray | None
    decided_at: FloatArray
    task: IntArray
    task_names: tuple[str, ...]


class ImportSummary(NamedTuple):
    """What was written, the number of rewards, the rows of each arm, and what is known of propensities."""

    summary: ExportSummary
    rewards: int
    arms: Mapping[str, int]
    propensities: str


def import_table(
    path: Path,
    folder: Path,
    pipeline: Pipeline,
    section: PosteriorSection,
    *,
    columns: Mapping[str, str] | None = None,
    scale: tuple[float, float] = (0.0, 1.0),
    skip_bad: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> ImportSummary:
    """Write a table with one row a query as a log, in the form that an export has.

    ``columns`` maps our columns to the file's: arm, and text or features, are required; reward, cost_usd,
    propensity, time (Unix seconds or ISO 8601), id and task are read where they are. Rows of no arm, or with
    a bad value, are problems; a row without a reward is one without feedback.

    Raises ConfigError naming the bad rows, and what :func:`write_log` raises.
    """
    source = open_source(path)
    names = _map_columns(source, columns or {})
    rows = read_rows(source, names, pipeline, Scale(*scale), skip_bad=skip_bad, progress=progress)
    block = make_block(rows)
    statistics = SufficientStatistics.empty(
        {arm: make_level_prior(section, pipeline.dim) for arm in rows.arms},
        schema_id=pipeline.schema_id,
        noise_variance=section.noise_std**2,
        half_life_s=section.half_life_s,
        hyperprior=make_hyperprior(section),
        dim=pipeline.dim,
    )
    propensities = UNKNOWN if rows.propensity is None else ACTION
    summary = write_log(
        folder,
        [block],
        schema_id=pipeline.schema_id,
        ids=None if rows.ids is None else [rows.ids],
        statistics=statistics,
        reward_weights={"quality": 1.0},
        router=ROUTER,
        propensities=propensities,
        tasks=rows.task_names,
    )
    counts = np.bincount(rows.action, minlength=len(rows.arms)).tolist()
    return ImportSummary(
        summary=summary,
        rewards=int(np.count_nonzero(~np.isnan(rows.reward))),
        arms=dict(zip(rows.arms, counts, strict=True)),
        propensities=propensities,
    )


def _map_columns(source: Source, columns: Mapping[str, str]) -> dict[str, str]:
    has = f"it has {', '.join(source.names) or 'none'}"
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise ConfigError(f"columns: no column is called {ours!r} here, allowed are {', '.join(COLUMNS)}")
        if theirs not in source.names:
            raise ConfigError(f"{source.path}: has no column {theirs} to be the {ours}; {has}")
    names = {ours: columns.get(ours, ours) for ours in COLUMNS}
    names = {ours: name for ours, name in names.items() if name in source.names}
    missing = [name for name in ("arm",) if name not in names]
    if not {"text", "features"} & names.keys():
        missing.append("text (or features)")
    if missing:
        raise ConfigError(
            f"{source.path}: has no column {', '.join(missing)}; {has}; say with columns (--columns) what "
            "they are called: text=prompt,arm=model,reward=score"
        )
    return names


def read_rows(
    source: Source,
    names: Mapping[str, str],
    pipeline: Pipeline,
    scale: Scale,
    *,
    skip_bad: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> ImportedRows:
    """The rows of an open file that can be used, in order of time. Raises ConfigError."""
    rows = source.read(sorted(set(names.values())))
    columns = {ours: rows.columns[name] for ours, name in names.items()}
    problems = list(rows.broken)
    origins = [Origin(line, str(line)) for line in rows.lines]
    arms = read_texts([format_name(arm) for arm in columns["arm"]], origins, names["arm"], problems)
    numbers = _read_all_numbers(source, columns, names, scale, origins, problems)
    times = read_times(columns.get("time"), rows, names, problems)
    ids = None
    if "id" in names:
        ids = read_texts([format_id(id) for id in columns["id"]], origins, names["id"], problems)
        problems += find_repeats(ids, rows.lines)
    named = read_tasks(columns.get("task"), rows, names, problems)
    contexts = _read_contexts(columns, names, origins, pipeline, problems, progress)
    if not skip_bad:
        raise_problems(source.path, source.unit, problems, _FIX)
    bad = {problem.line for problem in problems}
    kept = np.array([i for i, line in enumerate(rows.lines) if line not in bad], dtype=np.int64)
    if not len(kept):
        raise_problems(source.path, source.unit, problems, "no row is left without a problem")
        raise ConfigError(f"{source.path}: has no rows")
    if problems:
        log_left_out(source.path, source.unit, problems, len(rows.lines) - len(kept), len(rows.lines))
    kept = kept[np.argsort(times[kept], kind="stable")]
    known = tuple(sorted({str(arms[i]) for i in kept}))
    unknown = np.full(len(rows.lines), np.nan)
    tasks = number_tasks(named[i] for i in kept)
    return ImportedRows(
        ids=None if ids is None else [str(ids[i]) for i in kept],
        arms=known,
        action=np.array([known.index(str(arms[i])) for i in kept], dtype=np.int64),
        x=np.array([contexts[i] for i in kept]),
        reward=scale_rewards(numbers.get("reward", unknown)[kept], scale),
        cost_usd=numbers.get("cost_usd", unknown)[kept],
        propensity=numbers["propensity"][kept] if "propensity" in numbers else None,
        decided_at=times[kept],
        task=tasks.numbers,
        task_names=tasks.names,
    )


def scale_rewards(rewards: FloatArray, scale: Scale) -> FloatArray:
    """Rewards (n,) on a scale, as shares of it."""
    return (rewards - scale.low) / (scale.high - scale.low)


def _read_all_numbers(
    source: Source,
    columns: Mapping[str, list[object]],
    names: Mapping[str, str],
    scale: Scale,
    origins: Sequence[Origin],
    problems: list[RowProblem],
) -> dict[str, FloatArray]:
    rated = quality_kind(scale)
    kinds = {
        "reward": Kind(high=rated.high, low=rated.low, booleans=rated.booleans),
        "cost_usd": _COST,
        "propensity": _PROPENSITY,
    }
    if "reward" in names:
        check_scale(source.path, names["reward"], columns["reward"], kinds["reward"], SCALE_ADVICE)
    return {
        name: read_numbers(columns[name], origins, names[name], kind, problems)
        for name, kind in kinds.items()
        if name in names
    }


def _read_contexts(
    columns: Mapping[str, list[object]],
    names: Mapping[str, str],
    origins: Sequence[Origin],
    pipeline: Pipeline,
    problems: list[RowProblem],
    progress: Callable[[int], None],
) -> list[FloatArray]:
    """The context of every row; zeros for one with a problem."""
    contexts: list[FloatArray] = []
    nothing = np.zeros(pipeline.dim)
    given: Sequence[object]
    if "features" in names:
        given = columns["features"]
    else:
        given = read_prompts(columns["text"], origins, names["text"], problems)
    for value, origin in zip(given, origins, strict=True):
        context = nothing
        try:
            if "features" in names:
                context = pipeline.check_vector(value)  # type: ignore[arg-type]
            elif value is not None:
                context = pipeline.context(read_query(str(value)))
        except ValueError as error:  # InvalidInput
            problems.append(RowProblem(origin.line, str(error), origin.query))
        contexts.append(context)
        progress(1)
    return contexts


def make_block(rows: ImportedRows) -> Block:
    """The rows as a block in which every arm was eligible."""
    n, k = len(rows.action), len(rows.arms)
    at = np.arange(n)
    share = np.bincount(rows.action, minlength=k) / n
    logged = np.tile(share, (n, 1))
    propensity = share[rows.action]
    if rows.propensity is not None:
        propensity = rows.propensity
        logged[at, rows.action] = 0.0
        rest = logged.sum(axis=1, keepdims=True)
        logged *= np.divide(1.0 - propensity[:, None], rest, out=np.zeros_like(rest), where=rest > 0.0)
        logged[at, rows.action] = propensity
    costs = [rows.cost_usd[rows.action == arm] for arm in range(k)]
    known = [cost[~np.isnan(cost)] for cost in costs]
    outcomes = {"reward": rows.reward, "quality": rows.reward, "cost_usd": rows.cost_usd}
    return Block(
        arms=rows.arms,
        x=rows.x,
        eligible=np.ones((n, k), dtype=np.bool_),
        logged=logged,
        action=rows.action,
        propensity=propensity,
        outcomes=np.column_stack([outcomes[name] for name in OUTCOMES]),
        fold=np.zeros(n, dtype=np.int64),
        order=at,
        expected_cost_usd=np.tile([float(cost.mean()) if cost.size else 0.0 for cost in known], (n, 1)),
        cost_weight=np.zeros(n),
        decided_at=rows.decided_at,
        task=rows.task,
    )
