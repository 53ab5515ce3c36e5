"""What the figures about tasks are made of, on a world small enough to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import FloatArray
from simulations.tasks import (
    KNOWN,
    UNKNOWN,
    TaskCase,
    find_missed_bars,
    full_information_gain,
    list_task_cases,
    play_task_case,
    task_grid,
)
from tests.simulations.conftest import Figures

TRADE = 0.1


def a_stream_of_two_tasks(n: int = 600) -> Stream:
    """Each of two arms is right on its own task and wrong on the other; nothing in x tells which."""
    task = np.random.default_rng(7).integers(0, 2, n)
    return Stream(
        name="two",
        arms=("first", "second"),
        x=np.ones((n, 1)),
        quality=np.column_stack([1.0 - task, task]).astype(np.float64),
        cost_usd=np.full((n, 2), 0.001),
        expected_cost_usd=np.full((n, 2), 0.001),
        eligible=np.ones((n, 2), dtype=np.bool_),
        task=task,
    )


@pytest.mark.parametrize("labelled", [0, 50])
def test_a_router_that_knows_the_task_gains_what_there_is_to_gain(labelled: int) -> None:
    stream = a_stream_of_two_tasks()
    plan = Plan(stream=stream, cost_weight=0.0, labelled=labelled)
    known, unknown, random = (
        play_task_case(stream, plan, TaskCase(TRADE, labelled, tasks), 0)
        for tasks in (KNOWN, UNKNOWN, "8 random")
    )
    there = full_information_gain(stream, TRADE)
    assert there == pytest.approx(0.5, abs=0.05)
    assert known > 0.9 * there
    assert max(abs(unknown), abs(random)) < 0.1


def test_without_tasks_a_regression_gains_nothing_here() -> None:
    assert full_information_gain(replace(a_stream_of_two_tasks(), task=None), TRADE) <= 0.0


def gains_of(unknown: list[float], known: list[float], worse: float = 0.0) -> dict[TaskCase, FloatArray]:
    """The same at every start; labels that mean nothing cost ``worse``, and so do tasks at .3."""
    gains = {}
    for start in (0, 300):
        for trade, more in ((0.1, np.array(known)), (0.3, np.array(unknown) - worse)):
            gains[TaskCase(trade, start, UNKNOWN)] = np.array(unknown)
            gains[TaskCase(trade, start, KNOWN)] = more
        gains[TaskCase(0.1, start, "8 random")] = np.array(unknown) - worse
    return gains


def test_the_bars_say_what_was_missed() -> None:
    good = {"mixed": gains_of([-0.010, -0.020], [0.016, 0.018])}
    assert find_missed_bars(good, {"mixed": 0.02}, 300) == []
    bad = {"mixed": gains_of([-0.010, -0.020], [-0.020, -0.031], worse=0.004)}
    assert find_missed_bars(bad, {"mixed": 0.02}, 300) == [
        "warm, mixed gains -0.0255, not 0.015",
        "warm, -128% of what there is to gain, not 60%",
        "cold, the mean gap is 0.0255, before 0.0150",
        "cold, mixed: -0.0105, beyond 2 standard errors",
        "cold, mixed at .3: 0.0040 worse, not 0.002",
        "cold, mixed, 8 random: loses 0.0040, not 0.003",
        "warm, mixed: -0.0105, beyond 2 standard errors",
        "warm, mixed at .3: 0.0040 worse, not 0.002",
        "warm, mixed, 8 random: loses 0.0040, not 0.003",
    ]


def test_the_table_compares_in_pairs() -> None:
    grid = task_grid({"mixed": gains_of([-0.010, -0.020], [0.010, 0.014])}, {"mixed": 0.03}, 0.1, 0)
    assert [row.cells for row in grid.rows] == [
        ("tasks unknown", "-0.0150", "-0.0150"),
        ("tasks known", "+0.0120", "+0.0120"),
        ("more than unknown", "+0.0270 ± 0.0070", "+0.0270 ± 0.0070"),
        ("tasks 8 random", "-0.0150", "-0.0150"),
        ("more than unknown", "+0.0000 ± 0.0000", "+0.0000 ± 0.0000"),
        ("there is to gain", "+0.0300", "+0.0300"),
    ]


def test_random_labels_are_tried_once() -> None:
    cases = list_task_cases([0.1, 0.3], 300, [KNOWN, "8 random"])
    assert len(cases) == 10
    assert {case.trade for case in cases if case.tasks == "8 random"} == {0.1}


def test_the_script_shows_every_weight_cold_and_warm(figures: Figures) -> None:
    shown, facts = figures("tasks", "--streams", "paretobandit", "--labelled", "20")
    assert len(facts["gains"]["paretobandit"]) == 12
    assert "cost weighs 0.3, from 20 labels: 1 orders" in " ".join(shown.split())
    assert "bars: " in shown
