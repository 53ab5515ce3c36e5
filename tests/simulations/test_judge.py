"""What the figures about judges are made of, on a world small enough to know."""

from __future__ import annotations

import numpy as np

from bandit_router.evaluation.simulation.simulate import Plan
from simulations.judge import Case, draw_verdicts, hear, judge_grid, list_cases, play_case
from tests.simulations.worlds import an_easy_stream


def test_a_judge_agrees_as_often_as_it_should() -> None:
    rng = np.random.default_rng(1)
    quality = rng.random((4_000, 2))
    for agreement in (0.6, 0.95, 1.0):
        agrees = draw_verdicts(quality, agreement, rng) == (quality >= 0.5)
        assert abs(agrees.mean() - agreement) < 0.02


def test_people_count_where_both_speak() -> None:
    stream = an_easy_stream(2_000)
    heard, rated = hear(stream, Case(0.3, 0.5, 0.0), np.random.default_rng(2))
    of_people = (heard.quality == stream.quality).all(axis=1)
    assert abs(of_people.mean() - 0.3) < 0.05
    assert abs(rated.mean() - 0.65) < 0.05
    wrong = (stream.quality < 0.5).astype(float)
    np.testing.assert_array_equal(heard.quality[~of_people], wrong[~of_people])


def test_a_judge_that_is_always_wrong_costs_more_than_one_that_is_right() -> None:
    plan = Plan(stream=an_easy_stream(400), cost_weight=0.0, seeds=1)
    right, wrong = (play_case(plan, Case(0.0, 1.0, agreement), 0) for agreement in (1.0, 0.0))
    assert right < wrong - 0.1


def test_every_judge_is_played_alone_and_beside_people() -> None:
    cases = list_cases(0.05, 0.2, (0.6,))
    assert [case.name for case in cases] == [
        "people 5%",
        "judge 20%, agrees 60%",
        "people 5% + judge 20%, agrees 60%",
    ]
    losses = {name: {case: np.array([0.1, 0.3]) for case in cases} for name in ("one", "two")}
    grid = judge_grid(losses, "title")
    assert grid.headings == ("", "one", "two", "mean")
    assert grid.rows[1].cells == (cases[1].name, "0.2000 ± 0.1000", "0.2000 ± 0.1000", "0.2000")
