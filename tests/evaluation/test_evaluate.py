"""From a log and some policies to a table, beside the reference and the truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.answers import BLOCKS, Answer, Evaluation
from bandit_router.evaluation.block import Block
from bandit_router.evaluation.estimators import ESTIMATORS, estimate
from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.splits import FOLDS
from bandit_router.evaluation.targets import believe, learn_folds, target_pmf
from bandit_router.policies import Policy, parse_policy
from tests.evaluation.blocks import a_block, a_prior, block_of, split
from tests.evaluation.worlds import ARMS, make_block, make_world, softmax

SPECS = ("thompson", "linucb:alpha=0.5")


def policies(*specs: str) -> dict[str, Policy]:
    return {spec: parse_policy(spec) for spec in specs}


def run(block: Block, *specs: str, size: int = 100, jobs: int = 1, **options: object) -> Evaluation:
    pieces = list(split(block, size))
    with workers(jobs):
        return evaluate(
            pieces, block.arms, policies(*specs), rows=len(block), prior=a_prior(), **options  # type: ignore[arg-type]
        )  # fmt: skip


def named(evaluation: Evaluation, name: str) -> Answer:
    return {answer.question.name: answer for answer in evaluation.answers}[name]


def test_everything_that_belongs_in_the_table_is_there() -> None:
    found = run(a_block(cost_weight=20.0), "thompson", "uniform", "fixed:large")
    assert [(a.question.name, a.question.role) for a in found.answers] == [
        ("logged", "logged"),
        ("thompson", "policy"),
        *((f"fixed:{arm}", "fixed") for arm in ARMS),
        ("uniform", "uniform"),
        ("blind mix at the cost of thompson", "blind mix"),
        ("thompson, queries shuffled", "shuffled"),
    ]
    assert found.cost_weight == pytest.approx(20.0)
    assert found.rows == 600


def test_figures_are_those_of_the_reference() -> None:
    block = a_block(cost_weight=20.0)
    found = run(block, "linucb:alpha=0.5", size=71)
    beliefs = believe(block, learn_folds(block, a_prior()).held_out())
    pmf = target_pmf(block, parse_policy("linucb:alpha=0.5"), beliefs)
    reference = estimate([block.with_target(pmf)], {name: make() for name, make in ESTIMATORS.items()})
    for name in ESTIMATORS:
        for outcome, figure in reference[name].items():
            mine = named(found, "linucb:alpha=0.5").estimates[name][outcome]
            assert figure is not None
            assert mine == pytest.approx(figure, rel=1e-9)


def test_what_was_logged_is_worth_its_mean() -> None:
    block = a_block()
    ips = named(run(block), "logged").estimates["ips"]
    for m, outcome in enumerate(("reward", "quality", "cost_usd")):
        figure = ips[outcome]
        assert figure is not None
        assert figure.value == pytest.approx(block.outcomes[:, m].mean())


@pytest.mark.parametrize("size", [100, 13])
def test_neither_pieces_nor_workers_change_the_numbers(size: int) -> None:
    block = a_block(cost_weight=20.0)
    one, other = run(block, *SPECS), run(block, *SPECS, size=size, jobs=2)
    for a, b in zip(one.answers, other.answers, strict=True):
        for name in ESTIMATORS:
            for outcome, figure in a.estimates[name].items():
                assert b.estimates[name][outcome] == pytest.approx(figure, rel=1e-9)
        np.testing.assert_allclose(a.shares, b.shares)


def test_blind_baselines_cost_what_the_policy_costs() -> None:
    found = run(a_block(n=2000, cost_weight=20.0), "linucb:alpha=0.5")
    costs = {}
    for name in ("linucb:alpha=0.5", "blind mix at the cost of {}", "{}, queries shuffled"):
        figure = named(found, name.format("linucb:alpha=0.5")).estimates["dr"]["cost_usd"]
        assert figure is not None
        costs[name] = figure.value
    policy, mix, dealt = costs.values()
    assert dealt == pytest.approx(policy, rel=0.02)
    assert mix <= policy * 1.02


def test_shares_over_time_are_those_of_the_policy() -> None:
    answer = named(run(a_block()), "fixed:medium")
    assert answer.shares.shape == (BLOCKS, len(ARMS))
    np.testing.assert_allclose(answer.shares, np.tile([0.0, 1.0, 0.0, 0.0], (BLOCKS, 1)))


def test_the_best_fixed_model_is_the_one_of_the_highest_utility() -> None:
    block = a_block(n=2000)
    free, dear = run(block, cost_weight=0.0), run(block, cost_weight=1e4)
    worth = {f"fixed:{a}": free.value(named(free, f"fixed:{a}"), "dr") for a in ARMS}
    best = free.best_fixed("dr")
    assert best is not None
    assert free.value(best, "dr") == max(v for v in worth.values() if v is not None)
    cheap = dear.best_fixed("dr")
    assert cheap is not None
    assert cheap.question.name == "fixed:small"


def test_without_costs_there_are_no_blind_baselines_and_no_utility() -> None:
    block = a_block(cost_weight=20.0)
    block.outcomes[:, 2] = np.nan
    found = run(block, "thompson")
    assert {a.question.role for a in found.answers} == {"logged", "policy", "fixed", "uniform"}
    assert found.value(found.answers[0], "dr") is None
    assert found.best_fixed("dr") is None


def test_a_policy_of_an_arm_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'enormous' is not an arm; use one of small, medium"):
        run(a_block(), "fixed:enormous")


def test_a_learning_policy_needs_a_posterior() -> None:
    block = a_block()
    ask = partial(evaluate, list(split(block, 100)), ARMS, rows=len(block), prior=None)
    with workers(1):
        assert ask(policies("uniform")).rows == 600
        with pytest.raises(InvalidInput, match="no posterior"):
            ask(policies("thompson"))


def test_utility_prices_every_row_by_its_own_cost_weight() -> None:
    """Where a dollar is dear the policy takes the cheap arm, elsewhere the good one: it earns what it earns,
    not what it would if a dollar had its mean price everywhere."""
    n = 4000
    rng, dear = np.random.default_rng(0), np.arange(n) % 2 == 1
    x = np.column_stack([np.ones(n), dear, rng.random(n)])
    action = rng.integers(2, size=n)
    quality, cost = np.array([0.3, 0.8])[action], np.array([0.0, 0.01])[action]
    block = block_of(
        make_block(
            x=x, logged=np.full((n, 2), 0.5), action=action,
            outcomes=np.column_stack([quality, quality, cost]), target=np.full((n, 2), 0.5),
        )
    )  # fmt: skip
    block.expected_cost_usd[:] = [0.0, 0.01]
    block.cost_weight[:] = np.where(dear, 100.0, 0.0)
    found = run(block, "epsilon-greedy:epsilon=0")
    assert found.value(named(found, "epsilon-greedy:epsilon=0"), "dr") == pytest.approx(0.55, abs=0.01)
    for arm in ARMS[:2]:
        assert found.value(named(found, f"fixed:{arm}"), "dr") == pytest.approx(0.3, abs=0.02)


def test_blind_baselines_cost_what_the_policy_costs_when_arms_join() -> None:
    block = a_block(n=4000, cost_weight=20.0)
    early = np.flatnonzero((block.order < 2000) & (block.action != len(ARMS) - 1))
    block = block.take(np.concatenate([early, np.arange(2000, 4000)]))
    before = block.order < 2000
    block.eligible[before, -1], block.logged[before, -1] = False, 0.0
    block.logged[:] /= block.logged.sum(axis=1, keepdims=True)
    block.propensity[:] = block.logged[np.arange(len(block)), block.action]
    block.order[:] = np.arange(len(block))
    found = run(block, "linucb:alpha=0.5", size=500)
    costs = []
    for name in ("{}", "{}, queries shuffled", "blind mix at the cost of {}"):
        figure = named(found, name.format("linucb:alpha=0.5")).estimates["dr"]["cost_usd"]
        assert figure is not None
        costs.append(figure.value)
    assert costs[1] == pytest.approx(costs[0], rel=0.02)
    assert costs[2] <= 1.02 * costs[0]


def test_a_model_whose_cost_is_refused_is_not_the_best() -> None:
    block = a_block(n=2000, cost_weight=20.0)
    block.outcomes[block.action == 1, 2] = np.nan
    block.outcomes[np.flatnonzero(block.action == 1)[:5], 2] = 1e-5
    found = run(block)
    best = found.best_fixed("dr")
    assert best is None or best.question.name != "fixed:medium"


def wrong_propensity(block: Block) -> None:
    block.propensity[:] = 1.0


def wrong_pmf(block: Block) -> None:
    block.logged[:], block.propensity[:] = 1 / len(ARMS), 1 / len(ARMS)


def test_learned_policies_are_worth_what_they_would_earn() -> None:
    """200 logs of 1,000 rows: the interval of DR covers the value of the policy it is asked about.

    The policy is scored by posteriors of the log, so its value is that of the PMF it has at the logged
    queries. Nominal 95%; below 91% is a chance of 1 in 100 for a right interval.
    """
    world, covered = make_world(np.random.default_rng(0)), 0
    shape = world.means.shape[:2]
    behaviour = softmax(np.random.default_rng(1).standard_normal(shape), floor=0.2)
    for seed in range(200):
        rng = np.random.default_rng([3, seed])
        block = block_of(world.log(rng, 1000, behaviour, behaviour), cost_weight=20.0)
        beliefs = believe(block, learn_folds(block, a_prior()).held_out())
        pmf = target_pmf(block, parse_policy("linucb:alpha=0.3"), beliefs)
        c = (block.x[:, None, :] == world.contexts[None]).all(axis=2).argmax(axis=1)
        truth = float((pmf * world.means[c, :, 0]).sum(axis=1).mean())
        dr = estimate([block.with_target(pmf)], {"dr": ESTIMATORS["dr"]()})["dr"]["reward"]
        assert dr is not None
        covered += dr.low <= truth <= dr.high
    assert covered >= 182


@pytest.mark.parametrize(
    ("falsify", "codes"),
    [
        (wrong_propensity, {"propensity-mismatch"}),
        (wrong_pmf, {"pmf-misfit"}),
    ],
)
def test_logs_with_false_propensities_are_refused(falsify: Callable[[Block], None], codes: set[str]) -> None:
    """On data where the biased answer looks plausible: within the range of the rewards."""
    world = make_world(np.random.default_rng(3))
    behaviour = softmax(6.0 * world.means[..., 0], floor=0.1)
    block = block_of(world.log(np.random.default_rng(0), 3000, behaviour, behaviour))
    right = named(run(block), "fixed:huge")
    assert right.refused("snips", "reward") == []
    falsify(block)
    wrong = named(run(block), "fixed:huge")
    assert codes <= {refusal.code for refusal in wrong.refused("snips", "reward")}
    biased, truth = wrong.estimates["snips"]["reward"], right.estimates["snips"]["reward"]
    assert biased is not None
    assert truth is not None
    assert 0.0 < biased.value < 1.0
    assert not biased.low <= truth.value <= biased.high
    assert block.fold.max() == FOLDS - 1
