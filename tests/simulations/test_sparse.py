"""What the figures about few ratings are made of, on a world small enough to know."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from bandit_router.evaluation.simulation.channel import RatedOnly
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterAgent, RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.types import RATED_SHARE, FloatArray
from simulations.sparse import AFTER, BEFORE, Case, find_missed, list_cases, play_case, sparse_grid
from tests.simulations.conftest import Figures
from tests.simulations.worlds import LAMBDA, a_setting, an_easy_stream


def play(rated: list[bool], delay: int = 0) -> RouterAgent:
    """A router that hears of these queries, ``delay`` queries later."""

    class Late(RatedOnly):
        def arrivals(self, n: int, rng: np.random.Generator) -> list[list[int]]:
            at_once = super().arrivals(n, rng)
            return [[]] * delay + at_once[: n - delay]

    stream = an_easy_stream(len(rated))
    agent = RouterMaker(AFTER)(a_setting(stream))
    play_stream(stream, agent, Late(rated=np.array(rated)), np.random.default_rng(0))
    return agent


@pytest.mark.parametrize("delay", [0, 100])
def test_a_simulated_router_knows_how_much_it_hears(delay: int) -> None:
    agent = play([i % 5 == 0 for i in range(400)], delay)
    assert agent.decisions[-1].signals[RATED_SHARE] == pytest.approx(0.2, abs=0.03)


def test_where_it_hears_of_all_nothing_changes() -> None:
    everything = play([True] * 300)
    assert all(RATED_SHARE not in decision.signals for decision in everything.decisions)
    plan = Plan(stream=an_easy_stream(300), cost_weight=LAMBDA)
    losses = {
        play_case(plan, Case(1.0, 0, heard, spec), 0) for heard in (False, True) for spec in (BEFORE, AFTER)
    }
    assert len(losses) == 1


def test_few_ratings_cost_less_where_they_are_heard() -> None:
    plan = Plan(stream=an_easy_stream(1_000), cost_weight=LAMBDA)
    everywhere, heard = (play_case(plan, Case(0.05, 0, where, BEFORE), 0) for where in (False, True))
    assert play_case(plan, Case(1.0, 0, False, AFTER), 0) < heard < everywhere
    assert play_case(plan, Case(0.05, 0, True, AFTER), 0) == heard, "it hears of all that it explores"


def losses_of(before: list[float], after: list[float]) -> Mapping[Case, FloatArray]:
    return {Case(0.05, 0, False, spec): np.array(v) for spec, v in ((BEFORE, before), (AFTER, after))}


def test_the_bars_say_what_was_missed() -> None:
    better = losses_of([0.030, 0.050], [0.010, 0.030])
    assert find_missed({"one": better, "two": better}) == []
    worse = losses_of([0.030, 0.030], [0.039, 0.041])
    missed = find_missed({"one": worse, "two": worse})
    assert missed[0] == "the mean loss is 1.33 of that before, not 0.67"
    assert missed[1:3] == [f"{name}: 0.0100 more is lost, over 2 standard errors" for name in ("one", "two")]
    assert missed[3] == "the worst order is worse on one, two"
    assert len(find_missed({"one": better, "two": better, "three": worse})) == 2


def test_the_table_compares_in_pairs() -> None:
    grid = sparse_grid({"one": losses_of([0.030, 0.050], [0.010, 0.036])}, 0.05, 0)
    assert [row.cells for row in grid.rows] == [
        ("everywhere, before", "0.0400", "0.0400"),
        ("everywhere, after", "0.0230", "0.0230"),
        ("less lost", "+0.0170 ± 0.0030", "+0.0170 ± 0.0030"),
        ("worst orders", "0.050, 0.036", ""),
    ]


def test_where_all_are_rated_there_is_one_case() -> None:
    assert list_cases([1.0], 300) == [Case(1.0, 0, False, AFTER), Case(1.0, 300, False, AFTER)]
    assert len(list_cases([0.2, 0.05], 300)) == 12


def test_the_script_shows_every_share_cold_and_warm(figures: Figures) -> None:
    shown, found = figures("sparse", "--streams", "routellm", "--shares", "1", "0.05", "--labelled", "20")
    assert len(found["routellm"]) == 8
    assert "5% of answers rated, from 20 labels: 1 orders" in " ".join(shown.split())
    assert "bars: " in shown
