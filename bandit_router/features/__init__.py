"""Query -> context vector x: text statistics, an embedding, and the pipeline that joins them."""

from __future__ import annotations

from bandit_router.features.embedding import Embedder, load_wordllama
from bandit_router.features.pipeline import Pipeline, build_pipeline, build_vector_pipeline
from bandit_router.features.query import (
    estimate_input_tokens,
    query_from_messages,
    query_from_text,
    read_query,
)
from bandit_router.features.statistics import STATISTIC_NAMES, text_statistics

__all__ = [
    "STATISTIC_NAMES",
    "Embedder",
    "Pipeline",
    "build_pipeline",
    "build_vector_pipeline",
    "estimate_input_tokens",
    "load_wordllama",
    "query_from_messages",
    "query_from_text",
    "read_query",
    "text_statistics",
]
