"""The bound on a loss in made-up worlds and on real queries."""

from __future__ import annotations

from scipy.stats import binom

from simulations.safety import Case, play_world
from tests.simulations.conftest import Figures

RUNS, QUERIES = 16, 120


def test_the_bound_holds_and_one_that_trusts_what_it_believes_does_not() -> None:
    """A bound that is broken with a probability of 5% fails here once in a thousand; the seeds are fixed."""
    most = int(binom.isf(1e-3, RUNS, 0.05))
    broken = [
        sum(play_world(QUERIES, Case(0.2, 0.02, trusts), seed).broken for seed in range(RUNS))
        for trusts in (False, True)
    ]
    assert broken[0] <= most < broken[1]


def test_bounds_are_shown_beside_none(figures: Figures) -> None:
    shown, found = figures(
        "safety", "--streams", "mixed", "--bounds", "0.02", "--rated", "1.0", "--worse-from", "30"
    )
    assert [case["at_most"] for case in found["mixed"]] == [0.02, None]
    assert {"broken", "lost", "regret"} == set(found["mixed"][0]["orders"][0])
    assert "100% of answers rated" in " ".join(shown.split())
