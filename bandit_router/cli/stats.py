"""`stats`: figures of what was decided and what came of it, as a table with sparklines, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import typer
from rich.table import Table as PrintedTable

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, print_json, print_line
from bandit_router.errors import InvalidInput
from bandit_router.insight.figures import Figure, Point
from bandit_router.insight.question import BY, STEPS, parse_question
from bandit_router.insight.stats import (
    Statistics,
    compute_statistics,
    find_first_day,
    format_hour,
    statistics_facts,
    sum_own_costs,
    write_csv,
)
from bandit_router.insight.table import Dimension, Group, tabulate
from bandit_router.insight.tasks import TaskSummary, find_task_summaries
from bandit_router.router.knowledge import score_tasks
from bandit_router.store.rollups.reader import RollupRow
from bandit_router.store.rollups.tally import Cube

_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 30


def stats(
    config: ConfigOption = DEFAULT_CONFIG,
    since: Annotated[
        str | None, typer.Option(help="A date or time in UTC, or 36h, 7d, 4w: so long before --until.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="A date or time in UTC; now by default.")] = None,
    step: Annotated[str | None, typer.Option(help=f"{', '.join(STEPS)}: steps of the time.")] = None,
    by: Annotated[str | None, typer.Option(help=f"What to tell apart: {', '.join(BY)}.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; may be repeated.")] = None,
    reason: Annotated[list[str] | None, typer.Option(help="Only this reason; may be repeated.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only this tier of users.")] = None,
    key: Annotated[str | None, typer.Option(help="Only the API key of this id.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    figure: Annotated[list[str] | None, typer.Option(help="Only this figure; may be repeated.")] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show shares, quality, cost, latency and more, by model or otherwise, each with its interval.

    Sums are kept up to date with the log, so that it is quick however long that is.
    """
    if as_json and as_csv:
        raise InvalidInput("csv", "comes with --json", "give one of the two")
    with open_existing_store(config) as store:
        question = parse_question(
            store.clock.reference(),
            since=since,
            until=until,
            step=step,
            by=by,
            arms=arm or (),
            reasons=reason or (),
            tier=tier,
            key=key,
            task=task,
        )
        rows = store.rollups(question.rollups)
        own_costs = store.own_costs(find_first_day(question))
        tasks = []
        if question.rollups.split_by is Cube.TASK:
            arms = [arm.name for arm in store.arms()]
            tasks = find_task_summaries(rows, arms, partial(score_tasks, store))
    statistics = compute_statistics(rows, question, figure or ())
    if as_json:
        print_json(statistics_facts(statistics, own_costs, tasks))
    elif as_csv:
        typer.echo(write_csv(statistics), nl=False)
    else:
        _print_statistics(statistics, rows)
        if tasks:
            _print_tasks(tasks)
        for own in sum_own_costs(own_costs, question):
            print_line("calls of its own to {purpose}: {calls}, {usd:.4g} USD".format(**own))


def _print_statistics(statistics: Statistics, rows: Sequence[RollupRow]) -> None:
    question = statistics.question
    asked = question.rollups
    if not rows:
        print_line(f"no decisions between {format_hour(asked.since)} and {format_hour(asked.until)}")
        print_line("give an earlier --since, or see `bandit-router verify` for what is in the log")
        return
    trend = tabulate(rows, question.by | {Dimension.TIME}, step=asked.step, now=question.now)
    by = ", ".join(sorted(dimension.value for dimension in question.by)) or "all"
    table = PrintedTable("figure", by, "value", "95% interval", "n", "coverage", "over time")
    for figure, points in statistics.figures:
        values = {point.group: point.estimate.value for point in figure.compute(trend)}
        for i, point in enumerate(points):
            cells = _describe(point.group), *_format_point(point, figure.unit)
            over_time = sparkline(values, point.group)
            table.add_row("" if i else _name(figure), *cells, over_time, end_section=i == len(points) - 1)
    console.print(table)
    print_line(f"from {format_hour(asked.since)} to {format_hour(asked.until)}")


def _print_tasks(tasks: Sequence[TaskSummary]) -> None:
    """What is learned of each task."""
    table = PrintedTable("task", "decisions", "best arm", "level", "width", "gain", "quality", "USD a call")
    for task in tasks:
        learned = (_format(value, "reward") for value in (task.level, task.width, task.gain))
        seen = _format(task.quality.value, "reward"), _format(task.cost_usd.value, "USD")
        table.add_row(task.name, str(task.decisions), task.best_arm or "", *learned, *seen)
    console.print(table)
    print_line("gain: utility over that of the single arm that is best for all tasks")


def sparkline(values: Mapping[Group, float | None], group: Group) -> str:
    """A figure of a group over time, from 0 to its largest value: the newest 30 steps that have one."""
    if group.hour is not None:
        return ""
    series = [value for of, value in values.items() if value is not None and of._replace(hour=None) == group]
    newest, most = series[-_MOST_BARS:], max(series, default=0.0)
    if len(newest) < 2 or min(newest) < 0.0 or not most:
        return ""
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in newest)


def _name(figure: Figure) -> str:
    return figure.title if figure.unit in ("share", "decisions") else f"{figure.title}, {figure.unit}"


def _describe(group: Group) -> str:
    time = None if group.hour is None else format_hour(group.hour)
    return " ".join(word for word in (time, group.arm, group.reason, group.member) if word) or "all"


def _format_point(point: Point, unit: str) -> tuple[str, str, str, str]:
    """Value, interval, number of observations, and coverage."""
    n, value, low, high = point.estimate
    interval = "" if low is None or high is None else f"{_format(low, unit)} … {_format(high, unit)}"
    coverage = "" if point.coverage is None else _format(point.coverage, "share")
    return _format(value, unit), interval, str(n), coverage


def _format(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:.0f}" if unit == "decisions" else f"{value:.3g}"
