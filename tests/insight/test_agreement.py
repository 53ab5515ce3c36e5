"""Agreement and κ against scikit-learn, the delta method and simulated coverage; planted biased judges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from bandit_router.insight.agreement import RatedAnswer, estimate_kappa, measure_agreement, measure_by_arm
from bandit_router.insight.intervals import estimate_share
from bandit_router.types import FloatArray

tables = st.lists(st.integers(1, 40), min_size=4, max_size=4).map(
    lambda counts: np.array(counts, np.float64).reshape(2, 2)
)


def list_ratings(table: FloatArray) -> tuple[list[int], list[int]]:
    cells = [(i, j) for i in range(2) for j in range(2) for _ in range(int(table[i, j]))]
    return [i for i, _ in cells], [j for _, j in cells]


def compute_kappa(p: FloatArray) -> float:
    by_chance = float(p.sum(axis=1) @ p.sum(axis=0))
    return (float(np.trace(p)) - by_chance) / (1.0 - by_chance)


def find_delta_variance(table: FloatArray) -> float:
    """The variance of κ by the delta method, with a numeric gradient and the multinomial covariance."""
    n = float(table.sum())
    p = (table / n).ravel()
    step = 1e-6
    gradient = np.array(
        [
            (compute_kappa((p + e).reshape(2, 2)) - compute_kappa((p - e).reshape(2, 2))) / (2 * step)
            for e in np.eye(4) * step
        ]
    )
    covariance = (np.diag(p) - np.outer(p, p)) / n
    return float(gradient @ covariance @ gradient)


@given(tables)
def test_kappa_is_that_of_scikit_learn(table: FloatArray) -> None:
    assert estimate_kappa(table).value == pytest.approx(cohen_kappa_score(*list_ratings(table)), abs=1e-12)


@given(tables)
def test_its_interval_is_that_of_the_delta_method(table: FloatArray) -> None:
    made = estimate_kappa(table)
    assert made.value is not None
    assert made.low is not None
    assert made.high is not None
    half = 1.959963984540054 * np.sqrt(find_delta_variance(table))
    assert made.low == pytest.approx(max(-1.0, made.value - half), abs=1e-6)
    assert made.high == pytest.approx(min(1.0, made.value + half), abs=1e-6)


@given(tables)
def test_it_is_the_same_whoever_is_down_and_whichever_way_good_is(table: FloatArray) -> None:
    assert estimate_kappa(table.T) == pytest.approx(estimate_kappa(table))
    assert estimate_kappa(table[::-1, ::-1]) == pytest.approx(estimate_kappa(table))


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([[0.25, 0.15], [0.1, 0.5]])
    drawn = rng.multinomial(300, truth.ravel(), size=2_000).astype(np.float64).reshape(-1, 2, 2)
    made = [estimate_kappa(table) for table in drawn]
    covered = np.mean([m.low <= compute_kappa(truth) <= m.high for m in made])  # type: ignore[operator]
    assert 0.935 < covered < 0.965


@pytest.mark.parametrize("table", [np.zeros((2, 2)), np.diag([5.0, 0.0]), np.diag([0.0, 5.0])])
def test_there_is_no_kappa_where_all_is_one_thing(table: FloatArray) -> None:
    made = estimate_kappa(table)
    assert (made.n, made.value, made.low) == (int(table.sum()), None, None)


def test_graded_values_are_good_from_the_threshold_on() -> None:
    answers = [RatedAnswer("a", *values) for values in ((0.7, 0.7), (0.69, 0.7), (0.0, 1.0), (1.0, 0.9))]
    made = measure_agreement(answers, threshold=0.7)
    assert made.agreement == estimate_share(2, 4)
    assert made.bias.value == pytest.approx(np.mean([0.0, 0.01, 1.0, -0.1]))


Judge = Callable[[np.random.Generator, str, float, int], float]
"""A judge: of an arm's answer, its true value and its length, the value it gives."""

JUDGES: dict[str, Judge] = {
    "honest at 80%": lambda rng, _, good, __: good if rng.random() < 0.8 else 1.0 - good,
    "prefers long answers": lambda _, __, ___, length: float(length > 300),
    "prefers one arm": lambda _, arm, __, ___: float(arm == "talker"),
    "random": lambda rng, _, __, ___: float(rng.random() < 0.5),
}


def play(judge: Judge) -> list[RatedAnswer]:
    """1,500 answers: the talker's are long and good half the time, the expert's short and mostly good."""
    rng = np.random.default_rng(3)
    answers = []
    for _ in range(1_500):
        arm = str(rng.choice(["talker", "expert"]))
        human = float(rng.random() < {"talker": 0.5, "expert": 0.8}[arm])
        length = int(rng.normal({"talker": 500, "expert": 200}[arm], 100))
        answers.append(RatedAnswer(arm, human, judge(rng, arm, human, length)))
    return answers


def test_an_honest_judge_is_told_from_planted_biased_ones() -> None:
    made = {name: measure_agreement(play(judge)) for name, judge in JUDGES.items()}
    assert made["honest at 80%"].kappa.low > 0.5  # type: ignore[operator]
    for name in JUDGES.keys() - {"honest at 80%"}:
        assert made[name].kappa.high < 0.1, name  # type: ignore[operator]
        assert made[name].agreement.high < 0.55, name  # type: ignore[operator]


@pytest.mark.parametrize("name", ["prefers long answers", "prefers one arm"])
def test_a_judge_that_prefers_is_biased_towards_one_arm(name: str) -> None:
    by_arm = measure_by_arm(play(JUDGES[name]))
    assert by_arm["talker"].bias.low > 0.3  # type: ignore[operator]
    assert by_arm["expert"].bias.high < -0.3  # type: ignore[operator]


def test_an_honest_and_a_random_judge_prefer_no_arm_beyond_what_errors_do() -> None:
    by_arm = measure_by_arm(play(JUDGES["honest at 80%"]))
    assert abs(by_arm["talker"].bias.value) < 0.05  # type: ignore[arg-type]
    for estimate in measure_by_arm(play(JUDGES["random"])).values():
        assert abs(estimate.kappa.value) < 0.1  # type: ignore[arg-type]
