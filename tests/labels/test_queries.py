"""Queries to label are read with their references; what cannot be used is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandit_router.errors import ConfigError
from bandit_router.labels.queries import LabelQuery, load_label_queries, pick_queries


def test_references_are_texts_numbers_or_lists(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"query": "2 + 2?", "reference": 4, "task": "sums"}\n'
        '{"query": "Where is London?", "reference": ["UK", "England"]}\n'
        '{"query": "2 + 2?", "reference": "4"}\n'
    )
    assert load_label_queries(path, "reference") == [
        LabelQuery(text="2 + 2?", references=("4",), task="sums"),
        LabelQuery(text="Where is London?", references=("UK", "England")),
    ]


def test_the_column_may_have_another_name_and_messages_are_read(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text('messages,gold\n"[{""role"": ""user"", ""content"": ""Hi""}]",Hello\n')
    [query] = load_label_queries(path, "gold")
    assert (query.text, query.references) == ("Hi", ("Hello",))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("query\na\n", "no column 'reference'"),
        ("query,reference\na,\n", "line 2: reference is empty"),
        ("query,reference\n,b\n", "line 2: query is missing"),
        ("query,reference\na,b\na,c\n", "line 3: reference is 'c', and another"),
        ("query,reference\n", "has no query"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load_label_queries(path, "reference")


def test_a_pick_is_the_same_whatever_the_order_and_part_of_a_larger_one() -> None:
    queries = [LabelQuery(text=f"query {i:03}", references=("a",)) for i in range(1000)]
    picked = pick_queries(queries, 100)
    assert pick_queries(queries[::-1], 200)[:100] == picked
    assert len(pick_queries(queries, 2000)) == 1000
    numbers = [int(query.text[-3:]) for query in picked]
    assert 400 < sum(numbers) / 100 < 600, "by chance: the mean has a standard deviation of 29"
