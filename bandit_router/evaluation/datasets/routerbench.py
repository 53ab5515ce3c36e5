"""RouterBench (withmartian/routerbench): recorded quality and cost of every model."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset
from bandit_router.evaluation.datasets.results import assemble_dataset, choose_models
from bandit_router.evaluation.datasets.source import Source, open_source
from bandit_router.evaluation.datasets.values import COST, QUALITY
from bandit_router.evaluation.datasets.wide import WideLayout, melt

COST_SUFFIX = "|total_cost"
"""The suffix of a model's cost column, by which the format is recognised."""


def load_routerbench(path: Path, *, models: Sequence[str] | None = None, skip_bad: bool = False) -> Dataset:
    """RouterBench's wide table, as CSV or Parquet: one row per query.

    Columns: sample_id, prompt, eval_name (becomes the task; may be missing), and per model ``<model>``,
    its quality in [0, 1], and ``<model>|total_cost``, USD. Responses and the oracle's choice are ignored.
    A prompt that is a list of messages is joined by newlines. ``models`` and ``skip_bad`` are as in
    ``load_table``. The original is a pickle, which can run code: convert it once with pandas.

    Raises ConfigError naming the bad rows.
    """
    return read_routerbench(open_source(path), models=models, skip_bad=skip_bad)


def read_routerbench(
    source: Source, *, models: Sequence[str] | None = None, skip_bad: bool = False
) -> Dataset:
    """The dataset of an open file; otherwise as :func:`load_routerbench`."""
    path = source.path
    available = sorted(name.removesuffix(COST_SUFFIX) for name in source.names if name.endswith(COST_SUFFIX))
    chosen = choose_models(path, available, models)
    needed = ("sample_id", "prompt", *chosen)
    if missing := [name for name in needed if name not in source.names]:
        raise ConfigError(f"{path}: has no column {', '.join(missing)}, which RouterBench's format has")
    if not chosen:
        raise ConfigError(f"{path}: has no column <model>{COST_SUFFIX}, so it is not RouterBench's format")
    layout = WideLayout(
        query_id="sample_id",
        text="prompt",
        task="eval_name" if "eval_name" in source.names else None,
        numbers={
            "quality": (QUALITY, {model: model for model in chosen}),
            "cost_usd": (COST, {model: model + COST_SUFFIX for model in chosen}),
        },
        plain=_join_messages,
    )
    rows = source.read(layout.columns())
    return assemble_dataset(melt(source, rows, layout), chosen, skip_bad=skip_bad)


def _join_messages(prompt: object) -> object:
    """The messages of a prompt, which the file holds as the text of a Python list."""
    messages = prompt
    if isinstance(prompt, str) and prompt.startswith("["):
        try:
            messages = ast.literal_eval(prompt)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return prompt
    if isinstance(messages, list) and all(isinstance(message, str) for message in messages):
        return "\n".join(messages)
    return prompt
