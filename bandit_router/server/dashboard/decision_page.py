"""The page of one decision: the query, every arm's chances, the calls, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import Request, Response

from bandit_router.router import Router
from bandit_router.router.explain import Alternative
from bandit_router.router.inspection import Inspection
from bandit_router.server.dashboard.charts.bars import draw_bar, draw_interval
from bandit_router.server.dashboard.charts.markup import Markup
from bandit_router.server.dashboard.frame import describe_frame
from bandit_router.server.dashboard.rendering import render_page

_WIDE = 1.959964  # standard deviations of a 95% interval


class ArmRow(NamedTuple):
    """One arm of the table: an eligible one with its scores, or one that was excluded."""

    arm: str
    chosen: bool
    scores: Alternative | None
    why_excluded: str | None
    probability_bar: Markup | None
    quality_bar: Markup | None


def render_decision(router: Router, request: Request) -> Response:
    """The page. Raises InvalidInput or UnknownDecision."""
    inspection = router.inspect(request.path_params["decision_id"])
    return render_page(
        "decision.html",
        **describe_frame(router, request, "decisions"),
        d=inspection.explanation.decision,
        x=inspection.explanation,
        i=inspection,
        arm_rows=list_arm_rows(inspection),
        logs_queries=router.settings.router.log_queries,
    )


def list_arm_rows(inspection: Inspection) -> list[ArmRow]:
    """The arms of a decision, likeliest first, then those that were excluded."""
    decision = inspection.explanation.decision
    likeliest = sorted(inspection.explanation.alternatives, key=lambda each: -each.probability)
    eligible = [
        ArmRow(
            arm=each.arm,
            chosen=each.arm == decision.arm,
            scores=each,
            why_excluded=None,
            probability_bar=draw_bar(each.probability),
            quality_bar=_draw_quality(each),
        )
        for each in likeliest
    ]
    excluded = [
        ArmRow(arm, arm == decision.arm, None, why, None, None)
        for arm, why in sorted(decision.excluded.items())
    ]
    return eligible + excluded


def _draw_quality(alternative: Alternative) -> Markup | None:
    mean, std = alternative.mean, alternative.std
    if mean is None or std is None:
        return None
    return draw_interval(mean, mean - _WIDE * std, mean + _WIDE * std)
