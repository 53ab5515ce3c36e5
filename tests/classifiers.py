"""Small classifiers, and the files they are kept in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bandit_router.features import build_pipeline
from bandit_router.signals.classifier import Classifier, save_classifier


def a_classifier(seed: int = 0, embedding: str = "none", **changes: Any) -> Classifier:
    """With random coefficients; of the 15 text statistics, or of those and an embedding."""
    pipeline, rng = build_pipeline(embedding=embedding), np.random.default_rng(seed)
    made = Classifier(
        schema_id=pipeline.schema_id,
        mean=rng.random(pipeline.dim),
        scale=0.5 + rng.random(pipeline.dim),
        coefficients=rng.normal(size=pipeline.dim),
        intercept=0.3,
        calibration_slope=0.9,
        calibration_intercept=-0.1,
        cheap="small",
        expensive="large",
        threshold=0.7,
        threshold_why="the default",
        trained_at="2026-01-02T03:04:05+00:00",
        source="a test: 100 queries",
        metrics={"low": 0.5, "cross_validated": {"accuracy": {"value": 0.75}}},
    )
    return replace(made, **changes)


def long_is_complex(threshold_words: float = 8.0) -> Classifier:
    """P > 0.5 where a query has more words than this: a rule that a test can see through."""
    pipeline = build_pipeline(embedding="none")
    words = 2  # the bias, the length of the prompt, the words
    coefficients = np.zeros(pipeline.dim)
    coefficients[words] = 200.0
    at = float(np.log1p(threshold_words + 0.5) / np.log1p(5000))
    return a_classifier(
        mean=np.full(pipeline.dim, at),
        scale=np.ones(pipeline.dim),
        coefficients=coefficients,
        intercept=0.0,
        calibration_slope=1.0,
        calibration_intercept=0.0,
    )


def saved(classifier: Classifier, folder: Path) -> Path:
    """Its file, classifier.json in the folder."""
    path = folder / "classifier.json"
    save_classifier(classifier, path)
    return path
