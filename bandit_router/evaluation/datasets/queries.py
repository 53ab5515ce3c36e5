"""Loads queries without outcomes: from a text file, one a line, or from a column of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.datasets.problems import RowProblem, raise_problems
from bandit_router.evaluation.datasets.source import FORMATS, Source, open_source, read_text_file
from bandit_router.features import read_query
from bandit_router.types import Query
from bandit_router.validation import check_text

COLUMNS = ("query", "messages", "text", "prompt")
"""Names a column of queries may have, in order of preference. Each column may hold chat messages instead."""

_TIER, _MODEL = "user_tier", "model"


def load_queries(path: Path) -> list[Query]:
    """The queries of a file: CSV, JSON Lines or Parquet by its extension, else one on every line.

    A table may have a column ``user_tier``. In a table with a row for every query and model, each query
    counts once. Raises ConfigError, which names lines, for unreadable queries and for a file without any.
    """
    if path.suffix.lower() in FORMATS:
        unit, rows = _read_table_rows(path)
    else:
        lines = enumerate(read_text_file(path).splitlines(), start=1)
        unit, rows = "line", [(n, line, None) for n, line in lines if line.strip()]
    queries, problems = [], []
    for n, content, tier in rows:
        try:
            queries.append(_parse_query(content, tier))
        except InvalidInput as error:
            problems.append(RowProblem(n, str(error)))
    raise_problems(path, unit, problems, "correct or remove it")
    if not queries:
        raise ConfigError(f"{path}: has no query; write one a line")
    return queries


def find_query_column(source: Source) -> str:
    """The column of queries. Raises ConfigError, which names those it may be."""
    column = next((name for name in COLUMNS if name in source.names), None)
    if column is None:
        raise ConfigError(f"{source.path}: has no column of queries; call it one of {', '.join(COLUMNS)}")
    return column


def _read_table_rows(path: Path) -> tuple[str, list[tuple[int, Any, Any]]]:
    source = open_source(path)
    column = find_query_column(source)
    table = source.read([name for name in (column, _TIER) if name in source.names])
    raise_problems(path, source.unit, table.broken, "correct or remove it")
    texts = table.columns[column]
    tiers = table.columns.get(_TIER, [None] * len(texts))
    rows = list(zip(table.lines, texts, tiers, strict=True))
    if _MODEL in source.names:
        rows = list({repr(row[1:]): row for row in reversed(rows)}.values())[::-1]
    return source.unit, rows


def _parse_query(content: Any, tier: Any) -> Query:
    query = read_query(content, user_tier=tier or None)
    if query.text:
        check_text("query", query.text)
    return query
