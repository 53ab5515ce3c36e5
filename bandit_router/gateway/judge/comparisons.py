"""What to ask a judge of stored answers, and what its verdicts say of each arm. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import orjson

from bandit_router.errors import ConfigError
from bandit_router.gateway.judge.prompt import JudgePrompt, JudgeQuestion
from bandit_router.gateway.judge.verdict import Better, combine_orders, read_better, read_score

Verdict = float | str | None
"""A score in [0, 1], or A, B or TIE; None where the judge gave no verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredQuery:
    """A query with the answers of arms by name, and an answer that is known to be right, if there is one."""

    query: str
    answers: Mapping[str, str]
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """One prompt: of the answers of these arms, in this order, to the query of that row.

    ``key`` identifies everything that the judge gets to read.
    """

    key: str
    row: int
    arms: tuple[str, ...]
    prompt: str


@dataclass(slots=True)
class ArmPoints:
    """What the verdicts say of one arm: the number of its points, in [0, 1] each, their sum and Σ points².

    Of a pair, a better answer has 1 point and a tie ½. ``abstained`` counts what there is no verdict on.
    """

    n: int = 0
    points: float = 0.0
    squares: float = 0.0
    abstained: int = 0

    def add(self, points: float | None) -> None:
        if points is None:
            self.abstained += 1
            return
        self.n += 1
        self.points += points
        self.squares += points**2


@dataclass(slots=True)
class Standings:
    """The scores by arm. ``comparisons`` were asked in full, and ``abstained`` of them decided nothing."""

    arms: dict[str, ArmPoints] = field(default_factory=dict)
    comparisons: int = 0
    abstained: int = 0


def load_answered_queries(path: Path) -> list[AnsweredQuery]:
    """The lines of a file: ``{"query": …, "answers": {"small": …, "large": …}, "reference": …}``.

    Raises ConfigError, which names the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    queries = [_read_line(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if not queries:
        raise ConfigError(f"{path}: has no query; write one line of JSON for each")
    return queries


def plan_tasks(queries: Sequence[AnsweredQuery], prompt: JudgePrompt, judge: str) -> list[JudgeTask]:
    """Every prompt: each pair of answers in both orders, or each answer that has a reference.

    The answers of the judge's own arm are left out.
    """
    return [
        make_task(judge, row, arms, text)
        for row, query in enumerate(queries)
        for arms, text in _iterate_prompts(query, prompt, judge)
    ]


def make_task(judge: str, row: int, arms: tuple[str, ...], prompt: str) -> JudgeTask:
    """The task of a prompt, which its text and the judge identify."""
    return JudgeTask(hashlib.sha256(f"{judge}\0{prompt}".encode()).hexdigest(), row, arms, prompt)


def read_verdict(question: JudgeQuestion, said: str) -> Verdict:
    """The verdict in the answer of a judge."""
    return read_better(said) if question is JudgeQuestion.PAIRWISE else read_score(said)


def score_arms(tasks: Sequence[JudgeTask], verdicts: Mapping[str, Verdict]) -> Standings:
    """The scores of the arms, from the verdicts so far, by the keys of their tasks.

    A pair counts once both orders were asked. Where they do not say the same, the judge abstains.
    """
    board = Standings()
    by_place = {(task.row, task.arms): task for task in tasks}
    for (row, arms), task in by_place.items():
        if len(arms) == 1:
            if task.key in verdicts:
                _add(board, {arms[0]: _as_score(verdicts[task.key])})
            continue
        swapped = by_place[row, arms[::-1]]
        if arms > arms[::-1] or task.key not in verdicts or swapped.key not in verdicts:
            continue
        better = combine_orders(_as_better(verdicts[task.key]), _as_better(verdicts[swapped.key]))
        _add(board, dict(zip(arms, _POINTS[better], strict=True)))
    return board


_POINTS: Mapping[Better | None, tuple[float | None, float | None]] = {
    Better.A: (1.0, 0.0),
    Better.B: (0.0, 1.0),
    Better.TIE: (0.5, 0.5),
    None: (None, None),
}


def _iterate_prompts(
    query: AnsweredQuery, prompt: JudgePrompt, judge: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    answers = {arm: text for arm, text in query.answers.items() if arm != judge}
    if prompt.question is JudgeQuestion.PAIRWISE:
        for pair in combinations(sorted(answers), 2):
            for a, b in (pair, pair[::-1]):
                yield (a, b), prompt.write(query=query.query, answer_a=answers[a], answer_b=answers[b])
    elif query.reference is not None:
        for arm, answer in sorted(answers.items()):
            yield (arm,), prompt.write(query=query.query, answer=answer, reference=query.reference)


def _add(board: Standings, points: Mapping[str, float | None]) -> None:
    board.comparisons += 1
    board.abstained += None in points.values()
    for arm, value in points.items():
        board.arms.setdefault(arm, ArmPoints()).add(value)


def _as_better(verdict: Verdict) -> Better | None:
    return Better(verdict) if isinstance(verdict, str) else None


def _as_score(verdict: Verdict) -> float | None:
    return verdict if isinstance(verdict, float) else None


def _read_line(path: Path, number: int, line: bytes) -> AnsweredQuery:
    try:
        row: Any = orjson.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ConfigError(f"{path}: line {number}: is not a JSON object; write one a line")
    query, answers, reference = row.get("query"), row.get("answers"), row.get("reference")
    if not isinstance(query, str) or not query.strip():
        raise ConfigError(f"{path}: line {number}: query is no text; write what was asked")
    if not isinstance(answers, dict) or not all(isinstance(text, str) for text in answers.values()):
        raise ConfigError(f"{path}: line {number}: answers is no object of texts by arm")
    if reference is not None and not isinstance(reference, str):
        raise ConfigError(f"{path}: line {number}: reference is no text; leave it out, or write the answer")
    return AnsweredQuery(query=query, answers=answers, reference=reference)
