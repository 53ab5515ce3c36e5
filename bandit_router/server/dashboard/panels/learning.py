"""Panels of what is learned: what is known of each arm, and whether arms drifted."""

from __future__ import annotations

from collections.abc import Sequence

from bandit_router.insight.intervals import Z95
from bandit_router.learning.drift import ArmCalibration, CalibrationReport, ExpectedTenth
from bandit_router.learning.unlike_keys import UnlikeKey
from bandit_router.router.knowledge import Knowledge
from bandit_router.server.dashboard.charts.bars import draw_interval
from bandit_router.server.dashboard.charts.calibration_plot import Bin, draw_calibration
from bandit_router.server.dashboard.formats import (
    NOTHING,
    format_number,
    format_score,
    format_time,
)
from bandit_router.server.dashboard.panels.panel import Cell, Chart, Hint, Panel, Table, count, show
from bandit_router.store.acts import Act, ActKind

_LATEST_RESETS = 10


def make_knowledge_panel(knowledge: Knowledge, colours: dict[str, str]) -> Panel:
    """Level and width of each arm on a usual query, and the rewards behind them."""
    rows = [
        (
            each.arm.name,
            show(each.level, format_score),
            draw_interval(
                each.level,
                each.level - Z95 * each.width,
                each.level + Z95 * each.width,
                colours[each.arm.name],
            ),
            show(each.width, format_score),
            count(each.rewards),
            count(each.warm_rewards),
            "on" if each.arm.enabled else "off",
        )
        for each in knowledge.arms
    ]
    head = ("Arm", "Level", "With its 95% interval", "Width", "Rewards counted", "Warm start worth", "Switch")
    note = f"Expected reward on the mean of all rewarded queries, by snapshot {knowledge.version}."
    if knowledge.warm_start is not None:
        note += f" By these rewards, the warm start is evidence of {knowledge.warm_start}."
    return Panel(
        id="knowledge",
        title="What is known of each arm",
        note=note,
        tables=[Table(name="What is known of each arm", head=head, rows=rows)],
        wide=True,
    )


def make_drift_panel(report: CalibrationReport | None, acts: Sequence[Act]) -> Panel:
    """Rewards against expectations, arm by arm, the alarms, and the newest resets."""
    tables = []
    if report is not None and report.total.reward is not None:
        rows = [(arm, *_describe_gap(calibration)) for arm, calibration in report.arms.items()]
        head = ("Arm", "Rewards", "Mean", "Expected", "Difference", "z", "Cost over expected", "Alarm")
        tables.append(Table(name="Rewards against expectations", head=head, rows=rows))
    if report is not None and report.unlike_keys:
        keys = [_describe_key(each) for each in report.unlike_keys]
        columns = ("API key", "Rewards", "Difference", "z")
        tables.append(Table(name="Keys whose rewards are unlike the others'", head=columns, rows=keys))
    resets = [act for act in acts if act.kind is ActKind.ARM_RESET][-_LATEST_RESETS:]
    if resets:
        rows = [(format_time(act.at), act.subject or "", _describe_reset(act)) for act in reversed(resets)]
        tables.append(Table(name="Newest resets", head=("Time, UTC", "Arm", "Why"), rows=rows))
    hint = Hint("No reward has been compared with what was expected of it. An arm needs 30 counted ones.")
    return Panel(
        id="drift",
        title="Drift and resets",
        note="The newest rewards against what was expected of them; an alarm is more than chance explains.",
        tables=tables,
        hint=None if tables else hint,
        wide=True,
    )


def make_calibration_panel(report: CalibrationReport | None) -> Panel:
    """What came of rewards against what was expected of them, on average for each tenth."""
    title = "Calibration"
    if report is None or not report.by_expectation:
        hint = Hint("No reward has been compared with what was expected of it. An arm needs 30 counted ones.")
        return Panel(id="calibration", title=title, hint=hint)
    bins = [_make_bin(tenth) for tenth in report.by_expectation]
    rows = [
        (
            format_score(each.predicted),
            show(each.observed, format_score, f"{format_score(each.low)} to {format_score(each.high)}"),
            count(each.n),
        )
        for each in bins
    ]
    description = "The mean reward that came for each tenth of what was expected; on the diagonal both agree."
    chart = Chart(
        picture=draw_calibration(title, description, bins),
        table=Table(name=title, head=("Expected", "Mean reward", "Rewards"), rows=rows),
    )
    note = "Newest rewards by what was expected of them, with 95% intervals. On the diagonal both agree."
    return Panel(id="calibration", title=title, note=note, charts=[chart])


def _make_bin(tenth: ExpectedTenth) -> Bin:
    half = Z95 * tenth.standard_error
    low, high = max(0.0, tenth.mean_reward - half), min(1.0, tenth.mean_reward + half)
    return Bin(tenth.mean_expected, tenth.mean_reward, low, high, tenth.rewards)


def _describe_gap(calibration: ArmCalibration) -> tuple[Cell, ...]:
    gap, cost = calibration.reward, calibration.cost
    ratio = show(None if cost is None else cost.ratio, format_number)
    alarm = "drifted" if calibration.alarm else "no"
    if gap is None:
        return (count(0), NOTHING, NOTHING, NOTHING, NOTHING, ratio, alarm)
    return (
        count(gap.rewards),
        show(gap.mean_reward, format_score),
        show(gap.mean_expected, format_score),
        show(gap.difference, format_score, f"± {format_score(gap.standard_error)}"),
        show(gap.z, format_number),
        ratio,
        alarm,
    )


def _describe_key(each: UnlikeKey) -> tuple[Cell, ...]:
    difference, z = show(each.difference, format_score), show(each.z, format_number)
    return (each.key_id, count(each.rewards), difference, z)


def _describe_reset(act: Act) -> str:
    why = act.details.get("why")
    return (
        "by its owner"
        if why is None
        else f"{why}; it is learned from {format_time(act.details.get('since'))} on"
    )
