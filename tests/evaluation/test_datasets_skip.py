"""Bad rows: each is named, and if asked its query is left out whole, never filled in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import load_parquet
from tests.evaluation.tables import ROWS, parquet_of


def test_a_bad_row_is_named_with_its_column_value_and_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_parquet(parquet_of(tmp_path, quality=[0.1, 7.0, 0.3, 0.4]))
    assert str(caught.value).split("data.parquet: ")[1] == (
        "row 2: quality is 7.0, allowed is a finite number from 0 to 1, or true or false; query 'q1' has "
        "no result for 'b'; correct them, or leave those queries out with skip_bad (--skip-bad)"
    )


def test_the_first_few_bad_rows_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    rows = 8
    path = parquet_of(
        tmp_path,
        query_id=[f"q{i}" for i in range(rows)],
        text=["a text"] * rows,
        model=["a"] * rows,
        quality=[2.0] * rows,
        cost_usd=[0.0] * rows,
    )
    with pytest.raises(ConfigError) as caught:
        load_parquet(path)
    told = str(caught.value)
    assert "8 problems; correct them, or leave those queries out with skip_bad (--skip-bad)\n" in told
    assert told.endswith("\n  and 3 more")
    assert [f"row {i}: quality is 2.0" in told for i in range(1, 9)] == [True] * 5 + [False] * 3


# -- leaving queries out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"quality": [0.1, 0.2, 0.3, 1.4]}, "row 4: quality is 1.4"),
        ({"cost_usd": [1.0, 2.0, None, 4.0]}, "row 3: cost_usd is missing"),
        ({"text": ["one", "one", "two", None]}, "row 4: text is missing"),
        ({"text": ["one", "one", "two", "2"]}, "row 4: query 'q2' has another text than at row 3"),
        ({"text": ["one", "one", "t\0", "t\0"]}, "row 3: text: contains a NUL character"),
        ({"model": ["a", "b", "a", None]}, "row 4: model is missing"),
        ({"query_id": ["q1", "q1", "q2", None]}, "row 4: query_id is missing"),
        ({"model": ["a", "b", "a", "a"]}, "query 'q2' has 2 results (rows 3, 4) for 'a'"),
        ({"task": ["t", "t", "t", "u"]}, "row 4: query 'q2' has another task than at row 3"),
        ({"latency_s": [1.0, None, -1.0, 1.0]}, "row 3: latency_s is -1.0"),
        ({"response_confidence": [1.0, None, 0.0, 1.1]}, "row 4: response_confidence is 1.1"),
        ({"input_tokens": [1, 1, 2, -2]}, "row 4: input_tokens is -2"),
    ],
)
def test_a_query_with_a_bad_row_is_left_out_whole_if_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: dict[str, list[Any]], says: str
) -> None:
    path = parquet_of(tmp_path, **wrong)
    with pytest.raises(ConfigError) as caught:
        load_parquet(path)
    assert says in str(caught.value)
    with caplog.at_level(logging.WARNING):
        data = load_parquet(path, skip_bad=True)
    assert data.queries == ("one",)
    assert data.quality.tolist() == [[0.1, 0.2]]
    assert data.cost_usd.tolist() == [[1.0, 2.0]]
    assert f"{path}: left out 1 of 2 queries" in caplog.text
    assert says in caplog.text


def test_nothing_is_logged_when_nothing_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(load_parquet(parquet_of(tmp_path), skip_bad=True).queries) == 2
    assert not caplog.records


def test_leaving_every_query_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no query is left without a problem"):
        load_parquet(parquet_of(tmp_path, quality=[2.0] * 4), skip_bad=True)


@given(bad=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=9))
def test_exactly_the_queries_with_a_bad_row_are_left_out(
    tmp_path_factory: pytest.TempPathFactory, bad: set[tuple[int, int]]
) -> None:
    bad = {(i, j) for i, j in bad if i != 0}  # one query is left
    columns: dict[str, list[Any]] = {name: [] for name in ROWS}
    for i in range(5):
        for j, model in enumerate("ab"):
            quality = None if (i, j) in bad else 0.5
            for name, value in zip(ROWS, (f"q{i}", f"text {i}", model, quality, i + j), strict=True):
                columns[name].append(value)
    path = parquet_of(tmp_path_factory.mktemp("rows"), **columns)
    kept = [i for i in range(5) if i not in {i for i, _ in bad}]
    data = load_parquet(path, skip_bad=True)
    assert data.queries == tuple(f"text {i}" for i in kept)
    assert data.cost_usd.tolist() == [[i, i + 1] for i in kept]
