"""Summaries of tasks: counts and means of the log, and the best arm by what is learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from bandit_router.insight.tasks import find_task_costs, find_task_summaries, summarise_tasks
from bandit_router.types import FloatArray, Scores
from tests.insight.examples import Made, make_log, roll_up

ARMS = ("large", "small")
LOG = [
    replace(made, member=("invoices", "support", "invoices", "other tasks")[i % 4])
    for i, made in enumerate(make_log())
]
MEAN = {"invoices": (0.9, 0.88), "support": (0.9, 0.2), "other tasks": (0.5, 0.6)}


def of_task(task: str) -> list[Made]:
    return [made for made in LOG if made.member == task]


def score(costs: Mapping[str, Mapping[str, float]], cost_weight: float) -> dict[str, Scores]:
    """Arms whose means are known, at these costs."""
    scores = {}
    for task, usd in costs.items():
        mean, cost = np.array(MEAN[task]), np.array([usd[arm] for arm in ARMS])
        width: FloatArray = np.array([0.01, 0.02])
        scores[task] = Scores(ARMS, np.ones(1), mean, width, cost, mean - cost_weight * cost)
    return scores


def test_a_task_has_the_counts_and_means_of_its_decisions() -> None:
    for summary in summarise_tasks(roll_up(LOG), {}):
        made = of_task(summary.name)
        ratings = [each.values["quality"] for each in made if "quality" in each.values]
        assert summary.decisions == len(made)
        assert summary.share.value == len(made) / len(LOG)
        assert summary.quality.value == pytest.approx(np.mean(ratings))
        assert summary.quality.n == len(ratings)
        assert summary.cost_usd.value == pytest.approx(np.mean([each.values["cost_usd"] for each in made]))
        assert (summary.best_arm, summary.level, summary.width, summary.gain) == (None,) * 4
    assert [summary.name for summary in summarise_tasks(roll_up(LOG), {})] == [
        "invoices",
        "other tasks",
        "support",
    ]


def test_costs_are_those_of_the_task_or_of_all_tasks() -> None:
    log = [made for made in LOG if (made.member, made.arm) != ("support", "large")]
    costs = find_task_costs(roll_up(log), [*ARMS, "new"])
    for task, arm, made in (
        ("support", "small", of_task("support")),
        ("invoices", "large", of_task("invoices")),
        ("support", "large", [each for each in log if each.arm == "large"]),
    ):
        reported = [each.values["cost_usd"] for each in made if each.arm == arm]
        assert costs.usd[task][arm] == pytest.approx(np.mean(reported))
    assert costs.usd["invoices"]["new"] == 0.0
    assert costs.cost_weight == pytest.approx(np.mean([made.values["cost_weight"] for made in log]))


def test_the_gain_is_over_the_arm_that_is_best_for_all_tasks() -> None:
    summaries = {each.name: each for each in find_task_summaries(roll_up(LOG), ARMS, score)}
    costs = find_task_costs(roll_up(LOG), ARMS)
    utility = {
        task: [MEAN[task][k] - costs.cost_weight * costs.usd[task][arm] for k, arm in enumerate(ARMS)]
        for task in MEAN
    }
    overall = [sum(len(of_task(task)) * utility[task][k] for task in MEAN) for k in range(2)]
    assert overall[0] > overall[1]
    for task, (large, small) in utility.items():
        best = "large" if large > small else "small"
        assert summaries[task].best_arm == best
        assert summaries[task].level == MEAN[task][ARMS.index(best)]
        assert summaries[task].width == (0.01, 0.02)[ARMS.index(best)]
        assert math.isclose(summaries[task].gain or 0.0, max(large, small) - large, abs_tol=1e-12)
    assert summaries["other tasks"].gain == pytest.approx(0.1, abs=0.01)


def test_no_task_costs_nothing() -> None:
    assert find_task_summaries([], ARMS, lambda *_: pytest.fail("nothing is to be scored")) == []
