"""Panels of traffic: which share of it each arm gets, and how its arms and reasons compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bandit_router.insight.figures.coverage import COVERAGE
from bandit_router.insight.figures.decisions import SHARE
from bandit_router.insight.figures.latency import LATENCY_P50, LATENCY_P95, TTFT_P50
from bandit_router.insight.figures.metrics import COST, COST_SUM, ERROR, QUALITY, SATISFACTION
from bandit_router.server.dashboard.charts.stacked_bars import Stack, draw_stacked_bars
from bandit_router.server.dashboard.figures import Figures, Where
from bandit_router.server.dashboard.formats import (
    format_count,
    format_score,
    format_seconds,
    format_share,
    format_usd,
)
from bandit_router.server.dashboard.panels.over_time import show_estimate
from bandit_router.server.dashboard.panels.panel import (
    Cell,
    Chart,
    Hint,
    LegendEntry,
    Panel,
    Table,
    count,
    show,
)
from bandit_router.store.rollups.measures import DECISIONS

_HEAD = (
    "Decisions",
    "Share",
    "Quality",
    "Rated",
    "Satisfaction",
    "Errors",
    "Cost",
    "Per call",
    "Median latency",
    "p95",
    "First token",
)

NO_TRAFFIC = Hint(
    "Nothing was decided in this window. Route a query:", 'bandit-router route "Why is the sky blue?"'
)


def make_share_panel(figures: Figures, colours: Mapping[str, str]) -> Panel:
    """The share of decisions that each arm gets, over time."""
    title = "Share of each model"
    if not figures.arms:
        return Panel(id="share", title=title, hint=NO_TRAFFIC, wide=True)
    labels, slots = figures.window.labels, range(figures.window.slots)
    counts = {
        arm: [figures.count(DECISIONS, Where(slot=slot, arm=arm)) for slot in slots] for arm in figures.arms
    }
    stacks = [Stack(name=arm, colour=colours[arm], amounts=amounts) for arm, amounts in counts.items()]
    description = f"Decisions by arm for each {figures.window.step}, as shares of all."
    rows: list[Sequence[Cell]] = [
        (label, *(count(counts[arm][i]) for arm in figures.arms)) for i, label in enumerate(labels)
    ]
    chart = Chart(
        picture=draw_stacked_bars(title, description, labels, stacks),
        table=Table(name="Decisions", head=(figures.window.step.capitalize(), *figures.arms), rows=rows),
        legend=[LegendEntry(arm, colours[arm]) for arm in figures.arms],
    )
    return Panel(id="share", title=title, note="Of what the filters leave.", charts=[chart], wide=True)


def make_comparison_panel(figures: Figures, group: str) -> Panel:
    """All figures of each ``group``: arm or reason."""
    names = figures.arms if group == "arm" else figures.reasons
    title = "By model" if group == "arm" else "By reason"
    if not names:
        return Panel(id=f"by-{group}", title=title, hint=NO_TRAFFIC, wide=True)
    of: Callable[[str], Where] = (
        (lambda name: Where(arm=name)) if group == "arm" else (lambda name: Where(reason=name))
    )
    rows: list[tuple[Cell, ...]] = [(name, *_compare(figures, of(name))) for name in names]
    rows.append(("all", *_compare(figures, Where())))
    table = Table(name=title, head=(group.capitalize(), *_HEAD), rows=rows)
    return Panel(id=f"by-{group}", title=title, tables=[table], wide=True)


def _compare(figures: Figures, where: Where) -> tuple[Cell, ...]:
    """The figures of one row, in the order of ``_HEAD``."""
    rated, cost = figures.estimate(COVERAGE[0], where), figures.estimate(COST_SUM, where)
    return (
        count(figures.count(DECISIONS, where)),
        show(figures.estimate(SHARE, where).value, format_share),
        show_estimate(figures.estimate(QUALITY, where), format_score),
        show(rated.value, format_share),
        show_estimate(figures.estimate(SATISFACTION, where), format_score),
        show_estimate(figures.estimate(ERROR, where), format_share),
        show(cost.value, format_usd, f"of {format_count(cost.n)}" if cost.n else ""),
        show(figures.estimate(COST, where).value, format_usd),
        show(figures.estimate(LATENCY_P50, where).value, format_seconds),
        show(figures.estimate(LATENCY_P95, where).value, format_seconds),
        show(figures.estimate(TTFT_P50, where).value, format_seconds),
    )
