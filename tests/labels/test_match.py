"""An answer is compared with references as words, whatever their form."""

from __future__ import annotations

import pytest

from bandit_router.labels.match import Match, grade_answer


@pytest.mark.parametrize(
    ("answer", "reference", "contains", "exact"),
    [
        ("Paris", "paris", 1.0, 1.0),
        ("It is Paris.", "Paris", 1.0, 0.0),
        ("The answer is New York City", "new york", 1.0, 0.0),
        ("York is new", "New York", 0.0, 0.0),
        ("Parisian", "Paris", 0.0, 0.0),
        ("It is 1,234.5 km", "1234.5", 1.0, 0.0),
        ("1234", "234", 0.0, 0.0),
        ("3.14", "3", 0.0, 0.0),
        ("−5", "-5", 1.0, 1.0),
        ("-5", "5", 0.0, 0.0),
        ("pages 3-5", "5", 1.0, 0.0),
        ("ﬁne", "FINE", 1.0, 1.0),
        ("", "Paris", 0.0, 0.0),
        ("anything", "!", 0.0, 0.0),
    ],
)
def test_an_answer_is_right_as_documented(answer: str, reference: str, contains: float, exact: float) -> None:
    assert grade_answer(answer, [reference], Match.CONTAINS) == contains
    assert grade_answer(answer, [reference], Match.EXACT) == exact


def test_any_of_several_references_will_do() -> None:
    assert grade_answer("the UK", ["United Kingdom", "UK"], Match.CONTAINS) == 1.0
