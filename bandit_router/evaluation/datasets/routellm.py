"""RouteLLM's evaluations (lm-sys/RouteLLM): which model was right on which question, without costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset, concatenate
from bandit_router.evaluation.datasets.prices import Price, require_prices
from bandit_router.evaluation.datasets.results import assemble_dataset, choose_models
from bandit_router.evaluation.datasets.source import Rows, Source, open_csv
from bandit_router.evaluation.datasets.values import QUALITY
from bandit_router.evaluation.datasets.wide import WideLayout, melt
from bandit_router.features import estimate_tokens
from bandit_router.types import FloatArray

_RESPONSE = "_response"


def load_routellm(
    path: Path,
    *,
    prices: Mapping[str, Price] | None,
    models: Sequence[str] | None = None,
    skip_bad: bool = False,
    need_costs: bool = True,
) -> Dataset:
    """A CSV of RouteLLM's, such as gsm8k_responses.csv, or a folder of them, such as mmlu/responses.

    Columns: prompt, one per model with True or False, and in some files ``<model>_response``. Every row
    is a query; its task is the name of its file. The files have no costs, so each model needs a price:
    the prompt counts ceil(characters / 4) tokens, the answer likewise where the file has it and else
    what the price assumes. ``models`` and ``skip_bad`` are as in ``load_table``.

    Raises ConfigError naming the bad rows, or the models without a price.
    """
    read = partial(read_routellm, prices=prices, models=models, skip_bad=skip_bad, need_costs=need_costs)
    if not path.is_dir():
        return read(open_csv(path))
    parts = sorted(path.glob("*.csv"))
    if not parts:
        raise ConfigError(f"{path}: is a folder without CSV files")
    return concatenate([read(open_csv(part)) for part in parts], path.name)


def read_routellm(
    source: Source,
    *,
    prices: Mapping[str, Price] | None,
    models: Sequence[str] | None = None,
    skip_bad: bool = False,
    need_costs: bool = True,
) -> Dataset:
    """The dataset of an open file; otherwise as :func:`load_routellm`."""
    path = source.path
    if "prompt" not in source.names:
        raise ConfigError(f"{path}: has no column prompt, which RouteLLM's files have")
    answers = {name + _RESPONSE for name in source.names}
    available = [name for name in source.names if name and name != "prompt" and name not in answers]
    chosen = choose_models(path, sorted(available), models)
    if not chosen:
        raise ConfigError(f"{path}: has no column of a model beside prompt")
    if need_costs or prices is not None:
        prices = require_prices(path, chosen, prices)
    answered = {model: model + _RESPONSE for model in chosen if model + _RESPONSE in source.names}
    layout = WideLayout(
        text="prompt",
        numbers={"quality": (QUALITY, {model: model for model in chosen})},
        also=tuple(answered.values()),
    )
    rows = source.read(layout.columns())
    results = melt(source, rows, layout)
    costs = [_estimate_costs(rows, (prices or {}).get(model), answered.get(model)) for model in chosen]
    return assemble_dataset(
        replace(
            results,
            tasks=[path.stem.removesuffix("_responses")] * len(results.origins),
            numbers={**results.numbers, "cost_usd": np.concatenate(costs)},
        ),
        chosen,
        skip_bad=skip_bad,
    )


def _estimate_costs(rows: Rows, price: Price | None, answer: str | None) -> FloatArray:
    """(r,) USD of one model; NaN without a price."""
    if price is None:
        return np.full(len(rows.lines), np.nan)
    prompts = [estimate_tokens(str(prompt)) for prompt in rows.columns["prompt"]]
    answers = [math.nan] * len(prompts)
    if answer is not None:
        answers = [estimate_tokens(str(text)) if text else math.nan for text in rows.columns[answer]]
    return np.array([price.cost_usd(i, o) for i, o in zip(prompts, answers, strict=True)], dtype=np.float64)
