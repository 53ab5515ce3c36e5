"""The row of tiles on top: the figures that an owner looks at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.insight.figures.base import Figure
from bandit_router.insight.figures.decisions import DECISIONS_MADE
from bandit_router.insight.figures.latency import LATENCY_P50, LATENCY_P95, TTFT_P50
from bandit_router.insight.figures.metrics import COST, COST_SUM, ERROR, QUALITY, SATISFACTION
from bandit_router.server.dashboard.charts.markup import Markup
from bandit_router.server.dashboard.charts.plot import Format
from bandit_router.server.dashboard.charts.sparkline import draw_sparkline
from bandit_router.server.dashboard.figures import Figures
from bandit_router.server.dashboard.formats import (
    format_count,
    format_score,
    format_seconds,
    format_share,
    format_usd,
)
from bandit_router.server.dashboard.panels.over_time import describe_interval
from bandit_router.server.dashboard.panels.panel import Value, show


class Tile(NamedTuple):
    """One figure: its name, the number, what stands under it, and its course."""

    name: str
    value: Value
    note: str
    spark: Markup


def make_tiles(figures: Figures) -> Sequence[Tile]:
    """The tiles of a window."""
    quality, satisfaction = figures.point(QUALITY), figures.estimate(SATISFACTION)
    errors, cost = figures.estimate(ERROR), figures.estimate(COST)
    median, first = figures.estimate(LATENCY_P50), figures.estimate(TTFT_P50)
    rated = f"{describe_interval(quality.estimate, format_score)}; {format_share(quality.coverage)} rated"
    return [
        _make_tile(figures, "Decisions", DECISIONS_MADE, format_count, f"arms: {len(figures.arms)}"),
        _make_tile(figures, "Quality", QUALITY, format_score, rated),
        _make_tile(
            figures,
            "Cost",
            COST_SUM,
            format_usd,
            f"{format_usd(cost.value)} a call, n = {format_count(cost.n)}",
        ),
        _make_tile(
            figures,
            "Latency, p95",
            LATENCY_P95,
            format_seconds,
            f"median {format_seconds(median.value)}, first token {format_seconds(first.value)}",
        ),
        _make_tile(
            figures,
            "Satisfaction",
            SATISFACTION,
            format_score,
            describe_interval(satisfaction, format_score),
        ),
        _make_tile(figures, "Errors", ERROR, format_share, describe_interval(errors, format_share)),
    ]


def _make_tile(figures: Figures, name: str, figure: Figure, number_format: Format, note: str) -> Tile:
    spark = draw_sparkline([estimate.value for estimate in figures.course(figure)])
    return Tile(name, show(figures.estimate(figure).value, number_format), note, spark)
