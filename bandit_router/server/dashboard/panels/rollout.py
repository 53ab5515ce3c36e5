"""The panel of the rollout: candidate against incumbent, and what to do next."""

from __future__ import annotations

from bandit_router.evaluation.rollout_sample import AnytimeInterval, RolloutComparison
from bandit_router.insight.intervals import Estimate
from bandit_router.insight.rollout import OUTCOMES, RolloutStatus
from bandit_router.server.dashboard.formats import (
    format_count,
    format_score,
    format_share,
    format_time,
    format_usd,
)
from bandit_router.server.dashboard.panels.over_time import show_estimate
from bandit_router.server.dashboard.panels.panel import Cell, Hint, Panel, Table, Value, count, show
from bandit_router.types import RolloutStage

_TITLE = "Rollout: the candidate against the incumbent"
_NAMES = {"quality": "Quality", "cost_usd": "Cost a request", "utility": "Utility"}


def make_rollout_panel(stage: RolloutStage | None, status: RolloutStatus | None) -> Panel:
    """The newest comparison, whatever the filters of the page; ``stage`` is the one under way."""
    if stage is None:
        text = "There is no rollout. Name who decides today, and the policy takes over from it in steps:"
        return Panel(id="rollout", title=_TITLE, hint=Hint(text, '[rollout]\nincumbent = "large"'), wide=True)
    if status is None:
        text = (
            f"The candidate has {format_share(stage.share)} of the traffic. Nothing is compared yet. The "
            "service does so once in rollout.interval_s; see it now:"
        )
        hint = Hint(text, "bandit-router rollout status")
        return Panel(id="rollout", title=_TITLE, hint=hint, wide=True)
    advice = status.recommendation
    note = (
        f"The candidate has {format_share(stage.share)} of the traffic since {format_time(stage.since)}. "
        f"Advice of {format_time(status.made_at)}: {advice.action}. {advice.why}. "
        "Intervals hold however often they are looked at; filters do not apply."
    )
    tables = [
        _make_table("At this stage", status.at_stage),
        _make_table("Over all stages", status.over_all),
        _make_branches(status.over_all),
    ]
    return Panel(id="rollout", title=_TITLE, note=note, tables=tables, wide=True)


def _make_table(name: str, comparison: RolloutComparison) -> Table:
    rows = [(_NAMES[outcome], _show_interval(outcome, getattr(comparison, outcome))) for outcome in OUTCOMES]
    return Table(name=name, head=("Candidate less incumbent", "Difference"), rows=rows)


def _show_interval(outcome: str, interval: AnytimeInterval | None) -> Value:
    number_format = format_usd if outcome == "cost_usd" else format_score
    return show_estimate(Estimate(0) if interval is None else Estimate(*interval), number_format)


def _make_branches(comparison: RolloutComparison) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in ("incumbent", "candidate"):
        means = getattr(comparison, name)
        rated = show(float(means.rated), format_count)
        outcomes = show(means.quality, format_score), show(means.cost_usd, format_usd)
        rows.append((name, count(means.requests), rated, *outcomes))
    return Table(name="What each decided", head=("Who", "Requests", "Rated", "Reward", "Cost"), rows=rows)
