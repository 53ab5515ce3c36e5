"""The panel of tasks: the traffic of each, its best arm, and what it gains to know the task."""

from __future__ import annotations

from collections.abc import Sequence

from bandit_router.insight.tasks import TaskSummary
from bandit_router.server.dashboard.formats import NOTHING, format_score, format_share, format_usd
from bandit_router.server.dashboard.panels.over_time import show_estimate
from bandit_router.server.dashboard.panels.panel import Cell, Hint, Panel, Table, count, show

_HEAD = ("Task", "Decisions", "Share", "Best arm", "Level", "Width", "Gain", "Quality", "Cost of a call")
_NO_TASK = Hint("No request of these days has a task. Name one:", 'bandit-router route "…" --task invoices')


def make_task_panel(summaries: Sequence[TaskSummary]) -> Panel:
    """A row for each task, the busiest first."""
    title = "By task"
    if not summaries:
        return Panel(id="by-task", title=title, hint=_NO_TASK, wide=True)
    note = (
        "Of whole days, with every arm and reason. Best arm, level and width are what is learned of a usual "
        "query of the task; the gain is its utility over that of the single arm that is best for all tasks."
    )
    table = Table(name=title, head=_HEAD, rows=[_describe(summary) for summary in summaries])
    return Panel(id="by-task", title=title, note=note, tables=[table], wide=True)


def _describe(summary: TaskSummary) -> tuple[Cell, ...]:
    return (
        summary.name,
        count(summary.decisions),
        show(summary.share.value, format_share),
        summary.best_arm or NOTHING,
        show(summary.level, format_score),
        show(summary.width, format_score),
        show(summary.gain, format_score),
        show_estimate(summary.quality, format_score),
        show_estimate(summary.cost_usd, format_usd),
    )
