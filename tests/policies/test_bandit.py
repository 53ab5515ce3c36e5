"""Each policy against an oracle, and the draw from its distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.policies import sample
from bandit_router.policies.bandit import EpsilonGreedy, Fixed, LinUCB, Tempered, Thompson, Uniform
from bandit_router.types import Scores
from tests.contracts.policy import ORDINARY, make_scores, some_scores

EPSILONS = st.sampled_from([0.0, 0.02, 0.5, 1.0])


@given(scores=some_scores(), alpha=st.sampled_from([0.0, 0.5, 3.0]), epsilon=EPSILONS)
def test_linucb_equals_brute_force(scores: Scores, alpha: float, epsilon: float) -> None:
    bound = [u + alpha * s for u, s in zip(scores.utility, scores.std, strict=True)]
    best = [max(bound) - b <= 1e-12 * max(1.0, abs(max(bound))) for b in bound]
    expected = [(1 - epsilon) * won / sum(best) + epsilon / len(best) for won in best]
    assert LinUCB(alpha=alpha, epsilon=epsilon).pmf(scores) == pytest.approx(expected, abs=1e-12)


@given(scores=some_scores(), epsilon=EPSILONS)
def test_epsilon_greedy_is_linucb_without_a_bonus(scores: Scores, epsilon: float) -> None:
    greedy = EpsilonGreedy(epsilon=epsilon).pmf(scores)
    assert greedy == LinUCB(alpha=0.0, epsilon=epsilon).pmf(scores)


def test_linucb_splits_what_only_rounding_tells_apart() -> None:
    assert 0.1 + 0.2 > 0.3
    assert LinUCB(epsilon=0.0).pmf(make_scores([0.1, 0.3, 0.0], [0.2, 0.0, 0.0])) == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("v", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.2])
@pytest.mark.parametrize(
    "scores",
    [
        ORDINARY,
        make_scores([0.5, 0.5], [0.3, 0.001]),
        make_scores([0.9, 0.4, 0.5], [0.01, 0.5, 0.05]),
        make_scores([0.5, 0.6, 0.2], [0.1, 0.0, 1.0]),
    ],
    ids=["ordinary", "widths far apart", "a sure leader", "an arm without width"],
)
def test_thompson_equals_the_frequency_of_the_largest_draw(scores: Scores, v: float, epsilon: float) -> None:
    # 5 standard errors of 400,000 draws: a right policy fails about one arm and seed in two million
    rng, n, k = np.random.default_rng(17), 400_000, len(scores.arms)
    draws = rng.normal(scores.utility, v * scores.std, size=(n, k))
    wins = np.bincount(draws.argmax(axis=1), minlength=k) / n
    pmf = np.array(Thompson(v=v, epsilon=epsilon).pmf(scores))
    tolerance = 5 * np.sqrt(wins * (1 - wins) / n) + 10 / n
    assert (np.abs(pmf - ((1 - epsilon) * wins + epsilon / k)) <= tolerance).all()


@given(scores=some_scores(), least=st.sampled_from([0.0, 0.5, 1.0]), slope=st.sampled_from([0.0, 5.0, 100.0]))
def test_tempered_is_thompson_with_narrowed_widths(scores: Scores, least: float, slope: float) -> None:
    narrowed = [s * min(1.0, least + slope * s) for s in scores.std]
    expected = Thompson(epsilon=0.1).pmf(scores._replace(std=np.array(narrowed)))
    found = Tempered(least=least, slope=slope, epsilon=0.1, rated_exponent=0.0).pmf(scores)
    assert found == pytest.approx(expected, abs=1e-12)


def test_tempered_calms_down_as_it_learns() -> None:
    """The same leader, two standard deviations ahead: the surer of both, the less the other is tried."""
    others = [
        Tempered(epsilon=0.0).pmf(make_scores([0.5, 0.5 - 2 * s], [s, s]))[1] for s in (0.2, 0.1, 0.05, 0.01)
    ]
    assert others == sorted(others, reverse=True)
    assert others[-1] < others[0] / 10


def test_thompson_for_two_arms_is_the_normal_distribution_function() -> None:
    pmf = Thompson(epsilon=0.0).pmf(make_scores([0.6, 0.5], [0.3, 0.4]))
    assert pmf[0] == pytest.approx(0.5 * (1 + math.erf(0.1 / 0.5 / math.sqrt(2))), abs=1e-5)


def test_thompson_without_width_is_greedy() -> None:
    assert Thompson(v=0.0, epsilon=0.0).pmf(make_scores([0.5, 0.6], [0.9, 0.1])) == pytest.approx([0.0, 1.0])


@given(scores=some_scores())
def test_uniform_gives_every_arm_the_same(scores: Scores) -> None:
    k = len(scores.arms)
    assert Uniform().pmf(scores) == pytest.approx([1 / k] * k, rel=1e-15)


def test_fixed_puts_what_is_not_the_floor_on_its_arm() -> None:
    assert Fixed(arm="a2").pmf(make_scores([0.9] * 4, [1.0] * 4)) == [0.0, 0.0, 1.0, 0.0]
    assert Fixed(arm="a0", epsilon=0.5).pmf(make_scores([0.0, 0.9], [0.0, 0.1])) == [0.75, 0.25]


def test_fixed_spreads_evenly_where_its_arm_is_not_eligible() -> None:
    assert Fixed(arm="gone").pmf(make_scores([0.1, 0.9], [0.0, 0.1])) == [0.5, 0.5]


# -- sample ----------------------------------------------------------------------------------------


def test_one_draw_takes_one_number_from_the_generator() -> None:
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    sample([0.2, 0.3, 0.5], rng)
    twin.random()
    assert rng.random() == twin.random()


def test_a_sum_that_rounding_left_below_one_never_picks_an_arm_of_probability_zero() -> None:
    rng = np.random.default_rng(5)
    assert {sample([0.0, 1e-9, 0.0], rng) for _ in range(100)} == {1}
