"""The curve and the choice of a threshold against trying every threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.training.examples import ModelPair, TrainingExamples
from bandit_router.evaluation.training.threshold import (
    DEFAULT_THRESHOLD,
    CheapAndExpensive,
    ThresholdCurve,
    ThresholdTarget,
    blind_mix,
    choose_threshold,
    threshold_curve,
)
from bandit_router.types import FloatArray

PAIR = ModelPair(cheap="small", expensive="large")


def some(seed: int, n: int = 60, *, logged: bool = False) -> tuple[TrainingExamples, FloatArray]:
    """Queries with predictions that often tie; in a log only one model answered each."""
    rng = np.random.default_rng(seed)
    quality = rng.random((n, 2))
    weight = np.ones((n, 2))
    if logged:
        acted = rng.integers(0, 3, size=n)  # 2: another arm
        weight = np.where(acted[:, None] == [0, 1], 1.0 / rng.uniform(0.2, 1.0, size=(n, 1)), 0.0)
    quality[:20], quality[20:40] = 0.1, 0.9
    weight[:40, 0] = 1.0
    examples = TrainingExamples(
        pair=PAIR, schema_id="s", source="t", low=0.5, x=np.ones((n, 1)), quality=quality, weight=weight,
        cost_usd=np.column_stack([rng.uniform(0.1, 0.2, n), rng.uniform(0.5, 1.5, n)]),
    )  # fmt: skip
    return examples, np.round(rng.random(n), 1 + seed % 2)


def tried(examples: TrainingExamples, p: FloatArray, threshold: float) -> tuple[float, float, float]:
    """Share, quality and cost at a threshold, row by row."""
    total = weights = cost = 0.0
    for i in range(len(p)):
        column = int(p[i] > threshold)
        total += examples.weight[i, column] * examples.quality[i, column]
        weights += examples.weight[i, column]
        cost += examples.cost_usd[i, column]
    return float((p > threshold).mean()), total / weights if weights else math.nan, cost / len(p)


@pytest.mark.parametrize("logged", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_curve_is_what_every_threshold_does(seed: int, logged: bool) -> None:
    examples, p = some(seed, logged=logged)
    p = np.maximum(p, 0.01)
    curve = threshold_curve(examples, p)
    assert curve.threshold.tolist() == sorted({0.0, *p.tolist()})
    for i, threshold in enumerate(curve.threshold.tolist()):
        found = (curve.share[i], curve.quality[i], curve.cost_usd[i])
        assert found == pytest.approx(tried(examples, p, threshold), abs=1e-12, nan_ok=True)
    for threshold in (0.0, 0.123, 0.5, DEFAULT_THRESHOLD, 1.0):
        assert curve.share[curve.at(threshold)] == pytest.approx((p > threshold).mean())


@given(seed=st.integers(0, 200), share=st.floats(0.5, 1.0), logged=st.booleans())
def test_a_quality_target_sends_as_few_as_it_can(seed: int, share: float, logged: bool) -> None:
    examples, p = some(seed, logged=logged)
    p = np.maximum(p, 0.01)
    choice = choose_threshold(threshold_curve(examples, p), ThresholdTarget(quality=share))
    wanted = share * tried(examples, p, 0.0)[1]
    good = [t for t in {0.0, *p.tolist()} if tried(examples, p, t)[1] >= wanted - 1e-12]
    assert tried(examples, p, choice.threshold)[1] >= wanted - 1e-12
    assert tried(examples, p, choice.threshold)[0] == tried(examples, p, max(good))[0]


@given(seed=st.integers(0, 200), usd=st.floats(0.2, 1.5))
def test_a_cost_target_sends_as_many_as_it_can(seed: int, usd: float) -> None:
    examples, p = some(seed)
    p = np.maximum(p, 0.01)
    choice = choose_threshold(threshold_curve(examples, p), ThresholdTarget(usd_per_request=usd))
    good = [t for t in {0.0, *p.tolist()} if tried(examples, p, t)[2] <= usd]
    assert tried(examples, p, choice.threshold) == tried(examples, p, min(good))


def test_the_blind_mix_costs_the_same() -> None:
    """Against a coin that was thrown for every query."""
    examples, _ = some(3, n=4000)
    qualities, costs = (
        CheapAndExpensive(*values.mean(axis=0).tolist()) for values in (examples.quality, examples.cost_usd)
    )
    column = (np.random.default_rng(0).random(4000) < 0.3).astype(int)
    rows = np.arange(4000)
    spent = float(examples.cost_usd[rows, column].mean())
    mix = blind_mix(qualities, costs, spent, share=0.9)
    assert mix.share == pytest.approx(0.3, abs=0.03)
    assert mix.quality == pytest.approx(examples.quality[rows, column].mean(), abs=0.02)
    assert blind_mix(qualities, CheapAndExpensive(1.0, 1.0), 1.0, share=0.9).share == 0.9


def test_without_a_target_it_is_the_default() -> None:
    choice = choose_threshold(threshold_curve(*some(0)), ThresholdTarget())
    assert (choice.threshold, choice.why) == (0.7, "the default")


def test_a_threshold_has_few_digits() -> None:
    n = 4
    curve = ThresholdCurve(
        threshold=np.array([0.0, 0.1234567, 0.4999999, 0.9]), share=np.linspace(1, 0, n),
        quality=np.array([1.0, 0.99, 0.98, 0.5]), cost_usd=np.linspace(1, 0, n),
    )  # fmt: skip
    assert choose_threshold(curve, ThresholdTarget(quality=0.98)).threshold == 0.7
    assert choose_threshold(curve, ThresholdTarget(quality=0.99)).threshold == 0.31


def test_a_cost_that_nothing_keeps_to() -> None:
    with pytest.raises(InvalidInput, match=r"usd_per_request.*give at least 0\.1"):
        choose_threshold(threshold_curve(*some(0)), ThresholdTarget(usd_per_request=0.01))


def test_a_log_that_knows_nothing_of_the_expensive_model() -> None:
    examples, p = some(0)
    examples.weight[:, 1] = 0.0
    with pytest.raises(InvalidInput, match="no reward of the expensive model"):
        choose_threshold(threshold_curve(examples, p), ThresholdTarget(quality=0.9))


@pytest.mark.parametrize(
    "values",
    [
        {"quality": 0.0}, {"quality": 1.1}, {"quality": math.nan}, {"usd_per_request": 0.0},
        {"usd_per_request": math.inf}, {"quality": 0.9, "usd_per_request": 0.1},
    ],
)  # fmt: skip
def test_targets_that_are_none(values: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        ThresholdTarget(**values)
