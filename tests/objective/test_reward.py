from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.objective.reward import (
    check_metric,
    compute_reward,
    find_reward_metrics,
    list_weighted_metrics,
)
from bandit_router.types import CONFIDENCE, METRICS

WORSE_IF_MORE = (
    *("error", "override", "refusal", "truncated", "empty", "invalid_json"),
    *("tool_error", "regenerated", "abandoned"),
)
BOUNDED = [name for name, largest in METRICS.items() if largest == 1.0]

values = st.floats(0.0, 1.0)
weightings = st.dictionaries(st.sampled_from(BOUNDED), st.floats(1e-6, 1e9), min_size=1)
metrics_seen = st.dictionaries(st.sampled_from(list(METRICS)), values)


def test_one_metric_is_the_reward() -> None:
    assert compute_reward({"quality": 0.7}, {"quality": 3.0}) == pytest.approx(0.7, rel=1e-15)


def test_the_reward_is_the_weighted_mean() -> None:
    assert compute_reward({"quality": 1.0, "satisfaction": 0.2}, {"quality": 3.0, "satisfaction": 1.0}) == 0.8


def test_a_weighted_metric_that_is_absent_drops_out_of_the_mean() -> None:
    assert compute_reward({"quality": 0.7}, {"quality": 1.0, "satisfaction": 9.0}) == 0.7


def test_a_metric_without_weight_does_not_matter() -> None:
    assert compute_reward({"quality": 0.7, "cost_usd": 5.0, "latency_s": 60.0}, {"quality": 1.0}) == 0.7


@pytest.mark.parametrize("name", WORSE_IF_MORE)
def test_what_is_bad_counts_as_its_opposite(name: str) -> None:
    assert compute_reward({"quality": 1.0, name: 0.75}, {"quality": 1.0, name: 2.0}) == pytest.approx(0.5)


def test_an_override_matters_only_with_a_weight() -> None:
    metrics = {"quality": 0.8, "override": 1.0}
    assert compute_reward(metrics, {"quality": 1.0}) == 0.8
    assert compute_reward(metrics, {"quality": 1.0, "override": 0.5}) == pytest.approx(0.8 / 1.5)
    assert compute_reward({"override": 1.0}, {"quality": 1.0}) is None


def test_a_failed_call_with_no_weighted_metric_is_worth_nothing() -> None:
    assert compute_reward({"error": 1.0}, {"quality": 1.0}) == 0.0


@pytest.mark.parametrize("metrics", [{}, {"cost_usd": 0.1}, {"error": 0.0}, {"satisfaction": 1.0}])
def test_nothing_said_about_quality_is_no_reward(metrics: dict[str, float]) -> None:
    assert compute_reward(metrics, {"quality": 1.0}) is None


@given(metrics=metrics_seen, weights=weightings)
def test_the_reward_is_numpys_weighted_average_of_what_is_present(
    metrics: dict[str, float], weights: dict[str, float]
) -> None:
    present = [name for name in weights if name in metrics]
    good = {name: 1 - v if name in WORSE_IF_MORE else v for name, v in metrics.items()}
    if present:
        expected = np.average([good[name] for name in present], weights=[weights[name] for name in present])
        assert compute_reward(metrics, weights) == pytest.approx(expected, rel=1e-12, abs=1e-300)
    else:
        assert compute_reward(metrics, weights) == (0.0 if metrics.get("error") == 1.0 else None)


@given(metrics=metrics_seen, weights=weightings)
def test_a_metric_stands_in_only_where_another_is_missing(
    metrics: dict[str, float], weights: dict[str, float]
) -> None:
    first, *others = weights
    stand_in = "judged" if first != "judged" else "quality"
    weights = {name: weight for name, weight in weights.items() if name != stand_in}
    terms = {f"{first}|{stand_in}" if name == first else name: weight for name, weight in weights.items()}
    others = [name for name in others if name in weights]
    if first in metrics or stand_in not in metrics:
        assert compute_reward(metrics, terms) == compute_reward(metrics, weights)
    else:
        instead = {stand_in: weights[first], **{name: weights[name] for name in others}}
        assert compute_reward(metrics, terms) == compute_reward(metrics, instead)
    assert set(find_reward_metrics(metrics, terms)) <= {*list_weighted_metrics(terms), "error"}


@given(metrics=metrics_seen, weights=weightings)
def test_every_reward_is_in_the_unit_interval(metrics: dict[str, float], weights: dict[str, float]) -> None:
    value = compute_reward(metrics, weights)
    assert value is None or 0.0 <= value <= 1.0


# -- check_metric ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_a_legal_value_comes_back_as_a_float(name: str, share: float) -> None:
    value = check_metric(name, share * METRICS[name])
    assert (value, type(value)) == (share * METRICS[name], float)


def test_a_whole_number_is_a_legal_value() -> None:
    assert type(check_metric("quality", 1)) is float


@pytest.mark.parametrize("name", METRICS)
def test_the_next_number_above_the_largest_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name}: is out of range"):
        check_metric(name, math.nextafter(METRICS[name], math.inf))


BAD = [math.nan, math.inf, -math.inf, -1, -sys.float_info.min, 10**400, -(10**400)]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("value", [*BAD, "0.5", None, [0.5], {}, 1j], ids=lambda v: f"{v!s:.9}")
def test_anything_but_a_number_in_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}: .*; give a number in \[0, 1(e\+06)?\]") as refusal:
        check_metric(name, value)
    assert refusal.value.field == name


@pytest.mark.parametrize("name", METRICS)
def test_true_and_false_are_values_of_a_share_and_of_nothing_else(name: str) -> None:
    if name in BOUNDED:
        assert [check_metric(name, value) for value in (True, np.False_)] == [1.0, 0.0]
    else:
        with pytest.raises(InvalidInput, match=f"{name}: is bool, not a number"):
            check_metric(name, True)


def test_the_field_carries_the_prefix_of_the_caller() -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_metric("quality", 2.0, prefix="metrics.")
    assert refusal.value.field == "metrics.quality"


def test_an_unknown_metric_is_refused_with_those_that_feedback_takes() -> None:
    allowed = ", ".join(name for name in METRICS if name != CONFIDENCE)
    with pytest.raises(InvalidInput, match=f"metrics.stars: is not a metric; use one of {allowed}"):
        check_metric("stars", 0.5, prefix="metrics.")
