"""The table of hand-written policies: its definitions, on outcomes small enough to know."""

from __future__ import annotations

import numpy as np
import pytest

from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.simulation.simulate import Plan
from simulations.hand_written import ENTRANTS, cheap_and_strong, play_entrant
from simulations.streams import stream_of
from tests.simulations.conftest import Figures

DATA = Dataset(
    name="small",
    queries=("Hello", "Explain it.", "Debug ```f(x)```", "Debug ```g(x)```"),
    models=("best", "worse", "cheapest"),
    quality=np.array([[1.0, 0.5, 0.96], [1.0, 0.5, 0.2], [1.0, 0.5, 0.2], [0.0, 0.5, 0.0]]),
    cost_usd=np.tile([0.01, 0.02, 0.001], (4, 1)),
)


def test_the_pair_is_the_cheapest_and_the_best_of_the_others() -> None:
    found, models = cheap_and_strong(DATA)
    assert models == ("cheapest", "best")
    assert found.models == ("cheap", "strong")
    assert found.quality.tolist() == DATA.quality[:, [2, 0]].tolist()


@pytest.mark.parametrize(
    ("name", "accuracy", "share", "utility", "over_mix"),
    [
        # Enough for the first (0.04 less) and the last query (both wrong).
        ("always cheap", 0.5, 0.0, 1.36 / 4 - 0.01, 0.0),
        ("always strong", 0.5, 1.0, 3 / 4 - 0.1, 0.0),
        ("heuristic", 0.5, 0.5, 2.16 / 4 - 0.055, 2.16 / 4 - (1.36 + 3) / 8),
        ("any sign → strong", 0.75, 0.75, 2.96 / 4 - 0.0775, 2.96 / 4 - (1.36 / 4 + 3 * 3 / 4) / 4),
    ],
)
def test_the_figures_are_those_of_the_definitions(
    name: str, accuracy: float, share: float, utility: float, over_mix: float
) -> None:
    plan = Plan(stream=stream_of(cheap_and_strong(DATA)[0]), cost_weight=10.0, seeds=1)
    found = play_entrant(plan, ENTRANTS[name], 0)
    assert found.accuracy == accuracy
    assert found.strong_share == share
    assert found.utility == pytest.approx(utility)
    assert found.over_mix == pytest.approx(over_mix)


def test_the_script_runs(figures: Figures) -> None:
    shown, found = figures("hand_written", "--streams", "mixed")
    assert set(found["mixed"]["entrants"]) == set(ENTRANTS)
    assert "tempered, cold" in shown
