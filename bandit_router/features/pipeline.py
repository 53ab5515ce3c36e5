"""Pipeline: turns a query into the context x = [1, statistics, embedding]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.features.embedding import Embedder, load_wordllama
from bandit_router.features.statistics import STATISTIC_NAMES, text_statistics
from bandit_router.types import FloatArray, Query
from bandit_router.validation import check_text, is_number_type

VERSION = 1
"""Raise it with every change of a formula, a keyword or a bound: it is part of the schema id."""

EMBEDDED_CHARS = 1024
"""Only these first characters are embedded, because tokenizing is most of what a context costs."""

LARGEST_FEATURE = 1e6
"""Bound on a caller's own features, so that no sum of products overflows."""

_EMBEDDINGS = ("wordllama", "none", "vector")
_STATISTICS = slice(1, 1 + len(STATISTIC_NAMES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """Makes contexts of one schema. Make one with :func:`build_pipeline`. Thread-safe.

    ``dim`` is d, the length of x. ``schema_id`` names everything x depends on: contexts of different
    schema ids must never meet in one posterior. ``max_chars`` is None when callers bring the vectors.
    """

    dim: int
    schema_id: str
    max_chars: int | None = None
    embed: Embedder | None = None

    def context(self, query: Query) -> FloatArray:
        """x, shape (d,): 1 (the bias), the text statistics, the embedding.

        The text is cut to its first ``max_chars`` characters, of which the first 1024 are embedded;
        ``prompt_chars`` is not cut. A query without text, such as an image alone, has its statistics.

        Raises InvalidInput when the text has NUL characters or lone surrogates, or when this pipeline makes
        no contexts from text.
        """
        if self.max_chars is None:
            fix = f"send a features vector of {self.dim - 1} numbers"
            raise InvalidInput("features", "are missing, and this router reads no text", fix)
        if query.text:
            check_text("query", query.text)
        if len(query.text) > self.max_chars:
            query = replace(query, text=query.text[: self.max_chars])
        x = np.empty(self.dim)
        x[0] = 1.0
        x[_STATISTICS] = text_statistics(query)
        if self.embed is not None:
            x[_STATISTICS.stop :] = self.embed(query.text[:EMBEDDED_CHARS])
        return x

    def check_vector(self, values: Sequence[float] | FloatArray, field: str = "features") -> FloatArray:
        """A caller's own features behind the bias 1: x, shape (d,).

        A pipeline that reads text accepts features computed elsewhere: numbers in [−1, 1]. Raises
        InvalidInput unless they are d − 1 finite real numbers in that range, or of magnitude at most 1e6
        where callers bring every vector.
        """
        largest = LARGEST_FEATURE if self.max_chars is None else 1.0
        _check_numbers(values, field)
        if len(values) != self.dim - 1:
            raise InvalidInput(field, f"has {len(values)} numbers", f"send exactly {self.dim - 1}")
        x = np.ones(self.dim)
        try:
            with np.errstate(over="ignore"):
                x[1:] = values
        except OverflowError:  # an int beyond float64
            raise _out_of_range(field, largest) from None
        allowed = np.abs(x[1:]) <= largest  # False for NaN
        if not allowed.all():
            raise _out_of_range(f"{field}[{int(allowed.argmin())}]", largest)
        return x


def build_pipeline(
    *,
    embedding: str = "wordllama",
    embedding_dim: int = 64,
    max_chars: int = 4096,
    vector_dim: int | None = None,
) -> Pipeline:
    """The pipeline that the ``[features]`` settings describe.

    Args:
        embedding: "wordllama", "none" (text statistics only) or "vector" (callers send every context).
        embedding_dim: 64, 128 or 256 numbers; for "wordllama".
        max_chars: Texts are cut to this length before anything is read from them.
        vector_dim: Numbers that callers send; for "vector".

    Raises ConfigError naming the setting and what is allowed.
    """
    if embedding not in _EMBEDDINGS:
        raise ConfigError(
            f"features.embedding: {embedding!r} is not known; allowed: {', '.join(_EMBEDDINGS)}"
        )
    if embedding == "vector":
        return build_vector_pipeline(vector_dim)
    _check_positive_int("features.max_chars", max_chars)
    embed, label, dim = None, "none", 0
    if embedding == "wordllama":
        embed, label, dim = load_wordllama(embedding_dim), f"wordllama{embedding_dim}", embedding_dim
    return Pipeline(
        dim=_STATISTICS.stop + dim,
        schema_id=f"text-v{VERSION}/stats{len(STATISTIC_NAMES)}/{label}/max{max_chars}",
        max_chars=max_chars,
        embed=embed,
    )


def build_vector_pipeline(dim: int | None) -> Pipeline:
    """The pipeline of callers that bring every context as ``dim`` numbers. Raises ConfigError."""
    _check_positive_int("features.vector_dim", dim)
    assert dim is not None
    return Pipeline(dim=1 + dim, schema_id=f"vector/{dim}")


def _check_positive_int(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}: is {value!r}; allowed: a whole number of at least 1")


def _check_numbers(values: object, field: str) -> None:
    fix = "send a list of numbers"
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InvalidInput(field, f"has shape {values.shape}", "send one dimension")
        if values.dtype.kind not in "fiu":
            raise InvalidInput(field, f"is an array of {values.dtype}", fix)
    elif isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise InvalidInput(field, f"is {type(values).__name__}, not a list", fix)
    elif not all(map(is_number_type, set(map(type, values)))):
        i = next(i for i, value in enumerate(values) if not is_number_type(type(value)))
        raise InvalidInput(f"{field}[{i}]", f"is {type(values[i]).__name__}, not a number", fix)


def _out_of_range(field: str, largest: float) -> InvalidInput:
    return InvalidInput(field, "is out of range", f"send finite numbers within ±{largest:g}")
