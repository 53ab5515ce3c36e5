"""Target policies on logged rows, against the router's own code row by row."""

from __future__ import annotations

import operator
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import Block
from bandit_router.evaluation.splits import FOLDS
from bandit_router.evaluation.targets import (
    BlindMix,
    add_missing_arms,
    believe,
    is_blind,
    learn_folds,
    target_pmf,
)
from bandit_router.policies import parse_policy
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.routing.decide import score_arms
from tests.evaluation.blocks import a_block, a_prior, signalled, split
from tests.evaluation.worlds import ARMED, ARMS, SPECS


def some_away(block: Block) -> Block:
    """The same rows, in a third of which the last arm was not eligible (where it was not chosen)."""
    away = (np.arange(len(block)) % 3 == 0) & (block.action != len(ARMS) - 1)
    block.eligible[away, -1] = False
    block.logged[away, -1] = 0.0
    block.logged[:] /= block.logged.sum(axis=1, keepdims=True)
    return block


def held_out_by_hand(block: Block, fold: int) -> Posterior:
    """The posterior of all other folds, one reward after another."""
    statistics = a_prior().without_evidence()
    for i in np.flatnonzero(block.fold != fold):
        if not np.isnan(block.outcomes[i, 0]):
            arm = block.arms[block.action[i]]
            statistics.observe(arm, block.x[i], float(block.outcomes[i, 0]), float(block.decided_at[i]))
    return statistics.solve()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_every_policy_does_on_the_log_what_it_does_live(spec: str) -> None:
    block = signalled(some_away(a_block(n=120, cost_weight=40.0)))
    block.outcomes[::7, 0] = np.nan
    policy = parse_policy(spec)
    folds = reduce(operator.add, (learn_folds(p.read(), a_prior()) for p in split(block, 37)))
    pmf = target_pmf(block, policy, believe(block, folds.held_out()))
    by_hand = [held_out_by_hand(block, f) for f in range(FOLDS)]
    for i in range(len(block)):
        k = np.flatnonzero(block.eligible[i])
        names, costs = [ARMS[j] for j in k], block.expected_cost_usd[i, k].tolist()
        scores = score_arms(by_hand[block.fold[i]], names, block.x[i], costs, 40.0, block.signals_at(i))
        live = policy.pmf(scores)
        assert pmf[i, k] == pytest.approx(live, abs=1e-8)
        assert pmf[i, ~block.eligible[i]].sum() == 0.0


def test_a_row_is_not_scored_by_its_own_reward() -> None:
    block = a_block(n=100)
    before = believe(block, learn_folds(block, a_prior()).held_out())
    block.outcomes[block.fold == 2, 0] = 1.0
    after = believe(block, learn_folds(block, a_prior()).held_out())
    np.testing.assert_array_equal(before.mean[block.fold == 2], after.mean[block.fold == 2])
    assert (before.mean[block.fold != 2] != after.mean[block.fold != 2]).any()


def test_another_cost_weight_replaces_the_logged_one() -> None:
    block = a_block(n=60, cost_weight=5.0)
    beliefs = believe(block, learn_folds(block, a_prior()).held_out())
    greedy = parse_policy("epsilon-greedy:epsilon=0")
    assert target_pmf(block, greedy, beliefs, 1e6)[:, 0].tolist() == [1.0] * 60  # the cheapest arm
    assert target_pmf(block, greedy, beliefs)[:, 0].sum() < 60


def test_blind_policies_need_no_posterior_and_others_do() -> None:
    block = some_away(a_block(n=60))
    mix = BlindMix({ARMS: (0.25, 0.0, 0.0, 0.75), ARMS[:3]: (1.0, 0.0, 0.0)})
    pmf = target_pmf(block, mix, None)
    away = ~block.eligible[:, -1]
    assert pmf[away].tolist() == [[1.0, 0.0, 0.0, 0.0]] * away.sum()
    assert pmf[~away].tolist() == [[0.25, 0.0, 0.0, 0.75]] * (~away).sum()
    for spec in ("uniform", "fixed:huge"):
        np.testing.assert_array_equal(
            target_pmf(block, parse_policy(spec), None),
            target_pmf(block, parse_policy(spec), believe(block, learn_folds(block, a_prior()).held_out())),
        )
    with pytest.raises(InvalidInput, match="needs a posterior"):
        target_pmf(block, parse_policy("thompson"), None)


@pytest.mark.parametrize("spec", [ARMED["heuristic"], ARMED["classifier"], "tier:premium=large,else=small"])
def test_hand_written_policies_need_signals_and_no_posterior(spec: str) -> None:
    block, policy = signalled(some_away(a_block(n=60))), parse_policy(spec)
    pmf = target_pmf(block, policy, None)
    beliefs = believe(block, learn_folds(block, a_prior()).held_out())
    np.testing.assert_array_equal(pmf, target_pmf(block, policy, beliefs))
    assert len(np.unique(pmf, axis=0)) > 1
    assert not is_blind(policy)


def test_a_row_without_the_signal_that_a_policy_goes_by_is_refused_and_named() -> None:
    block = signalled(a_block(n=20))
    without = replace(block, signals=(*block.signals[:-1], {"tier": "free"}))
    for spec in (ARMED["heuristic"], f"tier:premium=large,else=[{ARMED['heuristic']}]"):
        with pytest.raises(InvalidInput, match="rows without the signal 'complexity'"):
            target_pmf(without, parse_policy(spec), None)
    target_pmf(without, parse_policy("tier:premium=large,else=small"), None)  # no tier is no gap


def test_an_arm_that_the_posterior_has_not_heard_of_is_like_its_first() -> None:
    known = add_missing_arms(a_prior(), (*ARMS, "new"))
    assert known.arms == (*ARMS, "new")
    x = np.array([1.0, 0.3, -0.2])
    mean, std = known.solve().predict(x)
    assert (mean[-1], std[-1]) == (mean[0], std[0])
    nobody = SufficientStatistics.empty({}, schema_id="test", noise_variance=0.1, dim=3)
    with pytest.raises(InvalidInput, match="posterior of no arm"):
        add_missing_arms(nobody, ("new",))
