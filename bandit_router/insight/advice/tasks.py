"""Advice on tasks: one that a cheap arm answers as well as a dear one, whether the router knows it or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from shlex import quote
from typing import NamedTuple

from bandit_router.insight.advice.arms import MARGIN, subtract
from bandit_router.insight.advice.base import Advice, Facts, describe
from bandit_router.insight.intervals import Estimate, estimate_mean
from bandit_router.insight.table import Group, Table
from bandit_router.store.rollups.measures import DECISIONS

_LEAST_RATED = 30
_MOST_TASKS = 3
_CHEAP = 0.5
"""The largest share of the dear arm's cost that is worth a word."""


class _Comparison(NamedTuple):
    """The cheapest arm of a task against its dearest; ``share`` is that of the cheap one in its traffic."""

    task: str
    cheap: str
    dear: str
    share: float
    difference: Estimate
    cost_ratio: float


def find_settled_task(facts: Facts) -> Iterator[Advice]:
    """A task whose traffic goes to an arm that is as good as a dear one, within 0.02 beyond doubt."""
    for each in _compare_tasks(facts):
        if each.share > 0.5:
            yield Advice(
                name="settled_task",
                title=f"Task {each.task} goes to {each.cheap}: as good as {each.dear}, "
                f"at {each.cost_ratio:.2g} of its cost",
                evidence=f"Its mean quality there less that of {each.dear} is {describe(each.difference)}; "
                f"it gets {each.share:.0%} of the task.",
                change=f"Nothing. To see more: bandit-router stats --task {quote(each.task)} --by arm",
            )


def find_dear_task(facts: Facts) -> Iterator[Advice]:
    """A task that goes to dear arms though the cheapest is as good there, within 0.02 beyond doubt."""
    for each in _compare_tasks(facts):
        if each.share <= 0.5:
            weight = facts.settings.router.cost_weight
            yield Advice(
                name="dear_task",
                title=f"Task {each.task} would do as well with {each.cheap}",
                evidence=f"Its mean quality there less that of {each.dear} is {describe(each.difference)}, "
                f"at {each.cost_ratio:.2g} of the cost; it gets {each.share:.0%} of the task.",
                change=f"[router]\ncost_weight = {2.0 * weight:g}"
                if weight
                else f"[[workflows]]\nname = {json.dumps(each.task)}\narm = {json.dumps(each.cheap)}",
            )


def _compare_tasks(facts: Facts) -> list[_Comparison]:
    """The busiest tasks whose cheapest arm is as good as the dearest."""
    table = facts.by_task
    counts: dict[str, int] = {}
    for group in table:
        if group.member and group.arm:
            counts[group.member] = counts.get(group.member, 0) + table.count(group, DECISIONS)
    busiest = sorted(counts, key=lambda task: -counts[task])
    compared = (_compare(facts, table, task, counts[task]) for task in busiest)
    return [each for each in compared if each is not None][:_MOST_TASKS]


def _compare(facts: Facts, table: Table, task: str, count: int) -> _Comparison | None:
    costs = {
        arm.name: cost.value
        for arm in facts.arms
        if (cost := _mean(table, task, arm.name, "cost_usd")).value
        and _mean(table, task, arm.name, "quality").n >= _LEAST_RATED
    }
    if len(costs) < 2:
        return None
    cheap, dear = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
    difference = subtract(_mean(table, task, cheap, "quality"), _mean(table, task, dear, "quality"))
    ratio = costs[cheap] / costs[dear]
    if difference.low is None or difference.low < -MARGIN or ratio > _CHEAP:
        return None
    share = table.count(Group(arm=cheap, member=task), DECISIONS) / count
    return _Comparison(task, cheap, dear, share, difference, ratio)


def _mean(table: Table, task: str, arm: str, measure: str) -> Estimate:
    totals = table.totals(Group(arm=arm, member=task), measure)
    return estimate_mean(totals.count, totals.total, totals.squares)
