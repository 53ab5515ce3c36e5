"""Savings: logs whose truth is known, signed either way, and everything that refuses a saving."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.block import TargetBlock
from bandit_router.insight.intervals import Estimate
from bandit_router.insight.savings import Baseline, Saving, Savings, read_savings, savings_facts
from bandit_router.insight.savings_estimate import compute_savings, contrast_blind_mix
from bandit_router.types import FloatArray
from tests.evaluation.worlds import World

ARMS = ("small", "medium", "large")
COSTS = np.array([0.001, 0.002, 0.010])
MARGIN = 0.05
CONTEXTS = 8
DEAREST, BEST = Baseline.MOST_EXPENSIVE, Baseline.BEST_FIXED


def make_world(quality: FloatArray) -> World:
    """Eight contexts with these mean qualities (8, K) and costs that are the same in each."""
    x = np.column_stack([np.ones(CONTEXTS), np.linspace(-1.0, 1.0, CONTEXTS)])
    costs = np.broadcast_to(COSTS, (CONTEXTS, len(ARMS)))
    return World(contexts=x, means=np.stack([quality, quality, costs], axis=-1))


def make_log(
    world: World, behaviour: FloatArray, n: int = 4000, cost_weight: float = 1.0, **changes: Any
) -> TargetBlock:
    log = world.log(np.random.default_rng(3), n, behaviour, behaviour)
    expected = np.broadcast_to(COSTS, (n, len(ARMS))).copy()
    weights = np.full(n, cost_weight)
    return replace(log, arms=ARMS, expected_cost_usd=expected, cost_weight=weights, **changes)


def choose(*shares: float) -> FloatArray:
    return np.tile(shares, (CONTEXTS, 1))


def savings_of(log: TargetBlock, margin: float = MARGIN) -> dict[Baseline, Saving]:
    return {saving.baseline: saving for saving in compute_savings([log], ARMS, margin)}


def assert_near(estimate: Estimate | None, truth: float, width: float) -> None:
    """It is at most four standard errors off; that 95% of intervals cover is tested with contrasts."""
    assert estimate is not None
    n, value, low, high = estimate
    assert value is not None
    assert low is not None
    assert high is not None
    assert abs(value - truth) < high - low < width
    assert n > 0


def test_it_saves_what_the_known_costs_say() -> None:
    behaviour = choose(0.6, 0.2, 0.2)
    saving = savings_of(make_log(make_world(choose(0.8, 0.8, 0.8)), behaviour))[DEAREST]
    assert (saving.arm, saving.refusal, saving.cure) == ("large", None, None)
    assert_near(saving.usd_per_request, 0.010 - 0.003, width=0.001)
    assert_near(saving.quality, 0.0, width=0.05)


def test_against_a_model_that_is_cheaper_and_as_good_it_has_lost_money() -> None:
    behaviour = choose(0.4, 0.2, 0.4)
    saving = savings_of(make_log(make_world(choose(0.8, 0.8, 0.8)), behaviour, cost_weight=10.0))[BEST]
    assert (saving.arm, saving.refusal) == ("small", None)
    assert_near(saving.usd_per_request, 0.001 - 0.0048, width=0.001)
    assert saving.usd_per_request is not None
    assert saving.usd_per_request.high is not None
    assert saving.usd_per_request.high < 0


def test_a_router_that_is_better_than_any_model_saves_too() -> None:
    easy = np.arange(CONTEXTS) < CONTEXTS // 2
    quality = np.where(easy[:, None], [0.9, 0.5, 0.6], [0.2, 0.5, 0.9])
    behaviour = np.where(easy[:, None], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8])
    world = make_world(quality)
    saving = savings_of(make_log(world, behaviour))[DEAREST]
    always = np.tile([0.0, 0.0, 1.0], (CONTEXTS, 1))
    _, better, dearer = world.truth(behaviour) - world.truth(always)
    assert better > 0 > dearer
    assert_near(saving.quality, better, width=0.1)
    assert_near(saving.usd_per_request, -dearer, width=0.001)


def test_a_router_that_is_worse_saves_nothing() -> None:
    log = make_log(make_world(choose(0.5, 0.7, 0.9)), choose(0.6, 0.2, 0.2))
    saving = savings_of(log)[DEAREST]
    assert saving.usd_per_request is None
    assert_near(saving.quality, -0.28, width=0.1)
    assert saving.refusal is not None
    assert saving.refusal.startswith("quality is lower than that of large by 0.2")
    assert "lower by less than 0.05" in saving.refusal
    assert "cost_weight" in str(saving.cure)
    assert savings_of(log, margin=0.5)[DEAREST].usd_per_request is not None


def test_one_that_is_worse_and_dearer_is_said_to_be() -> None:
    log = make_log(make_world(choose(0.9, 0.5, 0.5)), choose(0.2, 0.2, 0.6))
    saving = savings_of(log)[BEST]
    assert saving.arm == "small"
    assert str(saving.refusal).endswith("the router costs more, too")


def test_too_few_rows_to_call_it_equal() -> None:
    log = make_log(make_world(choose(0.8, 0.8, 0.8)), choose(0.34, 0.33, 0.33), n=400)
    saving = savings_of(log, margin=0.01)[DEAREST]
    assert saving.usd_per_request is None
    assert saving.quality is not None
    assert str(saving.refusal).startswith("quality may be lower than that of large by up to 0.0")


@pytest.mark.parametrize(("column", "missing"), [(1, "no row has quality"), (2, "no row has cost_usd")])
def test_feedback_that_is_missing(column: int, missing: str) -> None:
    log = make_log(make_world(choose(0.8, 0.8, 0.8)), choose(0.6, 0.2, 0.2))
    log.outcomes[:, column] = np.nan
    saving = savings_of(log)[DEAREST]
    assert saving.usd_per_request is None
    assert saving.refusal == missing
    assert "send" in str(saving.cure)


def test_an_arm_that_is_hardly_tried() -> None:
    log = make_log(make_world(choose(0.8, 0.8, 0.8)), choose(0.598, 0.4, 0.002))
    saving = savings_of(log)[DEAREST]
    assert (saving.arm, saving.usd_per_request) == ("large", None)
    assert "rows of the target" in str(saving.refusal)
    assert "epsilon" in str(saving.cure)


def test_prices_that_nobody_knows() -> None:
    log = make_log(make_world(choose(0.8, 0.8, 0.8)), choose(0.6, 0.2, 0.2))
    log.expected_cost_usd[:] = 0.0
    log.outcomes[:, 2] = np.nan
    saving = savings_of(log)
    assert {each.arm for each in saving.values()} == {None}
    assert saving[DEAREST].refusal == "no model has a known price"
    assert "no row has cost_usd" in str(saving[BEST].refusal)


def test_no_decisions() -> None:
    assert {saving.refusal for saving in compute_savings([], ARMS, MARGIN)} == {
        "the policy has made no decision in this time"
    }


def test_reading_queries_gains_what_its_own_shares_of_models_at_random_would_not() -> None:
    easy = np.arange(CONTEXTS) < CONTEXTS // 2
    world = make_world(np.where(easy[:, None], [0.9, 0.5, 0.6], [0.2, 0.5, 0.9]))
    behaviour = np.where(easy[:, None], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8])
    mix = choose(*behaviour.mean(axis=0))
    better, _, dearer = world.truth(behaviour) - world.truth(mix)
    assert better > 0.1
    assert abs(dearer) < 1e-12
    found = contrast_blind_mix([make_log(world, behaviour)], ARMS)
    assert found is not None
    assert_near(found.reward, better, width=0.1)
    assert_near(found.cost, 0.0, width=0.1)


def test_a_router_whose_choices_do_not_depend_on_the_query_gains_nothing_by_reading() -> None:
    found = contrast_blind_mix([make_log(make_world(choose(0.5, 0.7, 0.9)), choose(0.6, 0.2, 0.2))], ARMS)
    assert found is not None
    for estimate in found:
        assert list(estimate[1:]) == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


def test_a_cost_is_a_share_of_what_the_router_costs() -> None:
    cheap = np.arange(CONTEXTS) < CONTEXTS // 2
    costs = np.where(cheap[:, None], [0.001, 0.002, 0.004], [0.002, 0.004, 0.020])  # it avoids the dearest
    behaviour = np.where(cheap[:, None], [0.2, 0.2, 0.6], [0.6, 0.2, 0.2])
    world = make_world(choose(0.8, 0.8, 0.8))
    world.means[:, :, 2] = costs
    found = contrast_blind_mix([make_log(world, behaviour)], ARMS)
    spent = world.truth(behaviour)[2]
    assert found is not None
    assert_near(found.cost, (spent - world.truth(choose(0.4, 0.2, 0.4))[2]) / spent, width=0.2)


def test_what_reading_gains_is_not_said_without_rewards_costs_or_decisions() -> None:
    for column in (0, 2):
        log = make_log(make_world(choose(0.8, 0.8, 0.8)), choose(0.6, 0.2, 0.2))
        log.outcomes[:, column] = np.nan
        assert contrast_blind_mix([log], ARMS) is None
    assert contrast_blind_mix([], ARMS) is None


def test_the_stored_form_is_json_and_reads_back() -> None:
    log = make_log(make_world(choose(0.5, 0.7, 0.9)), choose(0.6, 0.2, 0.2), cost_weight=1000.0)
    made = compute_savings([log], ARMS, MARGIN)
    assert {saving.refusal is None for saving in made} == {True, False}
    savings = Savings(made_at=2.0, since=1.0, rows=4000, margin=MARGIN, savings=made)
    assert read_savings(json.loads(json.dumps(savings_facts(savings)))) == savings
    mix = contrast_blind_mix([log], ARMS)
    assert mix is not None
    savings = replace(savings, blind_mix=mix)
    facts = json.loads(json.dumps(savings_facts(savings)))
    assert read_savings(facts) == savings
    del facts["blind_mix"]  # an older version has stored it
    assert read_savings(facts).blind_mix is None
