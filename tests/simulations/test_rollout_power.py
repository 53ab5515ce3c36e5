"""What a rollout takes: more where the share is small, less where the two mostly agree."""

from __future__ import annotations

import math

from simulations.rollout_power import count_needed


def test_it_takes_more_at_a_small_share_and_less_where_the_two_agree() -> None:
    half = count_needed(0.5, 0.0, 60_000, range(5))
    agreeing = count_needed(0.5, 0.8, 60_000, range(5))
    assert count_needed(0.05, 0.0, 60_000, range(5)).median == math.inf
    assert agreeing.median < half.median < math.inf
    assert half.fixed < half.median * 2
    assert round(half.fixed) == 22_067
