"""The weights of keys: no key has more than its share, and nothing is capped without need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.security.influence import (
    LEAST_GIVEN,
    KeyActivity,
    find_most_counted,
    weigh_feedback,
)

counts = st.lists(st.integers(LEAST_GIVEN, 100_000), min_size=1, max_size=12)
shares = st.floats(0.01, 1.0)


@given(given=counts, max_share=shares)
def test_no_key_counts_for_more_than_its_share(given: list[int], max_share: float) -> None:
    most = find_most_counted(given, max_share)
    counted = [min(number, most) for number in given]
    assert max(counted) <= max(max_share, 1.5 / len(given)) * sum(counted) * (1.0 + 1e-9)


@given(given=counts, max_share=shares)
def test_keys_are_capped_no_more_than_they_have_to_be(given: list[int], max_share: float) -> None:
    most = find_most_counted(given, max_share)
    if max(given) > most:
        share = max(max_share, 1.5 / len(given))
        assert most == pytest.approx(share * sum(min(number, most) for number in given), rel=1e-9)


def simulate(rates: list[float], max_share: float, n: int = 20_000) -> tuple[list[float], list[float]]:
    """The share of all weight that each key has in the later half, and the weights of the first key there."""
    rng = np.random.default_rng(1)
    activity = {str(k): KeyActivity() for k in range(len(rates))}
    total, of_first = dict.fromkeys(activity, 0.0), []
    for i, key in enumerate(map(str, rng.choice(len(rates), n, p=rates))):
        activity[key] = activity[key].plus(KeyActivity(given=1))
        weight = weigh_feedback(key, activity, max_share)
        activity[key] = activity[key].plus(KeyActivity(weight=weight or 0.0))
        if i > n // 2:
            total[key] += 1.0 if weight is None else weight
            of_first += [1.0 if weight is None else weight] if key == "0" else []
    return [weight / sum(total.values()) for weight in total.values()], of_first


@pytest.mark.parametrize(("busy", "max_share"), [(0.3, 0.15), (0.6, 0.3), (0.8, 0.2)])
def test_at_a_steady_rate_a_busy_key_has_its_share_and_all_of_it_is_heard(
    busy: float, max_share: float
) -> None:
    shares, weights = simulate([busy] + [(1.0 - busy) / 9] * 9, max_share)
    assert shares[0] == pytest.approx(max_share, abs=0.02)
    assert min(weights) > 0.5 * max(weights)


def test_equally_busy_keys_are_not_capped() -> None:
    _, weights = simulate([1.0 / 3.0] * 3, 0.01)
    assert set(weights) == {1.0}


def test_a_burst_weighs_no_more_than_twice_the_share() -> None:
    activity = {"a": KeyActivity(100), "b": KeyActivity(100), "burst": KeyActivity()}
    weights = []
    for _ in range(20_000):
        activity["burst"] = activity["burst"].plus(KeyActivity(given=1))
        weight = weigh_feedback("burst", activity, 0.3)
        activity["burst"] = activity["burst"].plus(KeyActivity(weight=weight or 0.0))
        weights.append(weight)
    capped = [weight for weight in weights if weight is not None]
    most = find_most_counted([100, 100, 20_000], 0.3)
    assert most == pytest.approx(200.0)  # with three keys, half of all
    assert sum(capped) <= 2.0 * most + 1.0


@pytest.mark.parametrize("others", [{}, {"b": 500}, {"b": 500, "c": LEAST_GIVEN - 1}])
def test_with_fewer_than_three_active_keys_nothing_is_capped(others: dict[str, int]) -> None:
    activity = {"a": KeyActivity(10_000)} | {key: KeyActivity(number) for key, number in others.items()}
    assert weigh_feedback("a", activity, 0.1) is None


def test_a_share_of_1_caps_nothing() -> None:
    assert weigh_feedback("a", {key: KeyActivity(10_000) for key in "abc"}, 1.0) is None
