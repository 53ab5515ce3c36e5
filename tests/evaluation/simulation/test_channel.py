"""How feedback travels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.simulation.channel import Channel

N = 4000


def arrivals(seed: int = 0, **how: float) -> list[list[int]]:
    return Channel(**how).arrivals(N, np.random.default_rng(seed))


def test_by_default_every_outcome_is_known_at_once() -> None:
    assert arrivals() == [[i] for i in range(N)]


@given(st.floats(0, 50), st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_nothing_arrives_before_its_query_or_more_than_twice(
    delay: float, missing: float, duplicated: float, seed: int
) -> None:
    channel = Channel(delay=delay, missing=missing, duplicated=duplicated)
    after = channel.arrivals(100, np.random.default_rng(seed))
    heard = [i for step, some in enumerate(after) for i in some if i <= step]
    assert len(heard) == sum(map(len, after))
    assert all(heard.count(i) <= 2 for i in heard)


def test_shares_and_delays_are_as_stated() -> None:
    """Within 4 standard errors, which a fair draw leaves once in 16,000 times."""
    after = arrivals(delay=5.0, missing=0.2, duplicated=0.3)
    heard = np.array([(i, step - i) for step, some in enumerate(after) for i in some])
    seen = np.unique(heard[:, 0])
    assert abs(len(seen) / N - 0.8) < 4 * np.sqrt(0.2 * 0.8 / N) + 10 / N  # the last few are still on the way
    assert abs((len(heard) - len(seen)) / len(seen) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / (0.8 * N)) + 10 / N
    assert abs(heard[:, 1].mean() - 5.0) < 4 * np.sqrt(30.0 / len(heard)) + 0.05


@pytest.mark.parametrize(
    ("field", "value"), [("delay", -1.0), ("delay", np.inf), ("missing", 1.1), ("duplicated", -0.1)]
)
def test_what_cannot_be_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        Channel(**{field: value})
    assert caught.value.field == field
