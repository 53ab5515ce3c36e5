"""Loads queries to label, each with the reference answers that its file has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.problems import RowProblem, quote, raise_problems
from bandit_router.evaluation.datasets.queries import find_query_column
from bandit_router.evaluation.datasets.source import open_source
from bandit_router.evaluation.datasets.values import Origin, format_tasks, read_prompts

_TASK = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelQuery:
    """A query to label: any of ``references`` is a right answer. ``task`` is empty where unknown."""

    text: str
    references: tuple[str, ...]
    task: str = ""

    @property
    def item(self) -> str:
        """What the query is called where its text does not stand: a digest of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_label_queries(path: Path, reference: str) -> list[LabelQuery]:
    """The queries of a table, each text once, with the references in the column of that name.

    A reference is a text or a number, or a list of them in JSON. Raises ConfigError, which names lines, for
    an unreadable query, for one without a reference, and for a text that comes again with others.
    """
    source = open_source(path)
    column = find_query_column(source)
    if reference not in source.names:
        raise ConfigError(
            f"{path}: has no column {reference!r} of right answers; it has {', '.join(source.names)}; "
            "name yours with --reference"
        )
    table = source.read([name for name in (column, reference, _TASK) if name in source.names])
    problems = list(table.broken)
    origins = [Origin(line) for line in table.lines]
    texts = read_prompts(table.columns[column], origins, column, problems)
    tasks = format_tasks(table.columns.get(_TASK, [None] * len(texts)))
    queries: dict[str, LabelQuery] = {}
    for line, text, expected, task in zip(table.lines, texts, table.columns[reference], tasks, strict=True):
        if text is None:
            continue
        references = _read_references(expected)
        query = queries.setdefault(text, LabelQuery(text=text, references=references, task=task))
        if not references or not all(references):
            problems.append(RowProblem(line, f"{reference} is empty, allowed is any right answer"))
        elif query.references != references:
            message = f"{reference} is {quote(expected)}, and another one for the same query before"
            problems.append(RowProblem(line, message))
    raise_problems(path, source.unit, problems, "correct or remove it")
    if not queries:
        raise ConfigError(f"{path}: has no query; write one a line")
    return list(queries.values())


def _read_references(expected: object) -> tuple[str, ...]:
    values: Sequence[object] = expected if isinstance(expected, list) else [expected]
    return tuple(str(value).strip() for value in values if value is not None)


def pick_queries(queries: Sequence[LabelQuery], count: int) -> list[LabelQuery]:
    """``count`` of the queries, in the order of their digests: as good as random, and always the same.

    A larger count adds to those of a smaller one. Other ways of choosing were measured, and gain nothing:
    ``docs/results/pick.md``.
    """
    return sorted(queries, key=lambda query: query.item)[:count]
