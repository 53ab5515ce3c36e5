"""Sentence embeddings: the mean of static WordLlama token vectors, at unit length."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.types import FloatArray

Embedder = Callable[[str], FloatArray]
"""Text -> vector of shape (dim,) and unit length, or zero for an empty text. Thread-safe."""

DIMS = (64, 128, 256)
_WORDS_REMEMBERED = 2**15


def load_wordllama(dim: int) -> Embedder:
    """The embedder of ``dim`` numbers, from the weights inside the wordllama package; no network.

    e(text) = Σ_t E[t] / |Σ_t E[t]| over the tokens t of the text's words, which is WordLlama's average
    pooling scaled to unit length (https://github.com/dleemiller/WordLlama; truncation to the first
    ``dim`` numbers is what its Matryoshka training is for). No token of its tokenizer spans words, so
    each word is tokenized alone and its tokens are remembered; white space has none of its own.

    Raises ConfigError for a ``dim`` other than 64, 128 or 256, or when wordllama cannot be loaded.
    """
    if dim not in DIMS:
        allowed = ", ".join(map(str, DIMS))
        raise ConfigError(f"features.embedding_dim: no embedding has dimension {dim!r}; allowed: {allowed}")
    model = _load_model(dim)
    # Padding, which one text has no use for, and batches start a thread pool, which does not survive a fork.
    model.tokenizer.no_padding()
    encode, rows = model.tokenizer.encode, model.embedding

    @lru_cache(_WORDS_REMEMBERED)
    def tokens(word: str) -> tuple[int, ...]:
        return tuple(encode(word, add_special_tokens=False).ids)

    def embed(text: str) -> FloatArray:
        ids = list(chain.from_iterable(map(tokens, text.split())))
        if not ids:
            return np.zeros(dim)
        total: FloatArray = np.add.reduce(rows.take(ids, axis=0), axis=0).astype(np.float64)
        norm = math.sqrt(total @ total)
        return total / norm if norm > 0.0 else total

    return embed


def _load_model(dim: int) -> Any:
    try:
        with _preserve_root_logger():
            import wordllama
        return wordllama.WordLlama.load(
            cache_dir=Path(wordllama.__file__).parent, dim=256, trunc_dim=dim, disable_download=True
        )
    except (ImportError, FileNotFoundError) as error:
        raise ConfigError(
            f"features.embedding: 'wordllama' cannot be loaded ({error}); "
            "run `pip install wordllama`, or set it to 'none'"
        ) from error


@contextmanager
def _preserve_root_logger() -> Iterator[None]:
    """wordllama calls logging.basicConfig when imported, which does nothing while there is a handler."""
    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
