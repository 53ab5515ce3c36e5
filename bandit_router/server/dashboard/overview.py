"""The overview: is the router right, what does it cost, and what is it unsure about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastapi import Request, Response

from bandit_router.errors import NoBudget, NoSafety
from bandit_router.insight.advice import find_advice
from bandit_router.insight.advice.base import ADVICE_DAYS
from bandit_router.insight.rollout import find_rollout
from bandit_router.insight.savings import find_savings
from bandit_router.insight.tasks import TaskSummary, find_task_summaries
from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.router import Router
from bandit_router.server.dashboard.figures import Figures
from bandit_router.server.dashboard.frame import describe_frame
from bandit_router.server.dashboard.panels.exploration import make_exploration_panel, make_feedback_panel
from bandit_router.server.dashboard.panels.learning import (
    make_calibration_panel,
    make_drift_panel,
    make_knowledge_panel,
)
from bandit_router.server.dashboard.panels.outcomes import OUTCOMES, make_outcome_panel
from bandit_router.server.dashboard.panels.panel import Panel, find_colours
from bandit_router.server.dashboard.panels.rollout import make_rollout_panel
from bandit_router.server.dashboard.panels.savings import make_savings_panel
from bandit_router.server.dashboard.panels.steering import (
    make_cascade_panel,
    make_goal_panel,
    make_health_panel,
    make_override_panel,
    make_safety_panel,
)
from bandit_router.server.dashboard.panels.summary import make_tiles
from bandit_router.server.dashboard.panels.tasks import make_task_panel
from bandit_router.server.dashboard.panels.traffic import make_comparison_panel, make_share_panel
from bandit_router.server.dashboard.query_fields import read_choice, read_text
from bandit_router.server.dashboard.rendering import render_page
from bandit_router.server.dashboard.window import Step, Window, WindowSpan, read_window
from bandit_router.store.rollups.reader import UNDIVIDED, RollupFilter
from bandit_router.store.rollups.tally import DAY_H, Cube
from bandit_router.store.tasks import OTHER_NAME
from bandit_router.types import Reason

FIELDS = ("range", "step", "since", "until", "arm", "reason", "tier", "key", "task")
_ACTS = 200


class PanelGroup(NamedTuple):
    """Panels under one heading."""

    id: str
    title: str
    panels: Sequence[Panel]


def render_overview(router: Router, request: Request, cooling: Mapping[str, str]) -> Response:
    """The page; ``cooling`` are the arms that the gateway does not call now, and why. Raises InvalidInput."""
    query, now = request.query_params, router.now()
    window = read_window(query, now)
    figures = Figures(window, router.rollups(_read_filter(query, window)), now)
    return render_page(
        "overview.html",
        **describe_frame(router, request, "overview"),
        tiles=make_tiles(figures),
        advice=find_advice(router, router.watched_calibration),
        advice_days=ADVICE_DAYS,
        sections=_make_sections(router, figures, cooling),
        fields={name: query.get(name, "") for name in FIELDS},
        spans=list(WindowSpan),
        steps=list(Step),
        arms=[arm.name for arm in router.arms],
        reasons=list(Reason),
        tasks=[*(task.name for task in router.tasks()), OTHER_NAME],
        default_span=WindowSpan.FORTNIGHT,
        window=window,
    )


def _read_filter(query: Mapping[str, str], window: Window) -> RollupFilter:
    """Which sums the page shows. Raises InvalidInput."""
    arm, reason = read_text(query, "arm"), read_choice(query, "reason", Reason)
    return RollupFilter(
        since=window.first,
        until=window.end,
        step=window.step_h,
        arms=() if arm is None else (arm,),
        reasons=() if reason is None else (reason.value,),
        tier=read_text(query, "tier"),
        key_id=read_text(query, "key"),
        task=read_text(query, "task"),
    )


def _make_sections(router: Router, figures: Figures, cooling: Mapping[str, str]) -> list[PanelGroup]:
    calibration = router.watched_calibration
    colours = find_colours([*(arm.name for arm in router.arms), *figures.arms])
    return [
        PanelGroup(
            "outcomes",
            "What came of it",
            [
                make_share_panel(figures, colours),
                *(make_outcome_panel(outcome, figures, colours) for outcome in OUTCOMES),
                make_comparison_panel(figures, "arm"),
                make_comparison_panel(figures, "reason"),
                make_task_panel(_summarise_tasks(router, figures.window)),
                make_savings_panel(find_savings(router)),
                make_rollout_panel(router.rollout_stage, find_rollout(router)),
            ],
        ),
        PanelGroup(
            "learning",
            "What the router knows",
            [
                make_knowledge_panel(router.knowledge(), colours),
                make_feedback_panel(figures),
                make_exploration_panel(figures),
                make_drift_panel(calibration, router.acts(_ACTS)),
            ],
        ),
        PanelGroup(
            "steering",
            "How it is steered",
            [
                make_goal_panel(figures, _find_goal(router)),
                make_safety_panel(_find_safety(router)),
                make_override_panel(figures),
                make_cascade_panel(figures),
                make_calibration_panel(calibration),
                make_health_panel(figures, cooling),
            ],
        ),
    ]


def _summarise_tasks(router: Router, window: Window) -> list[TaskSummary]:
    """The tasks of the window's days."""
    first, end = window.first - window.first % DAY_H, window.end + -window.end % DAY_H
    days = RollupFilter(since=first, until=end, step=UNDIVIDED, split_by=Cube.TASK, binned=False)
    return find_task_summaries(router.rollups(days), [arm.name for arm in router.arms], router.score_tasks)


def _find_goal(router: Router) -> GoalStatus | None:
    try:
        return router.budget()
    except NoBudget:
        return None


def _find_safety(router: Router) -> SafetyStatus | None:
    try:
        return router.safety()
    except NoSafety:
        return None
