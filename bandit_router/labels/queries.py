"""Queries to label, of a file with the reference answers that it has, or of the log."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.problems import RowProblem, quote, raise_problems
from bandit_router.evaluation.datasets.queries import find_query_column
from bandit_router.evaluation.datasets.source import open_source
from bandit_router.evaluation.datasets.values import Origin, format_tasks, read_prompts
from bandit_router.routing.precedence import DRAWN
from bandit_router.store.logged_queries import iterate_logged_queries
from bandit_router.store.store import Store

_TASK = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelQuery:
    """A query to label: any of ``references`` is a right answer, if there are any.

    ``task`` is empty where unknown.
    """

    text: str
    references: tuple[str, ...] = ()
    task: str = ""

    @property
    def item(self) -> str:
        """What the query is called where its text does not stand: a digest of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_label_queries(path: Path, reference: str, *, judged: bool = False) -> list[LabelQuery]:
    """The queries of a table, each text once, with the references in the column of that name.

    A reference is a text or a number, or a list of them in JSON. Raises ConfigError, which names lines, for
    an unreadable query, for one without a reference unless they are ``judged``, and for a text that comes
    again with others.
    """
    source = open_source(path)
    column = find_query_column(source)
    if reference not in source.names and not judged:
        raise ConfigError(
            f"{path}: has no column {reference!r} of right answers; it has {', '.join(source.names)}; "
            "name yours with --reference, or have answers judged with --judge"
        )
    table = source.read([name for name in (column, reference, _TASK) if name in source.names])
    problems = list(table.broken)
    origins = [Origin(line) for line in table.lines]
    texts = read_prompts(table.columns[column], origins, column, problems)
    tasks = format_tasks(table.columns.get(_TASK, [None] * len(texts)))
    expected_answers = table.columns.get(reference, [None] * len(texts))
    queries: dict[str, LabelQuery] = {}
    for line, text, expected, task in zip(table.lines, texts, expected_answers, tasks, strict=True):
        if text is None:
            continue
        references = _read_references(expected, without_empty=judged)
        query = queries.setdefault(text, LabelQuery(text=text, references=references, task=task))
        if not judged and not (references and all(references)):
            problems.append(RowProblem(line, f"{reference} is empty, allowed is any right answer"))
        elif query.references != references:
            message = f"{reference} is {quote(expected)}, and another one for the same query before"
            problems.append(RowProblem(line, message))
    raise_problems(path, source.unit, problems, "correct or remove it")
    if not queries:
        raise ConfigError(f"{path}: has no query; write one a line")
    return list(queries.values())


def _read_references(expected: object, *, without_empty: bool) -> tuple[str, ...]:
    values: Sequence[object] = expected if isinstance(expected, list) else [expected]
    references = tuple(str(value).strip() for value in values if value is not None)
    return tuple(filter(None, references)) if without_empty else references


def pick_queries(queries: Iterable[LabelQuery], count: int) -> list[LabelQuery]:
    """``count`` of the queries, in the order of their digests: as good as random, and always the same.

    A larger count adds to those of a smaller one. Other ways of choosing were measured, and gain nothing:
    ``docs/results/pick.md``.
    """
    return heapq.nsmallest(count, queries, key=lambda query: query.item)


def pick_logged_queries(store: Store, count: int) -> list[LabelQuery]:
    """``count`` queries of the log, as :func:`pick_queries` has them, of those a policy chose an arm for.

    So the second turn of a conversation, which says little alone, is not among them. Raises ConfigError where
    the log has no texts.
    """
    picked: dict[str, LabelQuery] = {}
    with store.read_log() as log:
        for logged in iterate_logged_queries(log, DRAWN):
            picked.setdefault(logged.text, LabelQuery(text=logged.text, task=logged.task))
            if len(picked) >= 2 * count + 1_000:  # keep a bounded number of a long log
                picked = {query.text: query for query in pick_queries(picked.values(), count)}
    if not picked:
        raise ConfigError(
            "the log has no texts to label: set log_queries = true under [router], and wait for traffic"
        )
    return pick_queries(picked.values(), count)
