"""Prompt -> query, tokens and needs; query -> context vector x: text statistics and an embedding."""

from __future__ import annotations

from bandit_router.features.embedding import Embedder, load_wordllama
from bandit_router.features.pipeline import Pipeline, build_pipeline, build_vector_pipeline
from bandit_router.features.prompt import (
    NO_INSTRUCTIONS,
    Instructions,
    Prompt,
    PromptSource,
    TaskSource,
    estimate_tokens,
    read_prompt,
    write_transcript,
)
from bandit_router.features.query import (
    query_from_messages,
    query_from_prompt,
    query_from_text,
    read_query,
)
from bandit_router.features.statistics import STATISTIC_NAMES, text_statistics

__all__ = [
    "NO_INSTRUCTIONS",
    "STATISTIC_NAMES",
    "Embedder",
    "Instructions",
    "Pipeline",
    "Prompt",
    "PromptSource",
    "TaskSource",
    "build_pipeline",
    "build_vector_pipeline",
    "estimate_tokens",
    "load_wordllama",
    "query_from_messages",
    "query_from_prompt",
    "query_from_text",
    "read_prompt",
    "read_query",
    "text_statistics",
    "write_transcript",
]
