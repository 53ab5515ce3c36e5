"""Opens CSV, JSON and Parquet files as columns of plain values, each row with its line."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.problems import RowProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """r rows: the line of each, columns of r values, and the problems of rows that could not be read."""

    lines: list[int]
    columns: dict[str, list[object]]
    broken: list[RowProblem]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """An open file: its column names, and ``read``, which returns the columns asked for.

    ``unit`` names the thing ``Rows.lines`` counts from 1: a "line" of text, or a "row" of Parquet.
    """

    path: Path
    unit: str
    names: tuple[str, ...]
    read: Callable[[Collection[str]], Rows]


def open_source(path: Path) -> Source:
    """Open a file by its extension. Raises ConfigError."""
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".pickle"):
        convert = f"pandas.read_pickle(...).to_parquet('{path.stem}.parquet')"
        raise ConfigError(f"{path}: reading a pickle runs the code in it; convert it once: {convert}")
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: unknown extension {suffix!r}, allowed are {', '.join(FORMATS)}")
    return FORMATS[suffix](path)


def open_csv(path: Path) -> Source:
    """Open values separated by commas, semicolons or tabs, with a header, quoted as RFC 4180 says.

    Names of columns lose their outer spaces. Raises ConfigError.
    """
    rows = list(_csv_rows(path))
    if not rows:
        raise ConfigError(f"{path}: is empty; its first line should name the columns")
    names = _require_unique(path, map(str.strip, rows[0][1]))
    return Source(
        path=path, unit="line", names=names, read=lambda wanted: _csv_columns(names, rows[1:], wanted)
    )


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not blank, with the physical line it begins at."""
    text = read_text_file(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_find_delimiter(text))
    begins = 1
    with _fields_of_any_length():
        try:
            for row in reader:
                if row:
                    yield begins, row
                begins = reader.line_num + 1
        except csv.Error as error:
            raise ConfigError(f"{path}: line {begins}: the row cannot be read as CSV: {error}") from error


def _find_delimiter(text: str) -> str:
    """What separates the names in the first line: the comma, unless only a semicolon or a tab is there."""
    header = next(filter(str.strip, text.splitlines()), "")
    if "," in header:
        return ","
    return max(",;\t", key=header.count)


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    # The module's limit of 131,072 characters is shorter than some prompts, and is the process's.
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _csv_columns(
    names: tuple[str, ...], rows: Iterable[tuple[int, list[str]]], wanted: Collection[str]
) -> Rows:
    whole, broken = [], []
    for line, row in rows:
        if len(row) == len(names):
            whole.append((line, row))
        else:
            message = f"the row has {len(row)} fields, allowed are the {len(names)} of the header"
            broken.append(RowProblem(line, message))
    index = {name: names.index(name) for name in wanted}
    columns: dict[str, list[object]] = {name: [row[i] for _, row in whole] for name, i in index.items()}
    return Rows(lines=[line for line, _ in whole], columns=columns, broken=broken)


def open_jsonl(path: Path) -> Source:
    """Open JSON Lines: an object on every line, in which a missing key is a gap. Raises ConfigError."""
    objects: list[tuple[int, dict[str, object]]] = []
    broken: list[RowProblem] = []
    for line, text in enumerate(read_text_file(path).split("\n"), start=1):
        if text.strip():
            try:
                objects.append((line, _parse_object(text)))
            except (ValueError, RecursionError) as error:
                broken.append(RowProblem(line, f"cannot be read as a JSON object: {error}"))
    return _source_of_objects(path, "line", objects, broken)


def _source_of_objects(
    path: Path, unit: str, objects: Sequence[tuple[int, dict[str, object]]], broken: list[RowProblem]
) -> Source:
    names = tuple(dict.fromkeys(name for _, row in objects for name in row))

    def read(wanted: Collection[str]) -> Rows:
        columns = {name: [row.get(name) for _, row in objects] for name in wanted}
        return Rows(lines=[line for line, _ in objects], columns=columns, broken=broken)

    return Source(path=path, unit=unit, names=names, read=read)


_ARRAY = "write an array of objects, one for each row: [{…}, {…}]"


def open_json(path: Path) -> Source:
    """Open a JSON array of objects, or JSON Lines under this extension. Raises ConfigError."""
    text = read_text_file(path)
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):
            return open_jsonl(path)
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from None
    if isinstance(content, dict):
        if "\n" not in text.strip():
            return open_jsonl(path)
        raise ConfigError(f"{path}: holds one object; {_ARRAY}")
    if not isinstance(content, list):
        raise ConfigError(f"{path}: holds {type(content).__name__}; {_ARRAY}")
    objects = [(i, row) for i, row in enumerate(content, start=1) if isinstance(row, dict)]
    broken = [
        RowProblem(i, f"is {type(row).__name__}, not an object")
        for i, row in enumerate(content, start=1)
        if not isinstance(row, dict)
    ]
    return _source_of_objects(path, "row", objects, broken)


def _parse_object(text: str) -> dict[str, object]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"it is a {type(value).__name__}")
    return value


def open_parquet(path: Path) -> Source:
    """Open a Parquet file. Raises ConfigError."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ConfigError("reading Parquet needs: pip install 'bandit-router[evaluation]'") from None

    def attempt(action: Callable[[Any], Any]) -> Any:
        try:
            with parquet.ParquetFile(path) as file:
                return action(file)
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error

    def read(wanted: Collection[str]) -> Rows:
        table = attempt(lambda file: file.read(columns=list(wanted)))
        columns = {name: table.column(name).to_pylist() for name in wanted}
        return Rows(lines=list(range(1, table.num_rows + 1)), columns=columns, broken=[])

    names = _require_unique(path, attempt(lambda file: file.schema_arrow.names))
    return Source(path=path, unit="row", names=names, read=read)


def read_text_file(path: Path) -> str:
    """The text of a UTF-8 file. Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from error


def _require_unique(path: Path, names: Iterable[str]) -> tuple[str, ...]:
    unique = tuple(names)
    for name in unique:
        if unique.count(name) > 1:
            raise ConfigError(f"{path}: two columns are called {name!r}; rename or remove one")
    return unique


FORMATS = {
    ".csv": open_csv,
    ".jsonl": open_jsonl,
    ".ndjson": open_jsonl,
    ".parquet": open_parquet,
    ".pq": open_parquet,
    ".json": open_json,
    ".tsv": open_csv,
}
