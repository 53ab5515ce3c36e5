"""A full-information dataset: n queries × k models, without gaps unless it says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.types import FloatArray

_PER_MODEL = ("output_tokens", "latency_s", "confidence")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """n queries × k models: quality in [0, 1] and cost in USD, both (n, k).

    Neither has gaps unless ``gaps`` says so: then NaN is a cost that is unknown, or a model without a result.

    Optional fields are None when unknown throughout, and NaN where a single value is unknown::

        tasks          n names, "" where unknown
        input_tokens   (n,)
        output_tokens  (n, k)
        latency_s      (n, k) seconds
        confidence     (n, k) of each answer by its model, in [0, 1]

    Raises InvalidInput, which names the field.
    """

    name: str
    queries: tuple[str, ...]
    models: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray
    tasks: tuple[str, ...] | None = None
    input_tokens: FloatArray | None = None
    output_tokens: FloatArray | None = None
    latency_s: FloatArray | None = None
    confidence: FloatArray | None = None
    gaps: bool = False

    def __post_init__(self) -> None:
        if len(set(self.models)) < len(self.models):
            raise InvalidInput("models", "has one name twice", "give every model its own name")
        n, k = len(self.queries), len(self.models)
        for name, matrix in (("quality", self.quality), ("cost_usd", self.cost_usd)):
            known = matrix[~np.isnan(matrix)] if self.gaps else matrix
            if matrix.shape != (n, k) or not np.isfinite(known).all() or (known < 0).any():
                raise InvalidInput(name, "has gaps, NaN or negative numbers", "give every model every query")
        if self.tasks is not None and len(self.tasks) != n:
            raise InvalidInput("tasks", f"has {len(self.tasks)} names", f"give one for each of {n} queries")
        _check_optional("input_tokens", self.input_tokens, (n,))
        for name in _PER_MODEL:
            _check_optional(name, getattr(self, name), (n, k))
        for name in ("quality", "confidence"):
            if (matrix := getattr(self, name)) is not None and (matrix > 1).any():
                raise InvalidInput(name, "exceeds 1", "scale it to [0, 1]")

    def take(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Dataset:
        """The same models on the queries of ``rows``, in that order."""
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            quality=self.quality[rows],
            cost_usd=self.cost_usd[rows],
            tasks=None if self.tasks is None else tuple(self.tasks[i] for i in rows),
            input_tokens=None if self.input_tokens is None else self.input_tokens[rows],
            **self._per_model(rows),
        )

    def with_unknown_costs_free(self) -> Dataset:
        """The same with 0 for every cost that is unknown, for uses that price nothing."""
        return replace(self, cost_usd=np.where(np.isnan(self.cost_usd), 0.0, self.cost_usd))

    def only(self, models: Sequence[str], names: Mapping[str, str] | None = None) -> Dataset:
        """The same queries with the given models, in that order.

        ``names`` renames models: name in this dataset -> name in the result. Raises InvalidInput, which lists
        the models, for a model that is unknown or given twice.
        """
        names, models_here = names or {}, ", ".join(self.models)
        for model in chain(models, names):
            if model not in self.models:
                raise InvalidInput("models", f"has no {model!r}", f"choose from {models_here}")
        if not models or len(set(models)) < len(models):
            raise InvalidInput("models", "is empty or has one twice", f"name each once, from {models_here}")
        columns = [self.models.index(model) for model in models]
        return replace(
            self,
            models=tuple(names.get(model, model) for model in models),
            quality=self.quality[:, columns],
            cost_usd=self.cost_usd[:, columns],
            **self._per_model((slice(None), columns)),
        )

    def _per_model(self, index: Any) -> dict[str, Any]:
        matrices = {name: getattr(self, name) for name in _PER_MODEL}
        return {name: None if m is None else m[index] for name, m in matrices.items()}


def concatenate(datasets: Sequence[Dataset], name: str) -> Dataset:
    """Join datasets with the same models into one stream, one after the other.

    Models come in the order of the first dataset. A field that only some datasets have is NaN for the others;
    a dataset without tasks has its name as the task. Raises InvalidInput when the models differ.
    """
    if not datasets:
        raise InvalidInput("datasets", "is empty", "give at least one")
    models = datasets[0].models
    for other in datasets[1:]:
        if differing := sorted(set(models) ^ set(other.models)):
            problem = f"{datasets[0].name} and {other.name} differ in {', '.join(differing)}"
            raise InvalidInput("datasets", problem, "choose the same models of each with only()")
    parts = [part.only(models) for part in datasets]
    tasks = [part.tasks or (part.name,) * len(part.queries) for part in parts]
    return Dataset(
        name=name,
        queries=tuple(chain.from_iterable(part.queries for part in parts)),
        models=models,
        quality=np.concatenate([part.quality for part in parts]),
        cost_usd=np.concatenate([part.cost_usd for part in parts]),
        tasks=None if all(part.tasks is None for part in parts) else tuple(chain.from_iterable(tasks)),
        gaps=any(part.gaps for part in parts),
        **{field: _concatenate_optional(parts, field) for field in ("input_tokens", *_PER_MODEL)},
    )


def _concatenate_optional(parts: Sequence[Dataset], field: str) -> FloatArray | None:
    matrices: list[FloatArray | None] = [getattr(part, field) for part in parts]
    if all(matrix is None for matrix in matrices):
        return None
    shapes = [part.quality.shape[:1] if field == "input_tokens" else part.quality.shape for part in parts]
    filled = [np.full(s, np.nan) if m is None else m for m, s in zip(matrices, shapes, strict=True)]
    return np.concatenate(filled)


def _check_optional(name: str, values: FloatArray | None, shape: tuple[int, ...]) -> None:
    if values is not None and (values.shape != shape or np.isinf(values).any() or (values < 0).any()):
        problem = "has another shape, infinite or negative numbers"
        raise InvalidInput(name, problem, f"give shape {shape}, at least 0, NaN where unknown")
