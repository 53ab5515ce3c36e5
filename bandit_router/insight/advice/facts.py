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
from bandit_router.store.rollups.reader import UNDIVIDED, RollupRow
from bandit_router.store.rollups.tally import HOUR_S
from bandit_router.types import Arm


def ask_for_facts(now: float) -> RollupQuestion:
    """The roll-ups to read at a Unix time, seconds."""
    question = parse_question(now, since=f"{ADVICE_DAYS}d", by="arm,reason")
    return replace(question, rollups=replace(question.rollups, step=UNDIVIDED))


def make_facts(
    rows: Sequence[RollupRow],
    question: RollupQuestion,
    settings: Settings,
    arms: Sequence[Arm],
    calibration: CalibrationReport | None = None,
    savings: Savings | None = None,
) -> Facts:
    """The facts of these rows, which answer the question; ``arms`` may be disabled.

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
    )
