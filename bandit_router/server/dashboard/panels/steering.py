"""Panels of what steers: the goal, the bound, overrides, cascades and the health of arms."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.insight.figures.choices import ESCALATION_RATE, LAMBDA, OVERRIDE_RATE
from bandit_router.insight.figures.metrics import ERROR, QUALITY
from bandit_router.insight.intervals import estimate_share
from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.server.dashboard.figures import Figures, Where
from bandit_router.server.dashboard.formats import (
    format_count,
    format_number,
    format_score,
    format_share,
    format_usd,
)
from bandit_router.server.dashboard.panels.over_time import Series, chart_series, show_estimate
from bandit_router.server.dashboard.panels.panel import Cell, Hint, Panel, Table, count, show
from bandit_router.store.rollups.measures import DECISIONS, name_call_measure
from bandit_router.types import CallOutcome, Reason


def make_goal_panel(figures: Figures, status: GoalStatus | None) -> Panel:
    """The budget or the floor, and λ over time."""
    title, course = "Budget and λ", figures.course(LAMBDA)
    if not any(estimate.n for estimate in course):
        return Panel(id="goal", title=title, hint=Hint("Nothing was decided in this window."))
    chart = chart_series(
        "Cost weight λ",
        f"Mean of the decisions of each {figures.window.step}: reward given up to save a dollar.",
        figures,
        [Series("λ", "accent", course)],
        unit=LAMBDA.unit,
        number_format=format_number,
    )
    note = "Reward given up to save a dollar."
    if status is None:
        note += " Without a goal it is cost_weight; [budget] paces it."
        return Panel(id="goal", title=title, note=note, charts=[chart])
    table = Table(name="The goal", head=("Goal", "Now"), rows=_describe_goal(status))
    return Panel(id="goal", title=title, note=note, charts=[chart], tables=[table])


def _describe_goal(status: GoalStatus) -> list[tuple[Cell, ...]]:
    amount = format_score if status.goal == "mean_quality" else format_usd
    rows: list[tuple[Cell, ...]] = [
        (status.goal, show(status.target, amount)),
        ("decisions", count(status.requests)),
        ("spent", show(status.spent_usd, format_usd)),
        ("λ now", show(status.cost_weight, format_number)),
    ]
    if status.allowance_usd is not None:
        rows.append(("allowance so far", show(status.allowance_usd, format_usd)))
    if status.affordable_usd is not None:
        rows.append(("most that a call may cost", show(status.affordable_usd, format_usd)))
    if status.mean_reward is not None:
        rows.append(("mean reward so far", show(status.mean_reward, format_score)))
    return rows


def make_safety_panel(status: SafetyStatus | None) -> Panel:
    """What the policy may decide, and what it has lost to its baseline, whatever the filters of the page."""
    title = "Safety: what learning may cost"
    if status is None:
        text = "Nothing is bound. Name the arm that works today, and learning costs little against it:"
        return Panel(id="safety", title=title, hint=Hint(text, '[safety]\nbaseline = "large"'))
    note = (
        f"The policy decides {format_share(status.share)} of the traffic, and {status.baseline} the rest. "
        f"Lost in {format_count(status.decisions)} decisions: {format_number(status.lost)} utility expected, "
        f"{format_number(status.lost_at_most)} at most; {format_number(status.allowed)} are allowed."
    )
    return Panel(id="safety", title=title, note=note)


def make_cascade_panel(figures: Figures) -> Panel:
    """How many judged answers were retried."""
    title, judged = "Cascades", figures.estimate(ESCALATION_RATE)
    if not judged.n:
        hint = Hint("No answer was judged. Turn cascades on in router.toml:", "[cascade]\nenabled = true")
        return Panel(id="cascades", title=title, hint=hint)
    chart = chart_series(
        "Share of judged answers that were retried",
        f"For each {figures.window.step}, with its 95% interval.",
        figures,
        [Series("Retried", "accent", figures.course(ESCALATION_RATE))],
        unit=ESCALATION_RATE.unit,
        number_format=format_share,
    )
    note = f"{format_share(judged.value)} of {format_count(judged.n)} judged answers were retried."
    return Panel(id="cascades", title=title, note=note, charts=[chart])


def make_override_panel(figures: Figures) -> Panel:
    """How often callers named the arm themselves, and how often they replaced an answer."""
    title, decided = "Overrides", figures.count(DECISIONS)
    named, drawn = Where(reason=Reason.OVERRIDE.value), Where(reason=Reason.POLICY.value)
    replaced, n = figures.estimate(OVERRIDE_RATE), figures.count(DECISIONS, named)
    if not (n or replaced.value):
        return Panel(id="overrides", title=title, hint=Hint("No caller of this window has named an arm."))
    shares = [
        estimate_share(
            figures.count(DECISIONS, named._replace(slot=slot)), figures.count(DECISIONS, Where(slot=slot))
        )
        for slot in range(figures.window.slots)
    ]
    chart = chart_series(
        "Share of decisions whose arm the caller named",
        f"For each {figures.window.step}, with its 95% interval.",
        figures,
        [Series("Named by the caller", "accent", shares)],
        unit="share",
        number_format=format_share,
    )
    theirs, ours = figures.estimate(QUALITY, named), figures.estimate(QUALITY, drawn)
    note = (
        f"{format_count(n)} of {format_count(decided)} decisions have the arm that the caller named. "
        f"Quality {format_score(theirs.value)} of these (n = {format_count(theirs.n)}), "
        f"{format_score(ours.value)} of the policy's (n = {format_count(ours.n)}). "
        f"{format_share(replaced.value)} of all answers were replaced by another model's."
    )
    return Panel(id="overrides", title=title, note=note, charts=[chart])


def make_health_panel(figures: Figures, cooling: Mapping[str, str]) -> Panel:
    """How the calls of the gateway ended, and which arms it does not call now."""
    title = "Health of arms"
    rows: list[tuple[Cell, ...]] = []
    for arm in figures.arms:
        ended = [figures.count(name_call_measure(outcome), Where(arm=arm)) for outcome in CallOutcome]
        if sum(ended):
            failed = show_estimate(figures.estimate(ERROR, Where(arm=arm)), format_share)
            rows.append((arm, *map(count, ended), failed, cooling.get(arm, "called")))
    if not rows:
        hint = Hint("The gateway has made no call in this window. Point a client at it: see “As a gateway”.")
        return Panel(id="health", title=title, hint=hint, wide=True)
    head = ("Arm", *(outcome.value.capitalize() for outcome in CallOutcome), "Error rate", "Now")
    note = "How calls of the gateway ended; now, in the worker that answered this page."
    table = Table(name=title, head=head, rows=rows)
    return Panel(id="health", title=title, note=note, tables=[table], wide=True)
