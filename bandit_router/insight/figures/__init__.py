"""Every figure, in the order of reports. A new one is a function beside these and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.figures.choices import (
    ESCALATION_RATE,
    EXPECTED,
    EXPLORATION,
    LAMBDA,
    OVERRIDE_RATE,
)
from bandit_router.insight.figures.coverage import COVERAGE, DELAY
from bandit_router.insight.figures.decisions import DECISIONS_MADE, SHARE
from bandit_router.insight.figures.latency import LATENCY_P50, LATENCY_P95, TTFT_P50, TTFT_P95
from bandit_router.insight.figures.metrics import (
    ABANDONED,
    COST,
    COST_SUM,
    EMPTY,
    ERROR,
    INVALID_JSON,
    JUDGED,
    QUALITY,
    REFUSAL,
    REGENERATED,
    SATISFACTION,
    TOOL_ERROR,
    TRUNCATED,
)

__all__ = ["FIGURES", "Figure", "Point"]

FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        DECISIONS_MADE,
        SHARE,
        QUALITY,
        SATISFACTION,
        JUDGED,
        EXPECTED,
        COST,
        COST_SUM,
        LATENCY_P50,
        LATENCY_P95,
        TTFT_P50,
        TTFT_P95,
        ERROR,
        REFUSAL,
        TRUNCATED,
        EMPTY,
        INVALID_JSON,
        TOOL_ERROR,
        REGENERATED,
        ABANDONED,
        EXPLORATION,
        LAMBDA,
        ESCALATION_RATE,
        OVERRIDE_RATE,
        *COVERAGE,
        *DELAY,
    )
}
