"""Writes answers with their grades as the table that `warm-start`, `train-classifier` and `simulate` read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bandit_router.labels.answers import KeptAnswer, Pair
from bandit_router.labels.queries import LabelQuery

Grade = Callable[[LabelQuery, str], float | None]
"""The quality, in [0, 1], of an answer to a query; None where there is no telling."""


def write_labels(
    path: Path, queries: Sequence[LabelQuery], answers: Mapping[Pair, KeptAnswer], grade: Grade
) -> int:
    """Write a line of JSON for each answer that has a grade, whole or not at all; how many there are."""
    rows = list(_make_rows(queries, answers, grade))
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return len(rows)


def count_unlabelled(
    queries: Sequence[LabelQuery], arms: Sequence[str], answers: Mapping[Pair, KeptAnswer], grade: Grade
) -> int:
    """How many answers of these arms are missing, or have no grade."""
    kept = ((query, answers.get((query.item, arm))) for query in queries for arm in arms)
    return sum(answer is None or grade(query, answer.text) is None for query, answer in kept)


def _make_rows(
    queries: Sequence[LabelQuery], answers: Mapping[Pair, KeptAnswer], grade: Grade
) -> Iterator[dict[str, Any]]:
    by_item: dict[str, list[KeptAnswer]] = {}
    for answer in answers.values():
        by_item.setdefault(answer.item, []).append(answer)
    for query in queries:
        for answer in by_item.get(query.item, ()):
            quality = grade(query, answer.text)
            if quality is not None:
                yield _make_row(query, answer, quality)


def _make_row(query: LabelQuery, answer: KeptAnswer, quality: float) -> dict[str, Any]:
    result = answer.result
    row = {"text": query.text, "model": answer.arm, "quality": quality, "cost_usd": result.cost_usd}
    if query.task:
        row["task"] = query.task
    if result.latency_s is not None:
        row["latency_s"] = result.latency_s
    if (usage := result.usage) is not None:
        row["input_tokens"] = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        row["output_tokens"] = usage.output_tokens
    return row
