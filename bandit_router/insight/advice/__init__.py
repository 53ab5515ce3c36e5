"""Advice: what an owner should change, each piece with its evidence.

A new one is a function beside these and a line here.
"""

from __future__ import annotations

from bandit_router.insight.advice.arms import (
    find_arm_never_best,
    find_dear_arm_no_better,
    find_poor_cheap_arm,
)
from bandit_router.insight.advice.base import Advice, Facts
from bandit_router.insight.advice.drift import find_drifted_arm
from bandit_router.insight.advice.facts import ask_for_facts, ask_for_tasks, make_facts
from bandit_router.insight.advice.learning import (
    find_gainless_reading,
    find_scarce_feedback,
    find_small_floor,
    find_unheard_exploration,
)
from bandit_router.insight.advice.money import find_idle_budget, find_other_prices
from bandit_router.insight.advice.rules import find_idle_rules
from bandit_router.insight.advice.tasks import find_dear_task, find_settled_task
from bandit_router.insight.savings import find_savings
from bandit_router.learning.drift import CalibrationReport
from bandit_router.router import Router

__all__ = ["Advice", "Facts", "advise", "ask_for_facts", "find_advice", "make_facts"]

_ALL = (
    find_poor_cheap_arm,
    find_dear_arm_no_better,
    find_arm_never_best,
    find_scarce_feedback,
    find_unheard_exploration,
    find_small_floor,
    find_idle_rules,
    find_idle_budget,
    find_other_prices,
    find_drifted_arm,
    find_gainless_reading,
    find_settled_task,
    find_dear_task,
)


def advise(facts: Facts) -> list[Advice]:
    """Every piece of advice that the facts earn, in a fixed order."""
    return [advice for find in _ALL for advice in find(facts)]


def find_advice(router: Router, calibration: CalibrationReport | None) -> list[Advice]:
    """What the newest days of a router's log, its settings, its savings and ``calibration`` advise."""
    question = ask_for_facts(router.now())
    rows = router.rollups(question.rollups)
    savings = find_savings(router)
    task_rows = router.rollups(ask_for_tasks(question))
    return advise(make_facts(rows, question, router.settings, router.arms, calibration, savings, task_rows))
