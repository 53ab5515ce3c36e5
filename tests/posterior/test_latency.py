"""Quantiles against numpy's, and counts that commute: order, workers, revisions, late events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput, SnapshotCorrupt
from bandit_router.posterior.codec import (
    decode_latencies,
    decode_statistics,
    encode_latencies,
    encode_statistics,
)
from bandit_router.posterior.latency import ACCURACY, BINS, GAMMA, SMALLEST_S, Latencies
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import METRICS, FloatArray

ARMS = ("a", "b")
X = np.ones(1)


class Timed(NamedTuple):
    arm: str
    latency_s: float
    at: float
    weight: float = 1.0


half_lives = pytest.mark.parametrize("half_life_s", [None, 20.0])
seconds = st.floats(SMALLEST_S, METRICS["latency_s"])
quarters = st.sampled_from([0.25, 0.5, 1.0])  # sums of them are exact
timings = st.builds(
    Timed, arm=st.sampled_from(ARMS), latency_s=seconds, at=st.floats(0.0, 100.0), weight=quarters
)
logs = st.lists(timings, max_size=8)


def fold(log: Iterable[Timed], half_life_s: float | None = None) -> Latencies:
    latencies = Latencies.empty(ARMS, half_life_s)
    for arm, latency, at, weight in log:
        latencies.observe(arm, X, latency, at, weight)
    return latencies


def assert_same(one: Latencies, other: Latencies) -> None:
    """Equal counts; equal bins, to the last bit without forgetting, all as of the same moment."""
    now = max(one.as_of, other.as_of)
    one.advance(now)
    other.advance(now)
    np.testing.assert_array_equal(one.count, other.count)
    if one.half_life_s is None:
        np.testing.assert_array_equal(one.bins, other.bins)
    np.testing.assert_allclose(one.bins, other.bins, rtol=1e-9, atol=1e-12)


# -- quantiles -------------------------------------------------------------------------------------


def weights(log: list[Timed], half_life_s: float | None) -> FloatArray:
    at, own = np.array([timed.at for timed in log]), np.array([timed.weight for timed in log])
    return own if half_life_s is None else own * np.exp2((at - at.max()) / half_life_s)


@half_lives
@given(log=st.lists(timings.map(lambda t: t._replace(arm="a")), min_size=1, max_size=40), q=st.floats(0, 1))
def test_quantiles_are_numpy_s_within_the_accuracy(
    log: list[Timed], q: float, half_life_s: float | None
) -> None:
    values, weight = np.array([timed.latency_s for timed in log]), weights(log, half_life_s)
    low, high = np.quantile(
        values, np.clip([q - 1e-6, q + 1e-6], 0.0, 1.0), weights=weight, method="inverted_cdf"
    )
    found = fold(log, half_life_s).quantile("a", q)
    assert found is not None
    assert low * (1 - ACCURACY - 1e-9) <= found <= high * (1 + ACCURACY + 1e-9)


@half_lives
@given(log=st.lists(timings.map(lambda t: t._replace(arm="a")), min_size=1, max_size=40), deadline_s=seconds)
def test_the_share_within_a_deadline_is_right_but_for_the_bin_it_falls_into(
    log: list[Timed], deadline_s: float, half_life_s: float | None
) -> None:
    values, weight = np.array([timed.latency_s for timed in log]), weights(log, half_life_s)
    low, high = (
        weight[values <= deadline_s * factor].sum() / weight.sum()
        for factor in (1 / GAMMA - 1e-9, GAMMA + 1e-9)
    )
    found = fold(log, half_life_s).share_in_time("a", deadline_s)
    assert found is not None
    assert low - 1e-9 <= found <= high + 1e-9


def test_shares_of_log_normal_latencies_are_the_true_ones() -> None:
    """Interpolation inside a bin has no bias to speak of: 0.002 is 4 standard errors of 10⁶ draws."""
    rng, latencies = np.random.default_rng(0), Latencies.empty(ARMS)
    drawn = 2.0 * np.exp(0.5 * rng.standard_normal(1_000_000))
    latencies.observe_many("a", np.ones((drawn.size, 1)), drawn, np.zeros(drawn.size))
    for z in (-1.0, 0.0, 1.0, 2.326):
        found = latencies.share_in_time("a", 2.0 * math.exp(0.5 * z))
        assert found == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))), abs=0.002)


def test_of_an_arm_that_was_never_timed_nothing_is_known() -> None:
    latencies = fold([Timed("a", 1.0, 0.0)])
    latencies.retract("a", X, 1.0, 0.0)
    for arm in ARMS:
        assert latencies.quantile(arm, 0.5) is None
        assert latencies.share_in_time(arm, 1.0) is None


@pytest.mark.parametrize("latency_s", [0.0, 1e-9, SMALLEST_S, METRICS["latency_s"]])
def test_every_legal_latency_has_a_bin(latency_s: float) -> None:
    latencies = fold([Timed("a", latency_s, 0.0)])
    found = latencies.quantile("a", 0.5)
    assert found == pytest.approx(max(latency_s, SMALLEST_S), rel=ACCURACY * 1.001)
    assert latencies.share_in_time("a", 2e6) == 1.0
    assert latencies.share_in_time("a", SMALLEST_S / 2) == 0.0
    assert latencies.bins[0, [0, BINS - 1]].sum() == 1.0


# -- sums that commute -----------------------------------------------------------------------------


@half_lives
@given(data=st.data(), log=logs)
def test_any_order_of_the_log_gives_the_same_counts(
    data: st.DataObject, log: list[Timed], half_life_s: float | None
) -> None:
    assert_same(fold(data.draw(st.permutations(log)), half_life_s), fold(log, half_life_s))


@half_lives
@given(log=logs, worker=st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_any_split_over_workers_and_batches_merges_to_the_same_counts(
    log: list[Timed], worker: list[int], half_life_s: float | None
) -> None:
    merged = Latencies.empty(ARMS, half_life_s)
    for one in range(3):
        share = Latencies.empty(ARMS, half_life_s)
        for arm in ARMS:
            mine = [t for t, w in zip(log, worker, strict=False) if (t.arm, w) == (arm, one)]
            columns = ("latency_s", "at", "weight")
            latency, at, weight = (np.array([getattr(t, name) for t in mine]) for name in columns)
            share.observe_many(arm, np.ones((len(mine), 1)), latency, at, weight)
        before = share.copy()
        merged = merged.merge(share)
        assert_same(share, before)
    assert_same(merged, fold(log, half_life_s))


@half_lives
@given(log=logs, row=timings)
def test_retracting_undoes_observing(log: list[Timed], row: Timed, half_life_s: float | None) -> None:
    latencies = fold([*log, row], half_life_s)
    latencies.retract(row.arm, X, row.latency_s, row.at, row.weight)
    assert_same(latencies, fold(log, half_life_s))


@half_lives
@given(log=logs, row=timings, new=seconds)
def test_revising_equals_having_seen_the_new_latency_and_can_be_reverted(
    log: list[Timed], row: Timed, new: float, half_life_s: float | None
) -> None:
    latencies = fold([row, *log], half_life_s)
    latencies.revise(row.arm, X, row.latency_s, new, row.at, row.weight)
    assert_same(latencies.copy(), fold([row._replace(latency_s=new), *log], half_life_s))
    latencies.revise(row.arm, X, new, row.latency_s, row.at, row.weight)
    assert_same(latencies, fold([row, *log], half_life_s))


@given(log=logs.filter(bool), later=st.floats(0.0, 1e4))
def test_forgetting_is_that_of_the_posterior(log: list[Timed], later: float) -> None:
    """The weight of an arm's latencies is what the posterior's S has for a context of ones."""
    prior = Prior(mean=np.zeros(1), precision=np.ones(1))
    posterior = SufficientStatistics.empty(
        dict.fromkeys(ARMS, prior), schema_id="s", noise_variance=1.0, half_life_s=20.0
    )
    latencies = fold(log, 20.0)
    for arm, _, at, weight in log:
        posterior.observe(arm, X, 0.5, at, weight)
    for one in (posterior, latencies):
        one.advance(100.0 + later)
    np.testing.assert_allclose(latencies.bins.sum(axis=1), posterior.second[:, 0, 0], rtol=1e-9)
    assert latencies.as_of == posterior.as_of


def test_the_reference_time_never_moves_back() -> None:
    latencies = fold([Timed("a", 1.0, 50.0)], 20.0)
    before = encode_latencies(latencies)
    latencies.advance(10.0)
    assert encode_latencies(latencies) == before


def test_an_arm_can_be_added_and_evidence_be_left_out() -> None:
    latencies = fold([Timed("a", 1.0, 5.0)], 20.0)
    more = latencies.with_arms(["c"])
    assert (more.arms, more.count.tolist(), more.as_of) == (("a", "b", "c"), [1, 0, 0], 5.0)
    more.observe("c", X, 2.0, 5.0)
    assert latencies.count.tolist() == [1, 0]
    assert_same(more.without_evidence(), Latencies.empty(("a", "b", "c"), 20.0))
    with pytest.raises(InvalidInput, match="exists already"):
        latencies.with_arms(["a"])


@pytest.mark.parametrize("other", [Latencies.empty(("a",), 20.0), Latencies.empty(ARMS, 30.0)])
def test_only_latencies_of_one_kind_merge(other: Latencies) -> None:
    with pytest.raises(InvalidInput, match="merge like with like"):
        Latencies.empty(ARMS, 20.0).merge(other)


@pytest.mark.parametrize(("latency_s", "at"), [(math.nan, 0.0), (math.inf, 0.0), (1.0, math.nan)])
def test_what_is_not_finite_is_refused_and_loses_nothing(latency_s: float, at: float) -> None:
    latencies = fold([Timed("a", 1.0, 0.0)])
    with pytest.raises(InvalidInput, match="is not finite"):
        latencies.observe("a", X, latency_s, at)
    assert_same(latencies, fold([Timed("a", 1.0, 0.0)]))


# -- the binary form -------------------------------------------------------------------------------


@half_lives
@given(log=logs)
def test_decoding_gives_back_what_was_encoded(log: list[Timed], half_life_s: float | None) -> None:
    latencies = fold(log, half_life_s)
    again = decode_latencies(encode_latencies(latencies))
    assert (again.arms, again.half_life_s, again.as_of) == (ARMS, half_life_s, latencies.as_of)
    np.testing.assert_array_equal(again.bins, latencies.bins)
    again.observe("a", X, 1.0, 200.0)
    latencies.observe("a", X, 1.0, 200.0)
    assert encode_latencies(again) == encode_latencies(latencies)


BLOB = encode_latencies(fold([Timed("a", 1.0, 0.0)]))


@given(position=st.integers(0, len(BLOB) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_corruption(position: int, flip: int) -> None:
    blob = bytearray(BLOB)
    blob[position] ^= flip
    with pytest.raises(SnapshotCorrupt):
        decode_latencies(bytes(blob))


def test_a_posterior_is_not_taken_for_latencies_nor_the_other_way_round() -> None:
    posterior = encode_statistics(SufficientStatistics.empty({}, schema_id="s", noise_variance=1.0, dim=1))
    wrong: tuple[tuple[Callable[[bytes], object], bytes], ...] = (
        (decode_latencies, posterior),
        (decode_statistics, BLOB),
    )
    for read, blob in wrong:
        with pytest.raises(SnapshotCorrupt, match="this package reads"):
            read(blob)
