"""Advice: each piece has a log that earns it, and one that nearly does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandit_router.insight.advice import Advice, advise, ask_for_facts, make_facts
from bandit_router.insight.advice.arms import share_below, subtract
from bandit_router.insight.intervals import Estimate
from bandit_router.insight.savings import BlindMixContrast, Savings
from bandit_router.learning.drift import CalibrationReport, calibrate
from bandit_router.settings import Settings
from bandit_router.types import FloatArray
from tests.insight.examples import HOUR, Made, roll_up
from tests.learning.test_drift import rows_of

CHEAP = {"name": "small", "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4}
DEAR = {"name": "large", "input_usd_per_mtok": 2.0, "output_usd_per_mtok": 8.0}
COSTS = {"small": 0.001, "large": 0.02}
NOW = (HOUR + 24) * 3600.0


def settings(*arms: dict[str, Any], **sections: Any) -> Settings:
    return Settings.model_validate({"arms": list(arms) or [CHEAP, DEAR], **sections})


def make(arm: str, n: int, rating: float | None = None, **values: float) -> list[Made]:
    """So many decisions of the policy with an arm, all rated alike if they are rated."""
    rated = {} if rating is None else {"quality": rating}
    known = {"decisions": 0.0, "cost_usd": COSTS[arm], "cost_weight": 2.0, **rated, **values}
    return [Made(hour=HOUR, arm=arm, values=known)] * n


def make_task(task: str, arm: str, n: int, rating: float) -> list[Made]:
    """The same of a task, half of them rated a little better and half a little worse."""
    half = n // 2
    made = [*make(arm, half, rating + 0.02), *make(arm, n - half, rating - 0.02)]
    return [replace(each, member=task) for each in made]


def test_a_task_that_goes_to_a_cheap_arm_as_good_as_the_dear_one() -> None:
    log = [*make_task("a b", "small", 90, 0.9), *make_task("a b", "large", 40, 0.9)]
    advice = find([], task_rows=roll_up(log))["settled_task"]
    assert advice.title == "Task a b goes to small: as good as large, at 0.05 of its cost"
    assert "95% interval -0.0" in advice.evidence
    assert "69% of the task" in advice.evidence
    assert advice.change.endswith("bandit-router stats --task 'a b' --by arm")
    assert find([], task_rows=roll_up(log[:-11])) == {}  # too few of the dear one are rated
    worse = [*make_task("a b", "small", 90, 0.87), *make_task("a b", "large", 40, 0.9)]
    assert find([], task_rows=roll_up(worse)) == {}
    other = [*log[:90], *make_task("other", "large", 40, 0.9)]
    assert find([], task_rows=roll_up(other)) == {}


def test_a_task_that_would_do_as_well_with_a_cheap_arm() -> None:
    log = [*make_task('a"b', "small", 40, 0.9), *make_task('a"b', "large", 90, 0.9)]
    advice = find([], task_rows=roll_up(log))["dear_task"]
    assert advice.change == '[[workflows]]\nname = "a\\"b"\narm = "small"'
    dearly = settings(router={"cost_weight": 10.0})
    assert find([], dearly, task_rows=roll_up(log))["dear_task"].change == "[router]\ncost_weight = 20"


def find(log: Sequence[Made], of: Settings | None = None, **others: Any) -> dict[str, Advice]:
    of = of or settings(policy={"name": "linucb", "epsilon": 0.1})
    arms = [section.arm() for section in of.arms]
    given = advise(make_facts(roll_up(log), ask_for_facts(NOW), of, arms, **others))
    return {advice.name: advice for advice in given}


def test_a_log_without_faults_earns_nothing() -> None:
    assert find([*make("small", 500, 0.8), *make("large", 500, 0.95)]) == {}
    assert find([]) == {}


def test_a_cheap_arm_that_answers_badly() -> None:
    good, bad, dear = make("small", 60, 0.9), make("small", 40, 0.2), make("large", 100, 0.95)
    advice = find([*good, *bad, *dear])["poor_cheap_arm"]
    assert advice.evidence.startswith("The share of its rated answers with a quality below 0.5 is 0.4 (95%")
    assert advice.change == "[router]\nmin_quality = 0.5"
    assert advice.effect is not None
    assert "0.95" in advice.effect
    assert "poor_cheap_arm" not in find([*good, *bad[:28], *dear])  # the interval begins below 30%
    strict = settings(router={"min_quality": 0.95, "cost_weight": 20.0})
    assert find([*good, *dear], strict)["poor_cheap_arm"].change == "[router]\ncost_weight = 10"


def test_a_share_below_a_quality_is_that_of_the_log() -> None:
    ratings = np.random.default_rng(3).choice([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 300)
    log = [made for rating in ratings for made in make("small", 1, float(rating))]
    question, of = ask_for_facts(NOW), settings()
    facts = make_facts(roll_up(log), question, of, [section.arm() for section in of.arms])
    for quality in (0.1, 0.5, 0.9):
        assert share_below(facts, "small", quality).value == np.mean(ratings < quality)


def test_a_dear_arm_that_is_no_better() -> None:
    cheap = [*make("small", 50, 0.75), *make("small", 50, 0.85)]
    advice = find([*cheap, *make("large", 50, 0.72), *make("large", 50, 0.82)])["dear_arm_no_better"]
    assert advice.change == "bandit-router arms disable large"
    assert advice.effect is not None
    assert "saved 1.9 USD" in advice.effect  # (0.02 − 0.001) · 100
    assert "dear_arm_no_better" not in find([*cheap, *make("large", 50, 0.79), *make("large", 50, 0.89)])


def test_the_interval_of_a_difference_adds_variances() -> None:
    a, b = Estimate(100, 0.6, 0.57, 0.63), Estimate(50, 0.4, 0.36, 0.44)
    assert list(subtract(a, b)) == pytest.approx([50, 0.2, 0.15, 0.25])
    assert subtract(a, Estimate(1, 0.4)) == Estimate(1)


def test_an_arm_that_is_never_best() -> None:
    explored = make("large", 60, 0.95, exploration_price=0.05)
    advice = find([*make("small", 1_940, 0.9), *explored])["arm_never_best"]
    assert advice.change == "bandit-router arms disable large"
    assert "is 0.03 (95%" in advice.evidence
    assert advice.effect == "Exploring it gave up an expected reward of 3 in all."
    assert "arm_never_best" not in find([*make("small", 1_800, 0.9), *make("large", 200, 0.95)])


def test_too_little_feedback() -> None:
    assert "scarce_feedback" in find([*make("small", 10, 0.9), *make("large", 490)])
    assert "scarce_feedback" not in find([*make("small", 40, 0.9), *make("large", 460)])
    assert "scarce_feedback" not in find(make("large", 100))  # too few to say


def test_exploring_where_nothing_will_be_heard() -> None:
    of = settings(router={"explore": "heard"})
    greedy = [replace(made, reason="greedy") for made in make("small", 200, 0.8)]
    advice = find(greedy, of)["unheard_exploration"]
    assert advice.evidence == (
        "The share of decisions with `will_be_rated` is 0 (95% interval 0 to 0.0188, n 200)."
    )
    assert "unheard_exploration" not in find(greedy[1:], of)  # too few to say
    assert "unheard_exploration" not in find([*greedy, *make("small", 1, 0.8)], of)  # one was heard
    assert "unheard_exploration" not in find(greedy)


def test_a_floor_too_small_to_evaluate_by() -> None:
    log, tiny = make("small", 1_000, 0.9), settings(policy={"name": "linucb", "epsilon": 0.001})
    advice = find(log, tiny)["small_floor"]
    assert advice.change == "[policy]\nepsilon = 0.06"  # 30 · 2 / 1000
    assert advice.effect == "Each arm would have had 30 choices by the floor."
    assert "small_floor" not in find(log, settings(policy={"name": "linucb", "epsilon": 0.06}))


def test_rules_that_never_fire_or_always_do() -> None:
    of = settings(policy={"name": "heuristic", "cheap": "small", "expensive": "large"})
    small, large = make("small", 500, 0.9), make("large", 500, 0.95)
    assert "never" in find([*small, *large[:3]], of)["idle_rules"].title
    assert "always" in find([*small[:3], *large], of)["idle_rules"].title
    assert "idle_rules" not in find([*small, *large[:100]], of)
    assert "idle_rules" not in find(small)  # another policy


def test_a_budget_that_buys_nothing_more() -> None:
    of = settings(budget={"usd_per_request": 0.01})
    idle = make("small", 300, 0.9, cost_weight=0.0)
    assert find(idle, of)["idle_budget"].change == "[budget]\nusd_per_request = 0.0011"
    assert "idle_budget" not in find([*idle, *make("small", 1, 0.9)], of)  # λ was above 0 once
    assert "idle_budget" not in find(idle, settings(budget={"usd_per_request": 0.00105}))
    assert "idle_budget" not in find(idle)


def test_prices_that_are_not_those_of_the_list() -> None:
    known = {"name": "mini", "provider": "openai", "model": "gpt-4o-mini"}
    listed = settings(known, DEAR).arms[0].arm()
    usual = {
        "input_usd_per_mtok": listed.input_usd_per_mtok,
        "output_usd_per_mtok": listed.output_usd_per_mtok,
    }
    other = settings({**known, **usual, "input_usd_per_mtok": 2 * listed.input_usd_per_mtok}, DEAR)
    advice = find([], other)["other_prices"]
    assert advice.change == f'[[arms]]\nname = "mini"\ninput_usd_per_mtok = {listed.input_usd_per_mtok:g}'
    assert "other_prices" not in find([], settings({**known, **usual}, DEAR))
    assert "other_prices" not in find([], settings(known, DEAR))
    unknown = {**known, "model": "my-own", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    assert "other_prices" not in find([], settings(unknown, DEAR))


def test_an_arm_that_drifted() -> None:
    rng, arms = np.random.default_rng(0), ("large", "small")
    steady, worse = (rng.random(400) < 0.8).astype(float), (rng.random(100) < 0.4).astype(float)

    def compare(**rewards: FloatArray) -> CalibrationReport:
        rows = [row for arm in rewards for row in rows_of(rewards[arm], arm=arm)]
        return calibrate(rows, [], {arm: len(rewards.get(arm, ())) for arm in arms})

    drifted = compare(small=steady, large=np.append(steady, worse))
    advice = find([], calibration=drifted)["drifted_arm"]
    assert (advice.title, advice.change) == ("large is not what it was", "bandit-router arms reset large")
    gap = drifted.arms["large"].widest
    assert gap is not None
    assert f"{gap.rewards} rewards were {gap.mean_reward:.3g} on average" in advice.evidence
    assert f"the difference is {gap.difference:.3g} (95% interval" in advice.evidence
    assert "drifted_arm" not in find([], calibration=compare(small=steady, large=steady))
    assert "drifted_arm" not in find([], settings(CHEAP), calibration=drifted)  # large is no arm any more
    assert "drifted_arm" not in find([])  # nobody has looked


def test_a_router_no_better_than_its_own_shares_of_models_at_random() -> None:
    def savings(reward: Estimate, cost: Estimate, made_at: float = NOW) -> Savings:
        mix = BlindMixContrast(reward, cost)
        return Savings(made_at=made_at, since=0.0, rows=5000, margin=0.02, savings=(), blind_mix=mix)

    nothing, same = Estimate(5000, 0.002, -0.01, 0.014), Estimate(5000, -0.01, -0.03, 0.01)
    advice = find([], savings=savings(nothing, same))["gainless_reading"]
    assert "higher by 0.002 (95% interval -0.01 to 0.014, n 5000)" in advice.evidence
    assert "its cost by -0.01 (95%" in advice.evidence
    for word in ("feedback", "warm-start", "features"):
        assert word in advice.change
    better, cheaper = Estimate(5000, 0.015, 0.005, 0.025), Estimate(5000, -0.04, -0.06, -0.02)
    for spared in (savings(better, same), savings(nothing, cheaper), savings(nothing, same, made_at=0.0)):
        assert "gainless_reading" not in find([], savings=spared)
    for blind in (settings(policy={"name": "uniform"}), settings(CHEAP)):
        assert "gainless_reading" not in find([], blind, savings=savings(nothing, same))
    refused = Savings(made_at=NOW, since=0.0, rows=5000, margin=0.02, savings=())
    assert "gainless_reading" not in find([], savings=refused)
