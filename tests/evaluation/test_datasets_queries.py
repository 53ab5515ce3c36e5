"""Queries without outcomes, from whatever file they are in."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import load_queries
from bandit_router.types import Query


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def texts(path: Path) -> list[str]:
    return [query.text for query in load_queries(path)]


@pytest.mark.parametrize("name", ["queries.txt", "queries", "queries.log"])
def test_any_other_file_has_one_query_a_line(tmp_path: Path, name: str) -> None:
    assert texts(write(tmp_path / name, "one\n\n  \ntwo, three\r\n{}")) == ["one", "two, three", "{}"]


def test_a_table_has_a_column_of_them(tmp_path: Path) -> None:
    assert texts(write(tmp_path / "a.csv", 'id,prompt\n1,"one\ntwo"\n2,three\n')) == ["one\ntwo", "three"]
    pq.write_table(pa.table({"text": ["a", "b"], "prompt": ["x", "y"]}), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == ["a", "b"]


def test_messages_and_tiers_are_read(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "And?"}]
    rows = [{"query": "one", "user_tier": "premium"}, {"query": messages}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert load_queries(path) == [
        Query(text="one", user_tier="premium", prompt_chars=3),
        Query(text="And?", turn=2, prompt_chars=6),
    ]


def test_the_results_of_models_have_each_query_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,model\none,a\none,b\ntwo,b\ntwo,a\n")
    assert texts(path) == ["one", "two"]
    assert texts(write(tmp_path / "b.csv", "text,other\none,a\none,b\n")) == ["one", "one"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "", "has no query; write one a line"),
        ("a.csv", "id,question\n1,one\n", "has no column of queries; call it one of query, messages, text"),
        ("a.jsonl", '{"query": "one"}\n{"query": 5}\n', "line 2: messages: is not a list"),
        ("a.jsonl", '{"query": "one"}\n{"query": ""}\n', "line 2: query: is empty"),
        ("a.jsonl", '{"query": "one"}\n{"query": [{"role": "system"}]}\n', "line 2: messages: has no user"),
        ("a.jsonl", '{"query": "one"}\nnonsense\n', "line 2: cannot be read as a JSON object"),
        ("a.jsonl", '{"query": "one", "user_tier": 5}\n', "line 1: user_tier: is int"),
        ("a.csv", "text,id\none\n", "line 2: the row has 1 fields"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ConfigError) as caught:
        load_queries(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nope: cannot be read"):
        load_queries(tmp_path / "nope")
    (tmp_path / "a.txt").write_bytes(b"ok\ncaf\xe9\n")
    with pytest.raises(ConfigError, match=r"a\.txt: line 2 is not UTF-8"):
        load_queries(tmp_path / "a.txt")
