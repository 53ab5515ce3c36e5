"""Feedback metrics -> the scalar reward in [0, 1] that the posterior learns."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bandit_router.errors import InvalidInput
from bandit_router.types import CONFIDENCE, METRICS, OR_ELSE, Scale
from bandit_router.validation import convert_to_float, read_number

_ERROR = "error"
_LESS_IS_BETTER = (
    *(_ERROR, "override", "refusal", "truncated", "empty", "invalid_json"),
    *("tool_error", "regenerated", "abandoned"),
)
"""Metrics for which less is better."""


NO_SCALES: Mapping[str, Scale] = {}
_DECLARE = "declare a metric of your own: [metrics.{}] scale = [1, 5]"


def check_metric_name(name: str, scales: Mapping[str, Scale] = NO_SCALES, prefix: str = "") -> None:
    """Raise InvalidInput unless it is a metric of ours, or one that ``scales`` declares."""
    if name not in METRICS and name not in scales:
        allowed = ", ".join(known for known in [*METRICS, *scales] if known != CONFIDENCE)
        raise InvalidInput(
            prefix + name, "is not a metric", f"use one of {allowed}, or {_DECLARE.format(name)}"
        )


def check_metric(
    name: str, value: object, prefix: str = "", scales: Mapping[str, Scale] = NO_SCALES
) -> float:
    """The value of a metric as it is logged; true and false are 1 and 0 of a share.

    A metric of the owner's is logged as a share of its scale, in [0, 1], so that a value in the log keeps its
    meaning whatever a later scale or another worker's settings say. Raises InvalidInput.
    """
    check_metric_name(name, scales, prefix)
    if name in scales:
        low, high = scales[name]
        number = read_number(prefix + name, value, least=low, most=high, booleans=(low, high) == (0.0, 1.0))
        return scales[name].normalize(number)
    largest = METRICS[name]
    try:
        return read_number(prefix + name, value, most=largest, booleans=largest == 1.0)
    except InvalidInput as error:
        if largest > 1.0 or convert_to_float(value) is None:
            raise
        fix = f"{error.fix}, or {_DECLARE.format('stars')}"
        raise InvalidInput(error.field, error.problem, fix) from None


def compute_reward(metrics: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """The weighted mean Σ w_k v_k / Σ w_k over the weighted metrics that are present.

    A key of the weights is a metric, or ``quality|judged``, of which the first that is present counts.

    ``error``, ``override`` and the others of which less is better count as 1 − value: a failed call and an
    answer that the caller replaced are worth nothing. A decision with ``error`` = 1 and no weighted metric
    has reward 0. None without any metric of quality.
    """
    present = [
        (w, orient_metric(k, metrics[k]))
        for term, w in weights.items()
        if (k := _select_metric(term, metrics)) is not None
    ]
    if not present:
        return 0.0 if metrics.get(_ERROR) == 1.0 else None
    total = math.fsum(w for w, _ in present)
    return min(1.0, max(0.0, math.fsum(w * v for w, v in present) / total))


def find_reward_metrics(metrics: Mapping[str, float], weights: Mapping[str, float]) -> list[str]:
    """The metrics that :func:`compute_reward` makes the reward of."""
    selected = (_select_metric(term, metrics) for term in weights)
    return [metric for metric in selected if metric is not None] or [_ERROR]


def list_weighted_metrics(weights: Mapping[str, float]) -> list[str]:
    """Every metric that a reward can be made of by these weights."""
    return [metric for term in weights for metric in term.split(OR_ELSE)]


def _select_metric(term: str, metrics: Mapping[str, float]) -> str | None:
    """The metric that counts for a term; None if none of its metrics is present."""
    return next((metric for metric in term.split(OR_ELSE) if metric in metrics), None)


def orient_metric(metric: str, value: float) -> float:
    """The value, or 1 − value of a metric of which less is better: more is better either way."""
    return 1.0 - value if metric in _LESS_IS_BETTER else value
