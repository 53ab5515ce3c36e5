"""The area under share retried against quality, and the script that prints it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.simulation.stream import make_stream
from bandit_router.types import FloatArray
from simulations.cascade import (
    CONTESTANTS,
    RAW,
    Pair,
    area_under_retries,
    judge_contestants,
    quality_with_retries,
)
from tests.simulations.conftest import Figures
from tests.simulations.worlds import DATA


def brute_force(score: FloatArray, gain: FloatArray) -> float:
    """The mean over all orders of ties, by drawing many, of the area under the normalised curve."""
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        order = np.lexsort((rng.random(len(score)), -score))
        curve = np.concatenate([[0.0], gain[order].cumsum()]) / gain.sum()
        found.append(float(np.trapezoid(curve, dx=1 / len(score))))
    return float(np.mean(found))


def test_the_area_is_that_of_the_curve_with_ties_in_any_order() -> None:
    rng = np.random.default_rng(1)
    score, gain = rng.integers(4, size=30).astype(float), rng.random(30) - 0.2
    assert area_under_retries(score, gain)[0] == pytest.approx(brute_force(score, gain), abs=0.02)


@given(arrays(np.float64, 12, elements=st.floats(0.01, 1.0)), st.integers(0, 5))
def test_one_score_for_all_is_a_random_order(gain: FloatArray, score: int) -> None:
    assert area_under_retries(np.full(12, float(score)), gain)[0] == pytest.approx(0.5)


@given(arrays(np.float64, 12, elements=st.floats(0.01, 1.0)))
def test_no_order_beats_that_of_the_gains_and_the_reverse_is_its_mirror(gain: FloatArray) -> None:
    best = area_under_retries(gain, gain)[0]
    assert best >= area_under_retries(np.arange(12.0), gain)[0] - 1e-12
    assert area_under_retries(-gain, gain)[0] == pytest.approx(1.0 - best)


def test_a_weight_is_as_good_as_so_many_copies() -> None:
    rng = np.random.default_rng(2)
    score, gain, counts = rng.random(20), rng.random(20), rng.integers(0, 4, size=20)
    weighted = area_under_retries(score, gain, counts[None].astype(float))
    assert weighted[0] == pytest.approx(area_under_retries(score.repeat(counts), gain.repeat(counts))[0])


def test_quality_goes_from_the_cheap_models_to_the_expensive_ones() -> None:
    quality = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0], [0.2, 0.8]])
    score = np.array([3.0, 1.0, 0.0, 2.0])
    assert quality_with_retries(score, quality, 0.0) == pytest.approx(quality[:, 0].mean())
    assert quality_with_retries(score, quality, 0.5) == pytest.approx((1.0 + 0.5 + 1.0 + 0.8) / 4)
    assert quality_with_retries(score, quality, 1.0) == pytest.approx(quality[:, 1].mean())


def test_calibration_tells_apart_what_raw_confidence_cannot() -> None:
    """Half of the queries are stated with .9 and are right, the others stated with .95 and are wrong."""
    rng = np.random.default_rng(3)
    n, kind = 1_200, np.arange(1_200) % 2
    data = Dataset(
        name="two kinds",
        queries=tuple(f"query {i}" for i in range(n)),
        models=("cheap", "dear"),
        quality=np.column_stack([kind, np.ones(n)]).astype(float),
        cost_usd=np.tile([1e-4, 1e-3], (n, 1)),
    )
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    pair = Pair(stream=make_stream(data, x), confidence=np.where(kind, 0.9, 0.95))
    judged = judge_contestants(pair, seeds=1, learn=400, weight=0.0)
    assert judged[RAW].areas[0] < 0.3
    assert judged["text only, full information"].areas[0] < 0.6
    for name in CONTESTANTS:
        if name.startswith("calibrated"):
            assert judged[name].areas[0] > 0.65, name  # 0.75 at best


def test_the_script_shows_every_contestant(figures: Figures) -> None:
    shown, found = figures("cascade", "--learn", "60", data=DATA)
    assert set(found) == {"Meta-Llama-3.1-8B-Instruct", "claude-3-haiku-20240307"}
    for one in found.values():
        assert set(one) == set(CONTESTANTS)
        assert one[RAW]["minus_raw"] == [0.0, 0.0]
    assert "claude-3-haiku-20240307 (0.743) → gpt-4o (0.835)" in shown
