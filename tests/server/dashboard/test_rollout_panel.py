"""The panel of the rollout: what there is, or how to get it."""

from __future__ import annotations

from bandit_router.evaluation.rollout_sample import AnytimeInterval, BranchMeans, RolloutComparison
from bandit_router.insight.rollout import Action, Recommendation, RolloutStatus, StageRecord
from bandit_router.server.dashboard.panels.panel import Value
from bandit_router.server.dashboard.panels.rollout import make_rollout_panel
from bandit_router.types import RolloutStage

STAGE = RolloutStage(2, 0.05, 1_764_000_000.0)
COMPARISON = RolloutComparison(
    alpha=0.025,
    incumbent=BranchMeans(950, 400, 0.7, 0.004),
    candidate=BranchMeans(50, 20, 0.75, None),
    quality=AnytimeInterval(420, 0.04, -0.01, 0.09),
    cost_usd=None,
    utility=AnytimeInterval(420, 0.05, -0.005, 0.105),
)
STATUS = RolloutStatus(
    made_at=1_764_003_600.0,
    incumbent="fixed:large,epsilon=0.0",
    candidate="tempered",
    unit="request",
    stages=(StageRecord(*STAGE, "asked for"),),
    usual_delay_s=60.0,
    waiting=3,
    expectation=None,
    at_stage=COMPARISON,
    over_all=COMPARISON,
    recommendation=Recommendation(Action.ADVANCE, "not worse"),
)


def test_it_shows_the_comparison_and_the_advice() -> None:
    panel = make_rollout_panel(STAGE, STATUS)
    assert "5.0% of the traffic" in panel.note
    assert "advance. not worse" in panel.note
    at_stage, _, branches = panel.tables
    quality, cost, utility = (row[1] for row in at_stage.rows)
    assert quality == Value(0.04, "0.040", "−0.010 to 0.090, n = 420")
    assert isinstance(cost, Value)
    assert cost.number is None
    assert isinstance(utility, Value)
    assert utility.number == 0.05
    assert [[cell.number for cell in row[1:] if isinstance(cell, Value)] for row in branches.rows] == [
        [950, 400, 0.7, 0.004],
        [50, 20, 0.75, None],
    ]


def test_while_there_is_nothing_it_says_how_to_get_it() -> None:
    nothing, not_yet = make_rollout_panel(None, None).hint, make_rollout_panel(STAGE, None).hint
    assert nothing is not None
    assert "[rollout]" in nothing.command
    assert not_yet is not None
    assert not_yet.command == "bandit-router rollout status"
