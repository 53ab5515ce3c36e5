"""Panels of outcomes over time: quality, cost, latency, satisfaction and errors of each arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bandit_router.insight.figures.base import Figure
from bandit_router.insight.figures.latency import LATENCY_P95, TTFT_P95
from bandit_router.insight.figures.metrics import COST_SUM, ERROR, QUALITY, SATISFACTION
from bandit_router.server.dashboard.charts.plot import Format
from bandit_router.server.dashboard.figures import Figures
from bandit_router.server.dashboard.formats import format_score, format_seconds, format_share, format_usd
from bandit_router.server.dashboard.panels.over_time import chart_series, list_series
from bandit_router.server.dashboard.panels.panel import Hint, Panel

_FEEDBACK = "bandit-router feedback DECISION_ID "


class OutcomePanel(NamedTuple):
    """One panel: its figure, how that is written, and how to fill it."""

    id: str
    title: str
    note: str
    figure: Figure
    number_format: Format
    hint: Hint


OUTCOMES = (
    OutcomePanel(
        "quality",
        "Quality",
        "Mean of the ratings in force, with its 95% interval.",
        QUALITY,
        format_score,
        Hint("No answer of this window has been rated. Rate one:", f"{_FEEDBACK}quality=0.9"),
    ),
    OutcomePanel(
        "cost",
        "Cost",
        "USD reported, by the time of the decision.",
        COST_SUM,
        format_usd,
        Hint(
            "No cost has been reported. Calls of the gateway report theirs; after a call of your own:",
            f"{_FEEDBACK}cost_usd=0.0004",
        ),
    ),
    OutcomePanel(
        "latency",
        "Latency, p95",
        "19 of 20 answers were complete by then; with its 95% interval.",
        LATENCY_P95,
        format_seconds,
        Hint(
            "No latency has been reported. Calls of the gateway are timed; after a call of your own:",
            f"{_FEEDBACK}latency_s=1.4",
        ),
    ),
    OutcomePanel(
        "first-token",
        "First token, p95",
        "19 of 20 answers had begun by then; with its 95% interval.",
        TTFT_P95,
        format_seconds,
        Hint("No time to a first token is known. The gateway measures it; see “As a gateway” in the README."),
    ),
    OutcomePanel(
        "satisfaction",
        "Satisfaction",
        "Mean of what users said, with its 95% interval.",
        SATISFACTION,
        format_score,
        Hint("No user has said anything. Send what one says:", f"{_FEEDBACK}satisfaction=1"),
    ),
    OutcomePanel(
        "errors",
        "Errors",
        "Share of calls that failed, with its 95% interval.",
        ERROR,
        format_share,
        Hint(
            "No call has said whether it failed. Calls of the gateway do; after a call of your own:",
            f"{_FEEDBACK}error=0",
        ),
    ),
)
"""The panels, in the order of the page."""


def make_outcome_panel(outcome: OutcomePanel, figures: Figures, colours: Mapping[str, str]) -> Panel:
    """A line for each arm that has values."""
    series = list_series(figures, outcome.figure, colours)
    if not series:
        return Panel(id=outcome.id, title=outcome.title, hint=outcome.hint)
    description = f"{outcome.note} A line for each arm, a point for each {figures.window.step}."
    chart = chart_series(
        outcome.title,
        description,
        figures,
        series,
        unit=outcome.figure.unit,
        number_format=outcome.number_format,
    )
    return Panel(id=outcome.id, title=outcome.title, note=outcome.note, charts=[chart])
