"""Agents on many orders of one dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.events import parse_event
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, Simulation, simulate
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import BoolArray, Budget, FloatArray, Signals
from tests.evaluation.simulation.streams import a_stream


@dataclass
class Listener:
    """Takes the first eligible arm and writes down what it hears."""

    heard: list[tuple[int, int, float, float]]

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        return int(eligible.argmax())

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        self.heard.append((decision, arm, quality, cost_usd))


class Stubborn(Listener):
    """Takes the last arm, eligible or not."""

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        return len(eligible) - 1


def a_setting(**changes: object) -> Setting:
    usual = {"arms": ("small", "medium", "large"), "dim": 3, "list_usd": np.ones(3), "cost_weight": 0.0}
    return Setting(**(usual | {"rng": np.random.default_rng(0)} | changes))  # type: ignore[arg-type]


def test_a_simulated_router_expects_what_the_prices_say() -> None:
    make = RouterMaker("tempered", PosteriorSection(price_slope=0.1))
    agent = make(a_setting(list_usd=np.array([0.01, 0.0, 1.0])))
    np.testing.assert_allclose(agent.state.rewards.prior_mean[:, 0], [0.6, 0.7, 0.8])


def run(plan: Plan, *specs: str, jobs: int = 1) -> Simulation:
    with workers(jobs):
        return simulate(plan, {spec: RouterMaker(spec) for spec in specs})


def test_an_agent_hears_what_its_own_choices_came_to() -> None:
    stream = a_stream(30)
    agent = Listener([])
    played = play_stream(stream, agent, Channel(), np.random.default_rng(0))
    assert agent.heard == [
        (i, 0, float(stream.quality[i, 0]), float(stream.cost_usd[i, 0])) for i in range(30)
    ]
    np.testing.assert_array_equal(played.quality, stream.quality[:, 0])


def test_an_arm_that_is_not_there_cannot_be_chosen() -> None:
    stream = a_stream(30)
    away = parse_event("leave:large@10")
    plan = Plan(stream=stream, cost_weight=0.0, events=(away,))
    with pytest.raises(InvalidInput, match="chose 'large' at query 10"):
        play_stream(plan.draw(0)[0], Stubborn([]), Channel(), np.random.default_rng(0))


def test_feedback_that_comes_twice_counts_once() -> None:
    stream = a_stream(200)
    agent = RouterMaker("uniform")(a_setting())
    play_stream(stream, agent, Channel(duplicated=1.0), np.random.default_rng(0))
    assert agent.state.rewards.count.sum() == 200
    assert agent.state.costs.count.sum() == 200


def test_feedback_that_comes_late_is_counted_when_it_comes() -> None:
    stream, sums = a_stream(200), []
    for channel in (Channel(), Channel(delay=30.0, duplicated=0.5)):
        agent = RouterMaker("uniform")(a_setting())
        play_stream(stream, agent, channel, np.random.default_rng(0))
        sums.append(agent.state.rewards)
    late = sums[1].count.sum()
    assert 100 < late < 200  # some is on the way still
    assert sums[0].count.sum() == 200


def test_the_same_seed_plays_the_same_whatever_the_number_of_workers() -> None:
    plan = Plan(stream=a_stream(120), cost_weight=20.0, seeds=3, queries=80)
    one, two = (run(plan, "thompson", "linucb:alpha=0.3", jobs=jobs) for jobs in (1, 2))
    assert [c.name for c in one.contenders] == [c.name for c in two.contenders]
    for a, b in zip(one.contenders, two.contenders, strict=True):
        np.testing.assert_array_equal(a.values("gap"), b.values("gap"))
        np.testing.assert_array_equal(a.values("curve"), b.values("curve"))


def test_everything_that_belongs_in_the_table_is_there() -> None:
    found = run(Plan(stream=a_stream(60), cost_weight=20.0, seeds=2), "thompson")
    assert [(c.name, c.role) for c in found.contenders] == [
        ("fixed:small", "fixed"),
        ("fixed:medium", "fixed"),
        ("fixed:large", "fixed"),
        ("best fixed", "best fixed"),
        ("uniform", "uniform"),
        ("thompson", "policy"),
        ("blind mix at the cost of thompson", "blind mix"),
        ("thompson, queries shuffled", "shuffled"),
    ]
    assert all(len(c.tracks) == 2 for c in found.contenders)
    assert found.named("best fixed").values("gap") == pytest.approx([0.0, 0.0], abs=1e-9)
    assert found.queries == 60


def test_a_policy_of_one_arm_does_what_the_fixed_arm_does() -> None:
    found = run(Plan(stream=a_stream(60), cost_weight=20.0, seeds=2), "fixed:large")
    policy, mix, dealt = found.contenders[-3:]
    for name in ("quality", "cost_usd", "gap"):
        fixed = found.contenders[2].values(name)
        assert policy.values(name) == pytest.approx(fixed)
        assert dealt.values(name) == pytest.approx(fixed)
    assert (mix.values("quality") >= policy.values("quality") - 1e-9).all()


def test_labelled_queries_are_shown_and_not_played() -> None:
    plan = Plan(stream=a_stream(50), cost_weight=0.0, labelled=20, queries=25)
    stream, labelled, _ = plan.draw(3)
    assert labelled is not None
    assert (len(stream), len(labelled)) == (25, 20)
    rows = {tuple(x) for x in stream.x}
    assert not rows & {tuple(x) for x in labelled.x}


def test_seeds_differ_and_repeat() -> None:
    draw = partial(Plan(stream=a_stream(50), cost_weight=0.0).draw)
    assert (draw(0)[0].x == draw(0)[0].x).all()
    assert (draw(0)[0].x != draw(1)[0].x).any()


def test_a_router_that_learns_beats_one_that_does_not() -> None:
    """On 2,000 queries whose best arm depends on the context; the margin is five times the sd seen."""
    found = run(Plan(stream=a_stream(2000), cost_weight=0.0, seeds=2), "thompson", "uniform")
    learned, blind = (found.named(n).values("utility") for n in ("thompson", "thompson, queries shuffled"))
    assert (learned > found.named("uniform").values("utility") + 0.1).all()
    assert (learned > blind + 0.02).all()


@pytest.mark.parametrize(
    ("field", "value"), [("seeds", 0), ("labelled", 50), ("labelled", -1), ("queries", 0)]
)
def test_a_plan_that_cannot_be_played_is_refused(field: str, value: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        Plan(stream=a_stream(50), cost_weight=0.0, **{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_budget_is_kept_in_a_simulation_too() -> None:
    """Between the cheapest and the dearest arm, through a price cut; within 3% after 2,000 queries."""
    stream = a_stream(2000)
    low, high = stream.cost_usd.mean(axis=0)[[0, 2]]
    budget = float(low + 0.2 * (high - low))
    plan = Plan(stream=stream, cost_weight=0.0, seeds=2, events=(parse_event("price:large@1000=0.7"),))
    with workers(1):
        maker = RouterMaker("tempered", goal=Budget(usd=budget))
        found = simulate(plan, {"paced": maker, "free": RouterMaker("tempered")})
    assert found.named("paced").values("cost_usd") == pytest.approx(budget, rel=0.03)
    assert (found.named("free").values("cost_usd") > 1.1 * budget).all()


def test_events_that_cannot_happen_are_refused_before_anyone_plays() -> None:
    with pytest.raises(InvalidInput, match="'huge' is not in the data"):
        Plan(stream=a_stream(30), cost_weight=0.0, events=(parse_event("leave:huge@3"),))
    with pytest.raises(InvalidInput, match="the stream has 20 queries"):
        Plan(stream=a_stream(30), cost_weight=0.0, queries=20, events=(parse_event("leave:large@20"),))
