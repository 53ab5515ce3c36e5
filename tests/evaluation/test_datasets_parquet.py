"""Parquet files with one row per query and model: what is read, what is refused and how it is named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import load_parquet
from tests.evaluation.tables import ROWS, parquet_of

WriteRows = Callable[..., Path]


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    return partial(parquet_of, tmp_path)


def test_a_parquet_file_is_read(write_rows: WriteRows) -> None:
    data = load_parquet(write_rows())
    assert data.name == "data"
    assert data.queries == ("one", "two")
    assert data.models == ("a", "b")
    assert data.quality.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert data.cost_usd.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@given(order=st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    rows = [
        (f"q{i}", f"text {i}", model, i / 10 + k / 100, float(i + k))
        for i in range(3)
        for k, model in enumerate("ab")
    ]
    columns = zip(*(rows[i] for i in order), strict=True)
    path = tmp_path_factory.mktemp("rows") / "data.parquet"
    parquet.write_table(pa.table(dict(zip(ROWS, map(list, columns), strict=True))), path)
    data = load_parquet(path)
    assert data.models == ("a", "b")
    outcomes = dict(zip(data.queries, data.quality.tolist(), strict=True))
    assert outcomes == {f"text {i}": [i / 10, i / 10 + 0.01] for i in range(3)}


def test_other_columns_are_ignored(write_rows: WriteRows) -> None:
    assert load_parquet(write_rows(judge=["x"] * 4)).queries == ("one", "two")


def test_whole_numbers_are_numbers(write_rows: WriteRows) -> None:
    assert load_parquet(write_rows(quality=[0, 1, 1, 0])).quality.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("column", ROWS)
def test_a_missing_column_is_named(write_rows: WriteRows, column: str) -> None:
    with pytest.raises(ConfigError, match=column):
        load_parquet(write_rows(**{column: None}))


@pytest.mark.parametrize("column", ["quality", "cost_usd"])
@pytest.mark.parametrize("hole", [None, float("nan"), float("inf")])
def test_a_missing_outcome_is_named(write_rows: WriteRows, column: str, hole: float | None) -> None:
    values = [*ROWS[column][:3], hole]
    with pytest.raises(ConfigError, match="query 'q2' has no result for 'b'"):
        load_parquet(write_rows(**{column: values}))


def test_a_missing_row_is_named(write_rows: WriteRows) -> None:
    path = write_rows(**{name: column[:3] for name, column in ROWS.items()})
    with pytest.raises(ConfigError, match="query 'q2' has no result for 'b'"):
        load_parquet(path)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("quality", [0.1, 0.2, 0.3, 1.4], "quality"),
        ("quality", [0.1, 0.2, 0.3, -0.4], "quality"),
        ("cost_usd", [1.0, 2.0, 3.0, -4.0], "cost_usd"),
    ],
)
def test_an_outcome_out_of_range_is_refused(
    write_rows: WriteRows, column: str, values: list[float], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"row 4: {says} is"):
        load_parquet(write_rows(**{column: values}))


@pytest.mark.parametrize("content", [b"", b"query_id,text\n1,a\n", b"PAR1 but not really PAR1"])
def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"data\.parquet: cannot be read as Parquet"):
        load_parquet(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.parquet"):
        load_parquet(tmp_path / "none.parquet")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ["a", None, "a", None]},
        {"text": ["one", "one", None, None]},
        {"text": [1, 1, 2, 2]},
        {"text": ["one", "another", "two", "two"]},
        {"query_id": ["q1", "q1", None, None]},
        {"quality": ["good", "good", "bad", "bad"]},
        {name: [*column, column[-1]] for name, column in ROWS.items()}
        | {"quality": [0.1, 0.2, 0.3, 0.4, 0.9]},
        {name: [] for name in ROWS},
    ],
    ids=[
        "null model",
        "null text",
        "number as text",
        "two texts",
        "null id",
        "text as number",
        "double",
        "empty",
    ],
)
def test_data_that_cannot_be_meant_is_refused(write_rows: WriteRows, wrong: dict[str, list[Any]]) -> None:
    with pytest.raises(ConfigError, match=r"data\.parquet"):
        load_parquet(write_rows(**wrong))


@pytest.mark.parametrize("wrong", ["0.5.1", "1_0", "-0.1", "inf", "true "])
def test_text_that_is_no_number_in_bounds_is_refused(write_rows: WriteRows, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"row 2: cost_usd is .* allowed is a finite number of at least 0"):
        load_parquet(write_rows(cost_usd=["1", wrong, "3", "4"]))


# -- choosing models and optional columns ---------------------------------------------------------


def test_models_are_chosen_in_order_and_rows_of_others_do_not_matter(write_rows: WriteRows) -> None:
    path = write_rows(model=["a", "c", "a", "b"], cost_usd=[1.0, -9.0, 3.0, 4.0])
    assert load_parquet(path, models=["a"]).cost_usd.tolist() == [[1.0], [3.0]]
    assert load_parquet(write_rows(), models=["b", "a"]).cost_usd.tolist() == [[2.0, 1.0], [4.0, 3.0]]


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["a", "c"], "has no model 'c', allowed are a, b"),
        ([], "name at least one model, and each once, from a, b"),
        (["a", "a"], "name at least one model, and each once, from a, b"),
    ],
)
def test_models_that_cannot_be_chosen_are_named(write_rows: WriteRows, models: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_parquet(write_rows(), models=models)


def test_optional_columns_are_filled_and_gaps_are_not_known(write_rows: WriteRows) -> None:
    data = load_parquet(
        write_rows(
            task=["t", "t", None, "u"],
            input_tokens=[10, 20, None, None],
            output_tokens=[1, 2, None, 4],
            latency_s=[0.5, None, None, 1.5],
            response_confidence=[0.1, 0.2, None, 1.0],
        )
    )
    nan = np.nan
    assert data.tasks == ("t", "u")
    np.testing.assert_array_equal(data.input_tokens, [15.0, nan])
    np.testing.assert_array_equal(data.output_tokens, [[1, 2], [nan, 4]])
    np.testing.assert_array_equal(data.latency_s, [[0.5, nan], [nan, 1.5]])
    np.testing.assert_array_equal(data.confidence, [[0.1, 0.2], [nan, 1.0]])


def test_an_optional_column_without_values_is_nothing_known(write_rows: WriteRows) -> None:
    data = load_parquet(write_rows(latency_s=[None] * 4, task=[None] * 4, input_tokens=[None] * 4))
    assert (data.latency_s, data.tasks, data.input_tokens, data.confidence) == (None,) * 4


def test_numbers_as_ids_are_ids(write_rows: WriteRows) -> None:
    assert load_parquet(write_rows(query_id=[1, 1, 2, 2])).queries == ("one", "two")


def test_without_pyarrow_the_extra_is_named(write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_rows()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'bandit-router\[evaluation\]'"):
        load_parquet(path)
