"""Small files of results, one row per query and model, some of it changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

ROWS: dict[str, list[Any]] = {
    "query_id": ["q1", "q1", "q2", "q2"],
    "text": ["one", "one", "two", "two"],
    "model": ["a", "b", "a", "b"],
    "quality": [0.1, 0.2, 0.3, 0.4],
    "cost_usd": [1.0, 2.0, 3.0, 4.0],
}

HEADER = "id,prompt,llm,score,usd"
LINES = ("1,one,a,0.1,1", "1,one,b,0.2,2", "2,two,a,0.3,3", "2,two,b,0.4,4")
COLUMNS = {"query_id": "id", "text": "prompt", "model": "llm", "quality": "score", "cost_usd": "usd"}


def parquet_of(tmp_path: Path, **changes: list[Any] | None) -> Path:
    """ROWS as Parquet, with some columns changed or (None) left out."""
    path = tmp_path / "data.parquet"
    columns = {name: column for name, column in (ROWS | changes).items() if column is not None}
    parquet.write_table(pa.table(columns), path)
    return path


def csv_of(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    """Lines as CSV, under names that are not ours."""
    path = tmp_path / "data.csv"
    path.write_bytes("\n".join([header, *lines]).encode())
    return path
