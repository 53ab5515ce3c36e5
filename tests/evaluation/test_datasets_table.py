"""CSV, JSON Lines and Parquet tables under any column names: lines, gaps, scales and prices."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import Dataset, Price, load_table
from tests.evaluation.tables import COLUMNS, HEADER, LINES, csv_of


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_table(path, **({"columns": COLUMNS} | options))
    return str(caught.value)


def write(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """The same rows in the format of the extension."""
    if path.suffix == ".parquet":
        columns = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        parquet.write_table(pa.table(columns), path)
    elif path.suffix == ".csv":
        text = io.StringIO(newline="")
        csv.writer(text).writerows([names, *rows])
        path.write_bytes(text.getvalue().encode())
    else:
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        path.write_bytes("\n".join(lines).encode())
    return path


# -- what is read ---------------------------------------------------------------------------------


def test_columns_are_read_under_the_file_s_names(tmp_path: Path) -> None:
    data = load_table(csv_of(tmp_path, *LINES), columns=COLUMNS)
    assert (data.name, data.queries, data.models) == ("data", ("one", "two"), ("a", "b"))
    assert data.quality.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert data.cost_usd.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_columns_with_our_names_need_no_mapping(tmp_path: Path) -> None:
    header = "query_id,text,model,quality,cost_usd,response_confidence"
    data = load_table(csv_of(tmp_path, "1,one,a,True,1,0.5", "2,two,a,false,0,", header=header))
    assert data.quality.tolist() == [[1.0], [0.0]]
    np.testing.assert_array_equal(data.confidence, [[0.5], [np.nan]])


def test_without_ids_the_text_tells_queries_apart(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "one,a,0.1,1", "two,a,0.2,2", "one,b,0.3,3", "two,b,0.4,4", header=HEADER[3:])
    columns = {ours: theirs for ours, theirs in COLUMNS.items() if ours != "query_id"}
    assert load_table(path, columns=columns).quality.tolist() == [[0.1, 0.3], [0.2, 0.4]]


def test_with_ids_two_queries_may_share_a_text(tmp_path: Path) -> None:
    data = load_table(csv_of(tmp_path, "1,same,a,0.1,1", "2,same,a,0.2,2"), columns=COLUMNS)
    assert data.queries == ("same", "same")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NAMES = TEXTS.filter(lambda text: text == text.strip())  # outer spaces of names are not read
NUMBERS = st.floats(0, 1, allow_subnormal=False)


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], dict[tuple[str, str], tuple[float, float]]]:
    """Texts by query id, and the outcomes of every query and model."""
    texts = draw(st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4))
    models = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    outcomes = {(q, m): draw(st.tuples(NUMBERS, NUMBERS)) for q in texts for m in models}
    return texts, outcomes


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@given(table=tables(), data=st.data())
def test_rows_come_back_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, table: Any, data: st.DataObject
) -> None:
    texts, outcomes = table
    cells = data.draw(st.permutations(list(outcomes)))
    rows = [(q, texts[q], m, *outcomes[q, m]) for q, m in cells]
    path = write(tmp_path_factory.mktemp("rows") / f"data.{suffix}", HEADER.split(","), rows)
    read = load_table(path, columns=COLUMNS)
    queries = list(dict.fromkeys(q for q, _ in cells))
    assert read.queries == tuple(texts[q] for q in queries)
    assert read.models == tuple(sorted({m for _, m in cells}))
    assert read.quality.tolist() == [[outcomes[q, m][0] for m in read.models] for q in queries]
    assert read.cost_usd.tolist() == [[outcomes[q, m][1] for m in read.models] for q in queries]


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, *LINES]).encode())
    assert load_table(path, columns=COLUMNS).queries == ("one", "two")


def test_a_text_may_be_longer_than_the_csv_module_s_limit(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    text = "x" * (limit + 1)
    assert load_table(csv_of(tmp_path, f"1,{text},a,1,1"), columns=COLUMNS).queries == (text,)
    assert csv.field_size_limit() == limit


def test_unicode_line_separators_do_not_end_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    row = dict(zip(HEADER.split(","), [1, "a\u2028b\x85c", "a", 1, 1], strict=True))
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert load_table(path, columns=COLUMNS).queries == ("a\u2028b\x85c",)


def test_a_key_that_only_later_lines_have_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    rows: list[dict[str, Any]] = [
        {"text": t, "model": "a", "quality": True, "cost_usd": 0} for t in ("one", "two")
    ]
    rows[1]["latency_s"] = 2.5
    path.write_text("\n\n".join(map(json.dumps, rows)))
    np.testing.assert_array_equal(load_table(path).latency_s, [[np.nan], [2.5]])


# -- scale ----------------------------------------------------------------------------------------


def test_the_scale_is_made_zero_to_one(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "1,one,a,1,1", "2,two,a,5.5,2", "3,three,a,10,3")
    data = load_table(path, columns=COLUMNS, scale=(1, 10))
    assert data.quality.ravel().tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("wrong", ["0.5", "10.5", "true"])
def test_what_is_off_the_scale_is_named(tmp_path: Path, wrong: str) -> None:
    told = refused(csv_of(tmp_path, f"1,one,a,{wrong},1"), scale=(1, 10))
    assert f"line 2: score is '{wrong}', allowed is a finite number from 1 to 10;" in told


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_a_scale_that_is_no_range_is_refused(tmp_path: Path, scale: tuple[float, float]) -> None:
    assert "is no range" in refused(csv_of(tmp_path, *LINES), scale=scale)


# -- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"score": "score"},
            "no column is called 'score' here, allowed are query_id, text, model, task, qua",
        ),
        ({"quality": "grade"}, "has no column grade to be the quality; it has id, prompt, llm, score, usd"),
        ({"latency_s": "ms"}, "has no column ms to be the latency_s"),
        ({}, "has no column text, model, quality, cost_usd; it has id, prompt, llm, score, usd; say with"),
        (COLUMNS | {"text": "text"}, "has no column text to be the text"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path: Path, columns: Mapping[str, str], says: str) -> None:
    assert says in refused(csv_of(tmp_path, *LINES), columns=columns)


def test_a_column_name_twice_is_refused(tmp_path: Path) -> None:
    assert "two columns are called 'usd'" in refused(csv_of(tmp_path, header=HEADER + ",usd"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("data.csv", HEADER, "has no rows"),
        ("data.csv", "", "is empty; its first line should name the columns"),
        ("data.jsonl", "", "it has none"),
        ("data.txt", "", "unknown extension '.txt', allowed are .csv, .jsonl, .ndjson, .parquet, .pq"),
        ("data.pkl", "", "reading a pickle runs the code in it"),
    ],
)
def test_a_file_of_nothing_or_of_another_kind_is_refused(
    tmp_path: Path, name: str, content: str, says: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert says in refused(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "none.csv: cannot be read: No such file or directory" in refused(tmp_path / "none.csv")


# -- prices ---------------------------------------------------------------------------------------

PRICES = {
    "a": Price(usd_per_1m_input=2.0, usd_per_1m_output=4.0, output_tokens=10),
    "b": Price(usd_per_call=3),
}


def unpriced(path: Path, prices: Mapping[str, Price] | None) -> Dataset:
    return load_table(path, prices=prices)


def test_prices_stand_in_for_costs(tmp_path: Path) -> None:
    header = "text,model,quality,input_tokens,output_tokens"
    lines = ["12345,a,1,100,50", "12345,b,1,100,50", "other,a,1,,", "other,b,1,,"]
    data = unpriced(csv_of(tmp_path, *lines, header=header), PRICES)
    recorded = (2 * 100 + 4 * 50) / 1e6
    estimated = (2 * 2 + 4 * 10) / 1e6  # five characters are two tokens
    np.testing.assert_allclose(data.cost_usd, [[recorded, 3.0], [estimated, 3.0]], rtol=1e-12)


@pytest.mark.parametrize(
    ("header", "prices", "says"),
    [
        (
            "text,model,quality",
            None,
            r"has no column cost_usd; .* columns \(--columns\) .* or give prices \(--prices\)",
        ),
        ("text,model,quality", {"b": Price()}, r"give prices \(--prices\) for a \(there are prices for b\)"),
        ("text,model,quality", {}, r"records no costs, so give prices \(--prices\) for a$"),
        ("text,model,cost_usd", {"a": Price()}, r"records costs in cost_usd; leave prices \(--prices\) out"),
    ],
)
def test_prices_are_given_when_they_are_needed_and_only_then(
    tmp_path: Path, header: str, prices: Mapping[str, Price] | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        unpriced(csv_of(tmp_path, "one,a,1", header=header), prices)
