"""Panels of what learning costs and feeds on: the price of exploration, and feedback."""

from __future__ import annotations

from collections.abc import Sequence

from bandit_router.insight.figures.base import Point
from bandit_router.insight.figures.choices import EXPLORATION
from bandit_router.insight.figures.coverage import COVERAGE, DELAY, find_usual_delay_s
from bandit_router.insight.intervals import Estimate
from bandit_router.server.dashboard.figures import Figures, Where
from bandit_router.server.dashboard.formats import (
    format_count,
    format_number,
    format_score,
    format_seconds,
    format_share,
)
from bandit_router.server.dashboard.panels.over_time import Series, chart_series, describe_interval
from bandit_router.server.dashboard.panels.panel import Cell, Hint, Panel, Table, count, show

_METRICS = ("quality", "satisfaction")
"""The metrics of the figures in COVERAGE and DELAY, in their order."""

_NOT_YET = "c7"


def make_exploration_panel(figures: Figures) -> Panel:
    """What exploring costs: utility of the greedy arm less that of the arm chosen."""
    title, price = "Price of exploration", figures.estimate(EXPLORATION)
    if price.value is None:
        hint = Hint("No decision of this window has logged what the greedy arm would have been worth.")
        return Panel(id="exploration", title=title, hint=hint)
    note = (
        f"Utility given up to learn: {format_score(price.value)} a decision of the policy "
        f"({describe_interval(price, format_score)}), {format_number(price.n * price.value)} in all."
    )
    chart = chart_series(
        title,
        f"Mean utility given up, for each {figures.window.step}, with its 95% interval.",
        figures,
        [Series("Given up", "accent", figures.course(EXPLORATION))],
        unit=EXPLORATION.unit,
        number_format=format_score,
    )
    return Panel(id="exploration", title=title, note=note, charts=[chart])


def make_feedback_panel(figures: Figures) -> Panel:
    """Which share of decisions was rated, whether the others still may be, and how long ratings take."""
    title, (rated, *_) = "Feedback", COVERAGE
    rows = _list_metrics(figures)
    if not rows:
        hint = Hint("No decision of this window was rated:", "bandit-router feedback DECISION_ID quality=0.9")
        return Panel(id="feedback", title=title, hint=hint)
    points = [figures.point(rated, Where(slot=slot)) for slot in range(figures.window.slots)]
    settled, coming = split_settled(points)
    series = [Series("Rated", "accent", settled), Series("Rated so far; more may come", _NOT_YET, coming)]
    note = "Share of decisions that were rated, with its 95% interval."
    usual_s = find_usual_delay_s(figures.table(), "quality")
    if usual_s is not None:
        note += f" 19 of 20 ratings come within {format_seconds(usual_s)}."
    chart = chart_series(
        "Share of decisions that were rated",
        f"For each {figures.window.step}; the newest may still get their ratings.",
        figures,
        [each for each in series if any(estimate.n for estimate in each.estimates)],
        unit=rated.unit,
        number_format=format_share,
    )
    head = ("Metric", "Decisions", "Coverage", "Old enough", "Median delay", "95% within")
    table = Table(name="Feedback by metric", head=head, rows=rows)
    return Panel(id="feedback", title=title, note=note, charts=[chart], tables=[table])


def split_settled(points: Sequence[Point]) -> tuple[list[Estimate], list[Estimate]]:
    """The estimates of slots whose feedback had its usual time to come, and those of the others."""
    is_settled = [point.settled is None or point.settled >= 1.0 for point in points]
    settled = [p.estimate if done else Estimate(0) for p, done in zip(points, is_settled, strict=True)]
    coming = [Estimate(0) if done else p.estimate for p, done in zip(points, is_settled, strict=True)]
    return settled, coming


def _list_metrics(figures: Figures) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for metric, coverage, delay in zip(_METRICS, COVERAGE, DELAY, strict=True):
        n = figures.count(metric)
        if n:
            covered = figures.point(coverage)
            usual_s = find_usual_delay_s(figures.table(), metric)
            rows.append(
                (
                    metric,
                    count(n),
                    show(covered.estimate.value, format_share, f"of {format_count(covered.estimate.n)}"),
                    show(covered.settled, format_share),
                    show(figures.estimate(delay).value, format_seconds),
                    show(usual_s, format_seconds),
                )
            )
    return rows
