"""Full-information data: what is accepted, what is refused, and the data the demo comes with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.datasets import Dataset, load_paretobandit, load_parquet

ROWS: dict[str, list[Any]] = {
    "query_id": ["q1", "q1", "q2", "q2"],
    "text": ["one", "one", "two", "two"],
    "model": ["a", "b", "a", "b"],
    "quality": [0.1, 0.2, 0.3, 0.4],
    "cost_usd": [1.0, 2.0, 3.0, 4.0],
}

WriteRows = Callable[..., Path]


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    """Writes ROWS, with some columns changed or (None) left out, to a Parquet file."""

    def write(**changes: list[Any] | None) -> Path:
        path = tmp_path / "data.parquet"
        columns = {name: column for name, column in (ROWS | changes).items() if column is not None}
        parquet.write_table(pa.table(columns), path)
        return path

    return write


def a_dataset(**changes: Any) -> Dataset:
    usual: dict[str, Any] = {
        "name": "tiny",
        "queries": ("one", "two", "three"),
        "models": ("a", "b"),
        "quality": np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
        "cost_usd": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    }
    return Dataset(**(usual | changes))


# -- Dataset --------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["quality", "cost_usd"])
@pytest.mark.parametrize(
    "wrong",
    [
        np.full((3, 2), np.nan),
        np.full((3, 2), np.inf),
        np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]]),
        np.zeros((2, 3)),
        np.zeros((2, 2)),
        np.zeros(6),
    ],
)
def test_a_matrix_with_gaps_or_negative_numbers_is_refused(field: str, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        a_dataset(**{field: wrong})
    assert caught.value.field == field


def test_quality_is_at_most_one() -> None:
    a_dataset(quality=np.ones((3, 2)))
    with pytest.raises(InvalidInput, match="exceeds 1"):
        a_dataset(quality=np.full((3, 2), 1.0 + 1e-9))


@given(st.lists(st.integers(0, 2), max_size=8))
def test_taking_rows_takes_each_query_with_its_outcomes(rows: list[int]) -> None:
    whole = a_dataset()
    taken = whole.take(np.array(rows, dtype=np.int64))
    assert taken.models == whole.models
    assert taken.queries == tuple(whole.queries[i] for i in rows)
    for k, i in enumerate(rows):
        assert taken.quality[k].tolist() == whole.quality[i].tolist()
        assert taken.cost_usd[k].tolist() == whole.cost_usd[i].tolist()


# -- the demo's data ------------------------------------------------------------------------------


def test_the_demo_has_thousands_of_judged_queries_of_three_models() -> None:
    data = load_paretobandit()
    assert len(data.queries) == len(data.quality) > 3000
    assert len(data.models) == len(set(data.models)) == 3
    assert all(query.strip() for query in data.queries)


def test_on_the_demo_s_data_models_differ_in_quality_and_in_price() -> None:
    data = load_paretobandit()
    assert np.ptp(data.quality.mean(axis=0)) > 0.01
    assert data.cost_usd.mean(axis=0).max() > 3.0 * data.cost_usd.mean(axis=0).min()
    best = data.quality.argmax(axis=1)
    assert min(np.bincount(best, minlength=3)) > 0.01 * len(best)  # so that there is something to learn


# -- Parquet --------------------------------------------------------------------------------------


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
    with pytest.raises(InvalidInput, match=says):
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
