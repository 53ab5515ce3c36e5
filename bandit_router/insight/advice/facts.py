"""The facts that advice is given from: which roll-ups to read, and what else is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bandit_router.insight.advice.base import ADVICE_DAYS, Facts
from bandit_router.insight.question import RollupQuestion, parse_question
from bandit_router.insight.savings import Savings
from bandit_router.insight.table import tabulate
from bandit_router.learning.drift import CalibrationReport
from bandit_router.policies import make_policy
from bandit_router.settings import Settings
from bandit_router.store.rollups.reader import UNDIVIDED, RollupFilter, RollupRow
from bandit_router.store.rollups.tally import DAY_H, HOUR_S, Cube
from bandit_router.types import Arm


def ask_for_facts(now: float) -> RollupQuestion:
    """The roll-ups to read at a Unix time, seconds."""
    question = parse_question(now, since=f"{ADVICE_DAYS}d", by="arm,reason")
    return replace(question, rollups=replace(question.rollups, step=UNDIVIDED))


def ask_for_tasks(question: RollupQuestion) -> RollupFilter:
    """The roll-ups of the same days by task."""
    days = question.rollups
    first, end = days.since - days.since % DAY_H, days.until + -days.until % DAY_H
    return RollupFilter(since=first, until=end, step=UNDIVIDED, split_by=Cube.TASK, binned=False)


def make_facts(
    rows: Sequence[RollupRow],
    question: RollupQuestion,
    settings: Settings,
    arms: Sequence[Arm],
    calibration: CalibrationReport | None = None,
    savings: Savings | None = None,
    task_rows: Sequence[RollupRow] = (),
) -> Facts:
    """The facts of these rows, which answer the question; ``arms`` may be disabled.

    ``task_rows`` are the same days by task.

    Savings that are older than the rows say nothing, nor do those of a policy that reads no query.
    """
    policy = make_policy(settings.policy.name, settings.policy.parameters)
    is_new = savings is not None and savings.made_at >= question.rollups.since * HOUR_S
    return Facts(
        table=tabulate(rows, question.by, step=question.rollups.step, now=question.now),
        settings=settings,
        arms=[arm for arm in arms if arm.enabled],
        epsilon=getattr(policy, "epsilon", None),
        calibration=calibration,
        blind_mix=savings.blind_mix if savings and is_new and (policy.learns or policy.reads) else None,
        task_rows=task_rows,
    )
