"""Comparisons of stored answers: both orders, never the judge's own, and what the verdicts say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.gateway.judge.comparisons import (
    AnsweredQuery,
    Verdict,
    load_answered_queries,
    plan_tasks,
    score_arms,
)
from bandit_router.gateway.judge.prompt import JudgeQuestion, read_judge_prompt

PAIRWISE, REFERENCE = read_judge_prompt(JudgeQuestion.PAIRWISE), read_judge_prompt(JudgeQuestion.REFERENCE)
ARMS = ("a", "b", "c")

grades = st.lists(st.tuples(*[st.integers(0, 3)] * len(ARMS)), min_size=1, max_size=12)


def make_queries(table: list[tuple[int, ...]]) -> list[AnsweredQuery]:
    """The answer of each arm is its grade in words, so that a judge of this test can read it."""
    return [
        AnsweredQuery(
            query=f"query {row}",
            answers={arm: f"grade {grade} of {arm}" for arm, grade in zip(ARMS, of_row, strict=True)},
            reference="grade 3",
        )
        for row, of_row in enumerate(table)
    ]


def compare(better: Callable[[int, int], str]) -> Callable[[list[AnsweredQuery]], dict[str, Verdict]]:
    """The verdicts of a judge of two grades."""

    def judge(queries: list[AnsweredQuery]) -> dict[str, Verdict]:
        verdicts: dict[str, Verdict] = {}
        for task in plan_tasks(queries, PAIRWISE, "judge"):
            answers = queries[task.row].answers
            first, second = (int(answers[arm].split()[1]) for arm in task.arms)
            verdicts[task.key] = better(first, second)
        return verdicts

    return judge


@given(grades)
def test_a_good_judge_gives_every_arm_its_wins(table: list[tuple[int, ...]]) -> None:
    queries = make_queries(table)
    judge = compare(lambda first, second: "TIE" if first == second else "A" if first > second else "B")
    board = score_arms(plan_tasks(queries, PAIRWISE, "judge"), judge(queries))
    pairs = [(row, i, j) for row in table for i in range(3) for j in range(3) if i != j]
    assert (board.comparisons, board.abstained) == (len(pairs) / 2, 0)
    for k, arm in enumerate(ARMS):
        points = [0.5 * ((row[i] > row[j]) + (row[i] >= row[j])) for row, i, j in pairs if i == k]
        score = board.arms[arm]
        assert (score.n, score.points, score.squares) == (
            len(points),
            sum(points),
            sum(p * p for p in points),
        )


@given(grades, st.sampled_from("AB"))
def test_a_judge_that_prefers_a_place_decides_nothing(table: list[tuple[int, ...]], place: str) -> None:
    queries = make_queries(table)
    board = score_arms(plan_tasks(queries, PAIRWISE, "judge"), compare(lambda _, __: place)(queries))
    assert board.abstained == board.comparisons == 3 * len(table)
    assert {score.n for score in board.arms.values()} == {0}


def test_half_a_comparison_does_not_count() -> None:
    queries = make_queries([(1, 2, 3)])
    tasks = plan_tasks(queries, PAIRWISE, "judge")
    verdicts = compare(lambda first, second: "A" if first > second else "B")(queries)
    del verdicts[tasks[0].key]
    assert score_arms(tasks, verdicts).comparisons == 2


@pytest.mark.parametrize("prompt", [PAIRWISE, REFERENCE])
def test_the_judges_own_answers_are_left_out_and_no_prompt_names_an_arm(prompt: object) -> None:
    queries = [AnsweredQuery(query="q", answers={"small": "1", "large": "2", "judge": "3"}, reference="2")]
    tasks = plan_tasks(queries, prompt, "judge")  # type: ignore[arg-type]
    assert len(tasks) == 2
    assert {arm for task in tasks for arm in task.arms} == {"small", "large"}
    assert not any(name in task.prompt for task in tasks for name in ("small", "large"))
    assert len({task.key for task in tasks}) == 2


def test_an_answer_is_scored_against_the_reference() -> None:
    queries = make_queries([(1, 2, 3), (0, 0, 0)])
    tasks = plan_tasks(queries, REFERENCE, "judge")
    verdicts: dict[str, Verdict] = {task.key: 0.1 * i for i, task in enumerate(tasks) if i != 4}
    verdicts[tasks[4].key] = None
    board = score_arms(tasks, verdicts)
    assert {arm: (score.n, score.abstained) for arm, score in board.arms.items()} == {
        "a": (2, 0),
        "b": (1, 1),
        "c": (2, 0),
    }
    assert board.arms["c"].points == pytest.approx(0.2 + 0.5)


def test_a_query_without_a_reference_is_not_compared_with_one() -> None:
    query = AnsweredQuery(query="q", answers={"a": "1", "b": "2"})
    assert plan_tasks([query], REFERENCE, "judge") == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[]", "line 2: is not a JSON object"),
        ("{", "line 2: is not a JSON object"),
        ('{"answers": {}}', "line 2: query is no text"),
        ('{"query": "q", "answers": {"a": 1}}', "line 2: answers is no object of texts"),
        ('{"query": "q", "answers": {}, "reference": 4}', "line 2: reference is no text"),
    ],
)
def test_a_bad_line_is_named(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"query": "q", "answers": {"a": "1"}}\n' + line)
    with pytest.raises(ConfigError, match=told):
        load_answered_queries(path)
