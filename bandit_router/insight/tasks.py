"""Tasks: what comes of each, which arm is best there by what is learned, and what it gains to know the task.

With u(a, t) the expected utility of arm a on a usual query of task t, and n(t) the decisions of t::

    best arm    argmax over a of u(a, t)
    gain        u(best arm, t) − u(a*, t), where a* is the best single arm: argmax of Σ n(t) · u(a, t)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bandit_router.insight.intervals import Estimate, estimate_mean, estimate_share
from bandit_router.insight.table import Dimension, Group, Table, Totals, tabulate
from bandit_router.store.rollups.measures import COST_WEIGHT, DECISIONS, EXPECTED_COST
from bandit_router.store.rollups.reader import RollupRow
from bandit_router.types import Scores


class TaskSummary(NamedTuple):
    """One task: its share of the decisions that have one, and the means of what was reported.

    ``best_arm`` has the utility that is expected to be highest, ``level`` is its expected reward, ``width``
    the standard deviation of that, ``gain`` a utility; all None where nothing is learned.
    """

    name: str
    decisions: int
    share: Estimate
    quality: Estimate
    cost_usd: Estimate
    best_arm: str | None = None
    level: float | None = None
    width: float | None = None
    gain: float | None = None

    def facts(self) -> dict[str, Any]:
        """The summary as plain values, for JSON."""
        estimates = {"share": self.share, "quality": self.quality, "cost_usd": self.cost_usd}
        return self._asdict() | {name: estimate._asdict() for name, estimate in estimates.items()}


class TaskCosts(NamedTuple):
    """The mean cost of a call of each arm, USD, by task, and the mean cost weight λ, 1/USD."""

    usd: Mapping[str, Mapping[str, float]]
    cost_weight: float


ScoreTasks = Callable[[Mapping[str, Mapping[str, float]], float], Mapping[str, Scores]]
"""Scores the arms for each task, given their costs by task, USD, and λ: as :meth:`Router.score_tasks`."""


def find_task_summaries(
    rows: Sequence[RollupRow], arms: Sequence[str], score: ScoreTasks
) -> list[TaskSummary]:
    """The tasks of these roll-ups of tasks, with what is learned of each; none costs nothing."""
    if not rows:
        return []
    costs = find_task_costs(rows, arms)
    return summarise_tasks(rows, score(costs.usd, costs.cost_weight))


def find_task_costs(rows: Sequence[RollupRow], arms: Sequence[str]) -> TaskCosts:
    """What calls cost by roll-ups of tasks: as reported in the task, else anywhere, else as expected."""
    table = _tabulate(rows, Dimension.MEMBER, Dimension.ARM)
    anywhere, weight = table.regroup([Dimension.MEMBER]), _tabulate(rows).totals(Group(), COST_WEIGHT)
    usd = {
        task: {arm: _find_cost(table, anywhere, Group(arm=arm, member=task)) for arm in arms}
        for task in _list_tasks(table)
    }
    return TaskCosts(usd, weight.total / weight.count if weight.count else 0.0)


def summarise_tasks(rows: Sequence[RollupRow], scores: Mapping[str, Scores]) -> list[TaskSummary]:
    """The tasks of these roll-ups, the busiest first; ``scores`` are of the same arms for each."""
    by_task = _tabulate(rows, Dimension.MEMBER)
    total = _tabulate(rows).count(Group(), DECISIONS)
    counts = {task: by_task.count(Group(member=task), DECISIONS) for task in _list_tasks(by_task)}
    single = _find_single_best(counts, scores)
    summaries = []
    for task, count in counts.items():
        group = Group(member=task)
        summary = TaskSummary(
            name=task,
            decisions=count,
            share=estimate_share(count, total),
            quality=_mean(by_task.totals(group, "quality")),
            cost_usd=_mean(by_task.totals(group, "cost_usd")),
        )
        summaries.append(summary if task not in scores else _add_best(summary, scores[task], single))
    return sorted(summaries, key=lambda summary: (-summary.decisions, summary.name))


def _add_best(summary: TaskSummary, scores: Scores, single: int) -> TaskSummary:
    best = int(scores.utility.argmax())
    return summary._replace(
        best_arm=scores.arms[best],
        level=float(scores.mean[best]),
        width=float(scores.std[best]),
        gain=float(scores.utility[best] - scores.utility[single]),
    )


def _find_single_best(counts: Mapping[str, int], scores: Mapping[str, Scores]) -> int:
    """The arm that would be best for all tasks, by its place."""
    utilities = sum(counts[task] * scores[task].utility for task in counts if task in scores)
    return 0 if isinstance(utilities, int) else int(utilities.argmax())


def _find_cost(table: Table, anywhere: Table, group: Group) -> float:
    everywhere = group._replace(member=None)
    for of, where, measure in (
        (table, group, "cost_usd"),
        (anywhere, everywhere, "cost_usd"),
        (table, group, EXPECTED_COST),
        (anywhere, everywhere, EXPECTED_COST),
    ):
        totals = of.totals(where, measure)
        if totals.count:
            return totals.total / totals.count
    return 0.0


def _list_tasks(table: Table) -> list[str]:
    return list(dict.fromkeys(group.member for group in table if group.member))


def _mean(totals: Totals) -> Estimate:
    return estimate_mean(totals.count, totals.total, totals.squares)


def _tabulate(rows: Sequence[RollupRow], *by: Dimension) -> Table:
    return tabulate(rows, by, step=1, now=0.0)
