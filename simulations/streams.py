"""The streams of real queries that the simulations play, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bandit_router.evaluation.datasets import Dataset, load_dataset, mixed_stream
from bandit_router.evaluation.simulation.stream import Stream, make_stream
from bandit_router.features import build_pipeline, read_query
from bandit_router.signals.rules import default_rules, make_rules

# Hidden reasoning tokens make the recorded cost of these a lower bound.
_COST_UNKNOWN = ("o1-mini", "o3", "deepseek-r1", "gemini-2.5-")

_EIGHT = (
    "gemma-2-2b-it",
    "gemini-1.5-flash",
    "deepseek-v2.5-0908",
    "gpt-4o-mini-2024-07-18",
    "claude-3-haiku-20240307",
    "Meta-Llama-3.1-70B-Instruct",
    "gpt-4o-2024-08-06",
    "claude-3-5-sonnet-20241022",
)

_IN_MIXED = "Meta-Llama-3.1-8B-Instruct"


def _paretobandit(folder: Path) -> Dataset:
    return load_dataset(folder / "paretobandit.parquet")


def _zeroeval(folder: Path) -> Dataset:
    return _of_known_cost(load_dataset(folder / "zeroeval.parquet"))


def _zeroeval8(folder: Path) -> Dataset:
    return replace(load_dataset(folder / "zeroeval.parquet", models=_EIGHT), name="zeroeval8")


def _others(folder: Path, half: int) -> Dataset:
    """Half of zeroeval's models that are in none of the five streams: every other one by name."""
    data = _zeroeval(folder)
    rest = sorted(model for model in data.models if model not in (*_EIGHT, _IN_MIXED))
    return replace(data.only(rest[half::2]), name=f"zeroeval_{'ab'[half]}")


def _llm_confidence(folder: Path) -> Dataset:
    return _of_known_cost(load_dataset(folder / "llm_confidence.parquet"))


def _routellm(folder: Path) -> Dataset:
    return load_dataset(folder / "routellm.parquet")


def _mixed(folder: Path) -> Dataset:
    return mixed_stream(folder / "zeroeval.parquet", folder / "llm_confidence.parquet")


STREAMS: Mapping[str, Callable[[Path], Dataset]] = {
    "paretobandit": _paretobandit,
    "zeroeval": _zeroeval,
    "zeroeval8": _zeroeval8,
    "zeroeval_a": partial(_others, half=0),
    "zeroeval_b": partial(_others, half=1),
    "llm_confidence": _llm_confidence,
    "routellm": _routellm,
    "mixed": _mixed,
}
"""The dataset of each stream, given the folder of the files."""


FIVE = ("mixed", "paretobandit", "zeroeval8", "llm_confidence", "routellm")
"""The streams that bandit-router is judged on, and its constants were chosen on."""

HELD_BACK = ("zeroeval_a", "zeroeval_b")
"""zeroeval's queries with other models: no constant but ``hierarchy.PRIOR_LOG_ODDS`` was chosen on these."""


def load_stream(name: str, folder: Path, *, tasks: bool = False) -> Stream:
    """The named stream with the contexts a router makes by default, and with tasks if asked for.

    Raises ConfigError for a missing file.
    """
    dataset = STREAMS[name](folder)
    return stream_of(dataset if tasks else replace(dataset, tasks=None))


def stream_of(dataset: Dataset) -> Stream:
    """The dataset with the contexts a router makes by default, and the signals of the shipped rules."""
    pipeline, rules = build_pipeline(), make_rules(default_rules())
    queries = [read_query(query) for query in dataset.queries]
    x = np.array([pipeline.context(query) for query in queries])
    return make_stream(dataset, x, [rules(query) for query in queries])


def cost_weight(stream: Stream, trade: float) -> float:
    """λ in 1/USD, such that the mean cost of the dearest model weighs as much as ``trade`` of quality."""
    return trade / float(stream.cost_usd.mean(axis=0).max())


def _of_known_cost(data: Dataset) -> Dataset:
    return data.only([model for model in data.models if not model.startswith(_COST_UNKNOWN)])
