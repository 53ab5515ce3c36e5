"""Feedback metrics -> the scalar reward in [0, 1] that the posterior learns."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bandit_router.errors import InvalidInput
from bandit_router.types import METRICS
from bandit_router.validation import read_number

_LESS_IS_BETTER = ("error", "override")
"""Metrics for which less is better."""


def check_metric(name: str, value: object, prefix: str = "") -> float:
    """``value`` as a float when it is a legal value of the metric; true and false are 1 and 0 of a share.

    Raises InvalidInput.
    """
    if name not in METRICS:
        raise InvalidInput(prefix + name, "is not a metric", f"use one of {', '.join(METRICS)}")
    largest = METRICS[name]
    return read_number(prefix + name, value, most=largest, booleans=largest == 1.0)


def compute_reward(metrics: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """The weighted mean Σ w_k v_k / Σ w_k over the weighted metrics that are present.

    ``error`` and ``override`` count as 1 − value: a failed call and an answer that the caller replaced are
    worth nothing. A decision with ``error`` = 1 and no weighted metric has reward 0. None without any metric
    of quality.
    """
    present = [(w, _orient_metric(k, metrics[k])) for k, w in weights.items() if k in metrics]
    if not present:
        return 0.0 if metrics.get("error") == 1.0 else None
    total = math.fsum(w for w, _ in present)
    return min(1.0, max(0.0, math.fsum(w * v for w, v in present) / total))


def _orient_metric(metric: str, value: float) -> float:
    return 1.0 - value if metric in _LESS_IS_BETTER else value
