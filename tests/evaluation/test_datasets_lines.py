"""CSV and JSON Lines: what is wrong is named by the line it begins at."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import load_table
from tests.evaluation.tables import COLUMNS, HEADER, LINES, csv_of


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_table(path, **({"columns": COLUMNS} | options))
    return str(caught.value)


def test_a_row_of_csv_is_named_by_the_line_it_begins_at(tmp_path: Path) -> None:
    path = csv_of(tmp_path, '1,"o\nn\r\ne",a,0.1,1', "", "", '2,"t\nwo",a,7,3', "3,three,a,-7,3")
    told = refused(path)
    assert "line 7: score is '7'" in told
    assert "line 9: score is '-7'" in told


def test_a_line_of_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    names = HEADER.split(",")
    rows = [[1, "one", "a", 0.5, 1], [2, "two", "a", [0.5], 1], [3, "three", "a", 1.0, float("nan")]]
    path.write_text("\n\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    told = refused(path)
    assert "line 3: score is [0.5], allowed is a finite number from 0 to 1, or true or false" in told
    assert "line 5: usd is missing" in told


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    told = refused(csv_of(tmp_path, f"1,one,a,{'9' * 5000},1"))
    assert "9…, allowed" in told
    assert len(told) < 500


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("2,two,a,0.3", "line 4: the row has 4 fields, allowed are the 5 of the header"),
        ("2,two,a,0.3,1,9", "line 4: the row has 6 fields, allowed are the 5 of the header"),
    ],
)
def test_a_ragged_row_is_named_and_its_query_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, says: str
) -> None:
    path = csv_of(tmp_path, *LINES[:2], line, LINES[3])
    told = refused(path)
    assert says in told
    assert "line 5: query '2' has no result for 'a'" in told
    with caplog.at_level(logging.WARNING):
        data = load_table(path, columns=COLUMNS, skip_bad=True)
    assert data.queries == ("one",)
    assert "left out 1 of 2 queries and rows that name no query (1): 2 problems" in caplog.text
    assert says in caplog.text


@pytest.mark.parametrize("line", ["{", "[1]", "nonsense", '"text"', "9" * 5000, "[" * 100_000])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    good = json.dumps(dict(zip(HEADER.split(","), [1, "one", "a", 0.5, 1], strict=True)))
    path.write_text(f"{good}\n{line}\n")
    assert "line 2: cannot be read as a JSON object" in refused(path)
    assert load_table(path, columns=COLUMNS, skip_bad=True).queries == ("one",)


def test_a_quote_that_never_ends_is_named_by_its_row(tmp_path: Path) -> None:
    path = csv_of(tmp_path, *LINES[:2], '2,"two,a,0.3,3', LINES[3])
    assert "line 4: the row cannot be read as CSV" in refused(path)
    assert "line 4: the row cannot be read as CSV" in refused(path, skip_bad=True)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_bytes_that_are_not_utf_8_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(b"id,prompt\n1,caf\xe9\n")
    assert "line 2 is not UTF-8; save the file as UTF-8" in refused(path)


def test_a_lone_surrogate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(r'{"id": 1, "prompt": "\ud800", "llm": "a", "score": 1, "usd": 1}')
    assert "line 1: prompt: contains a lone surrogate" in refused(path)


def test_true_is_no_cost(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"id": 1, "prompt": "one", "llm": "a", "score": true, "usd": true}')
    assert (
        refused(path).split("data.jsonl: ")[1].startswith("line 1: usd is True, allowed is a finite number")
    )


def test_problems_are_told_by_line_and_a_contradiction_once(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "1,one,a,7,1", "1,uno,b,1,1", "1,eins,c,1,-1", ",two,a,1,1")
    told = refused(path)
    assert "4 problems;" in told
    assert [part.split(" ")[0] for part in told.split("\n  line ")[1:]] == ["2:", "3:", "4:", "5:"]
