"""The sums commute: order, batches, workers, revisions and late events all give one posterior."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandit_router.errors import InvalidInput
from bandit_router.posterior.codec import encode_statistics
from bandit_router.posterior.online import OnlinePosterior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from tests.oracles import Row, regress_rows

ARMS = ("a", "b")
NOISE = 0.09
PRIOR = Prior(mean=np.array([0.5, -0.1, 0.0]), precision=np.array([4.0, 25.0, 0.5]))
PROBES = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, -2.0, 0.5]])

half_lives = pytest.mark.parametrize("half_life_s", [None, 20.0])
contexts = arrays(np.float64, 3, elements=st.floats(-2.0, 2.0))
rewards = st.floats(0.0, 1.0)
own_weights = st.just(1.0) | st.floats(0.01, 1.0)
rows = st.builds(
    Row, arm=st.sampled_from(ARMS), x=contexts, reward=rewards, at=st.floats(0.0, 100.0), weight=own_weights
)
logs = st.lists(rows, max_size=8)


def empty(half_life_s: float | None) -> SufficientStatistics:
    priors = dict.fromkeys(ARMS, PRIOR)
    return SufficientStatistics.empty(priors, schema_id="s1", noise_variance=NOISE, half_life_s=half_life_s)


def fold(seen: Iterable[Row], half_life_s: float | None) -> SufficientStatistics:
    statistics = empty(half_life_s)
    for row in seen:
        statistics.observe(*row)
    return statistics


def assert_same(statistics: SufficientStatistics, other: SufficientStatistics) -> None:
    """Equal counts; equal sums and predictions to 1e-9, all as of the same moment."""
    now = max(statistics.as_of, other.as_of)
    statistics.advance(now)
    other.advance(now)
    np.testing.assert_array_equal(statistics.count, other.count)
    np.testing.assert_allclose(statistics.second, other.second, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(statistics.cross, other.cross, rtol=1e-9, atol=1e-9)
    one, two = statistics.solve(), other.solve()
    for probe in PROBES:
        np.testing.assert_allclose(one.predict(probe), two.predict(probe), rtol=1e-9, atol=1e-9)


@half_lives
@given(log=logs)
def test_the_posterior_is_weighted_regression_on_the_log(log: list[Row], half_life_s: float | None) -> None:
    statistics = fold(log, half_life_s)
    now = max((row.at for row in log), default=0.0)
    statistics.advance(now)
    posterior = statistics.solve()
    for probe in PROBES:
        mean, std = posterior.predict(probe)
        for k, arm in enumerate(ARMS):
            mine = [row for row in log if row.arm == arm]
            theta, covariance = regress_rows(PRIOR, NOISE, mine, half_life_s, now)
            assert mean[k] == pytest.approx(theta @ probe, rel=1e-9, abs=1e-9)
            assert std[k] == pytest.approx(math.sqrt(probe @ covariance @ probe), rel=1e-9)


@half_lives
@given(data=st.data(), log=logs)
def test_any_order_of_the_log_gives_the_same_posterior(
    data: st.DataObject, log: list[Row], half_life_s: float | None
) -> None:
    order = data.draw(st.permutations(log))
    assert_same(fold(order, half_life_s), fold(log, half_life_s))


@half_lives
@given(log=logs, asked=st.lists(st.booleans(), min_size=8, max_size=8))
def test_solving_along_the_way_changes_nothing(
    log: list[Row], asked: list[bool], half_life_s: float | None
) -> None:
    live = empty(half_life_s)
    for row, solves in zip(log, asked, strict=False):
        if solves:
            live.solve()
        live.observe(*row)
    assert_same(live, fold(log, half_life_s))


@half_lives
@given(log=logs)
def test_an_online_posterior_is_at_every_step_the_one_that_is_solved(
    log: list[Row], half_life_s: float | None
) -> None:
    online = OnlinePosterior(empty(half_life_s))
    for row in log:
        online.observe(*row)
        solved = online.statistics.solve()
        for probe in PROBES:
            np.testing.assert_allclose(
                online.posterior.predict(probe), solved.predict(probe), rtol=1e-9, atol=1e-9
            )


@half_lives
@given(log=logs, batch=st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_any_batching_gives_the_same_posterior(
    log: list[Row], batch: list[int], half_life_s: float | None
) -> None:
    batched = empty(half_life_s)
    for wanted in range(3):
        for arm in ARMS:
            mine = [row for row, b in zip(log, batch, strict=False) if (row.arm, b) == (arm, wanted)]
            if mine:
                _, x, r, at, w = zip(*mine, strict=True)
                batched.observe_many(arm, np.array(x), np.array(r), np.array(at), np.array(w))
    assert_same(batched, fold(log, half_life_s))


@half_lives
@given(log=logs, worker=st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_any_split_over_workers_merges_to_the_same_posterior(
    log: list[Row], worker: list[int], half_life_s: float | None
) -> None:
    shares = [[row for row, w in zip(log, worker, strict=False) if w == one] for one in range(3)]
    first, second, third = (fold(share, half_life_s) for share in shares)
    assert_same(third.merge(first).merge(second), fold(log, half_life_s))


@half_lives
@given(log=logs, row=rows)
def test_retracting_undoes_observing(log: list[Row], row: Row, half_life_s: float | None) -> None:
    statistics = fold([*log, row], half_life_s)
    statistics.retract(*row)
    assert_same(statistics, fold(log, half_life_s))


@half_lives
@given(log=logs, row=rows, new=rewards)
def test_revising_equals_having_seen_the_new_reward(
    log: list[Row], row: Row, new: float, half_life_s: float | None
) -> None:
    statistics = fold([row, *log], half_life_s)
    statistics.revise(row.arm, row.x, row.reward, new, row.at, row.weight)
    assert_same(statistics, fold([row._replace(reward=new), *log], half_life_s))


@half_lives
@given(log=logs, row=rows, new=rewards)
def test_revising_and_reverting_changes_nothing(
    log: list[Row], row: Row, new: float, half_life_s: float | None
) -> None:
    statistics = fold([row, *log], half_life_s)
    statistics.revise(row.arm, row.x, row.reward, new, row.at, row.weight)
    statistics.revise(row.arm, row.x, new, row.reward, row.at, row.weight)
    assert_same(statistics, fold([row, *log], half_life_s))


def test_the_same_reward_observed_twice_counts_twice() -> None:
    row = Row("a", np.ones(3), 1.0, 0.0)
    once, twice = fold([row], None), fold([row, row], None)
    assert twice.count.tolist() == [2, 0]
    np.testing.assert_allclose(twice.second, 2 * once.second)


# -- merge -----------------------------------------------------------------------------------------


def test_merging_leaves_both_parts_alone() -> None:
    one, two = fold([Row("a", np.ones(3), 1.0, 5.0)], 20.0), fold([Row("b", np.ones(3), 0.0, 90.0)], 20.0)
    before = encode_statistics(one), encode_statistics(two)
    one.merge(two)
    assert (encode_statistics(one), encode_statistics(two)) == before


@pytest.mark.parametrize("changed", ["arms", "schema_id", "noise_variance", "half_life_s", "prior"])
def test_only_posteriors_of_one_kind_merge(changed: str) -> None:
    settings = {"schema_id": "s1", "noise_variance": NOISE, "half_life_s": 20.0}
    others = {"schema_id": "s2", "noise_variance": 0.2, "half_life_s": None}
    priors = dict.fromkeys(("a", "c") if changed == "arms" else ARMS, PRIOR)
    if changed == "prior":
        priors["b"] = Prior(mean=PRIOR.mean + 0.1, precision=PRIOR.precision)
    if changed in others:
        settings[changed] = others[changed]
    other = SufficientStatistics.empty(priors, **settings)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="merge like with like"):
        empty(20.0).merge(other)


# -- forgetting ------------------------------------------------------------------------------------

PRIOR_STD = np.sqrt(PROBES**2 @ (1 / PRIOR.precision))


@given(log=logs, half_life_s=st.floats(1e-3, 1e6), elapsed=st.floats(0.0, 1e15))
def test_no_width_outgrows_the_prior_however_long_the_wait(
    log: list[Row], half_life_s: float, elapsed: float
) -> None:
    statistics = fold(log, half_life_s)
    statistics.advance(100.0 + elapsed)
    posterior = statistics.solve()
    for probe, bound in zip(PROBES, PRIOR_STD, strict=True):
        assert (posterior.predict(probe)[1] <= bound * (1 + 1e-9)).all()


def test_a_direction_that_is_never_seen_again_returns_to_the_prior() -> None:
    statistics = empty(10.0)
    statistics.observe("a", PROBES[1], 1.0, 0.0)
    widths = []
    for second in range(1, 1001):
        statistics.observe("a", PROBES[0], 1.0, float(second))
        widths.append(statistics.solve().predict(PROBES[1])[1][0])
    assert max(widths) <= PRIOR_STD[1] * (1 + 1e-9)
    assert widths[0] < widths[10] < widths[100]
    mean, std = statistics.solve().predict(PROBES[1])
    assert mean[0] == pytest.approx(PRIOR.mean[1], rel=1e-9)
    assert std[0] == pytest.approx(PRIOR_STD[1], rel=1e-9)


def test_evidence_counts_half_after_one_half_life() -> None:
    statistics = fold([Row("a", PROBES[0], 1.0, 0.0)], 20.0)
    statistics.advance(20.0)
    assert statistics.second[0, 0, 0] == 0.5
    assert statistics.cross[0, 0] == 0.5


def test_the_reference_time_is_the_newest_event_of_a_batch() -> None:
    statistics = empty(20.0)
    statistics.observe_many("a", PROBES[:3], np.ones(3), np.array([5.0, 70.0, 30.0]))
    assert statistics.as_of == 70.0


def test_the_reference_time_never_moves_back() -> None:
    statistics = fold([Row("a", PROBES[0], 1.0, 50.0)], 20.0)
    before = encode_statistics(statistics)
    statistics.advance(10.0)
    assert encode_statistics(statistics) == before


def test_without_a_half_life_evidence_keeps_its_weight() -> None:
    statistics = fold([Row("a", PROBES[0], 1.0, 0.0)], None)
    statistics.advance(1e12)
    assert statistics.second[0, 0, 0] == 1.0
