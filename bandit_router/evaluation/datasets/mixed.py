"""A stream of seven tasks, made of two datasets with four models in common."""

from __future__ import annotations

from pathlib import Path

from bandit_router.evaluation.datasets.dataset import Dataset, concatenate
from bandit_router.evaluation.datasets.table import load_parquet

_MODELS = ("Meta-Llama-3.1-8B-Instruct", "claude-3-haiku-20240307", "Meta-Llama-3.1-70B-Instruct", "gpt-4o")
_DATED = {"gpt-4o": "gpt-4o-2024-08-06"}  # llm_confidence has no date; this one has the same list price


def mixed_stream(zeroeval: Path, llm_confidence: Path) -> Dataset:
    """Both files in one, zeroeval's queries first: shuffle it with ``take``.

    Models come cheapest first. Only llm_confidence knows a confidence. Raises ConfigError when a file
    cannot be read or lacks one of the four models.
    """
    theirs = [_DATED.get(model, model) for model in _MODELS]
    first = load_parquet(zeroeval, models=theirs)
    names = {dated: model for model, dated in _DATED.items()}
    second = load_parquet(llm_confidence, models=_MODELS)
    return concatenate([first.only(theirs, names), second], "mixed")
