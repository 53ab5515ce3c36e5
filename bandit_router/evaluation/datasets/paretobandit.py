"""The judged queries that come with the paretobandit package."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset


def load_paretobandit() -> Dataset:
    """The judged queries inside the ``paretobandit`` wheel (Apache-2.0), three models each."""
    try:
        folder = files("pareto_bandit") / "data" / "examples"
    except ModuleNotFoundError:
        raise ConfigError("the demo's data needs: pip install 'bandit-router[demo]'") from None
    rows = [
        json.loads(line)
        for part in ("val.jsonl", "test_holdout.jsonl")
        for line in (folder / part).read_text(encoding="utf-8").split("\n")
        if line
    ]
    models = tuple(sorted({model for row in rows for model in row["arms"]}))
    return Dataset(
        name="paretobandit",
        queries=tuple(row["prompt"] for row in rows),
        models=models,
        quality=np.array([[row["arms"][m]["reward"] for m in models] for row in rows], dtype=np.float64),
        cost_usd=np.array([[row["arms"][m]["cost"] for m in models] for row in rows], dtype=np.float64),
        tasks=tuple(row["source"] for row in rows),
    )
