"""Replay against the policy run live in the same world, with a biased variant that must fail."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import OUTCOMES, Block
from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.gate import ESS
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.replay import (
    LogSurvey,
    ReplayResult,
    log_refusals,
    replay,
    replay_policies,
    survey_log,
)
from bandit_router.policies import Policy, sample
from bandit_router.policies.bandit import Fixed, LinUCB, Uniform
from bandit_router.posterior.arm_priors import make_hyperprior, make_level_prior
from bandit_router.posterior.hierarchical import Solution, solve_hierarchy
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.online import OnlinePosterior
from bandit_router.posterior.regression_sums import RegressionSums
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.routing.decide import score_arms
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import FloatArray, Scores
from tests.evaluation.blocks import InMemory, a_block, a_prior, block_of, split
from tests.evaluation.worlds import ARMS, World, always, make_block, make_world, softmax

FIRST = 100
POLICY = LinUCB(alpha=0.5, epsilon=0.1)


@dataclass(frozen=True)
class Live:
    """Mean reward of the policy over its first FIRST decisions, over many runs."""

    mean: float
    error: float


def live(world: World, runs: int) -> Live:
    """The policy learns in the world itself: the truth that a replay has to find."""
    earned = []
    for seed in range(runs):
        rng, learned, total = np.random.default_rng([1, seed]), OnlinePosterior(a_prior()), 0.0
        for _ in range(FIRST):
            c = rng.integers(len(world.contexts), size=1)
            x = world.contexts[c[0]]
            scores = score_arms(learned.posterior, ARMS, x, [0.0] * len(ARMS), 0.0)
            action = sample(POLICY.pmf(scores), rng)
            reward = float(world.outcomes(rng, c, np.array([action]))[0, 0])
            learned.observe(ARMS[action], x, reward)
            total += reward
        earned.append(total / FIRST)
    return Live(float(np.mean(earned)), float(np.std(earned) / np.sqrt(runs)))


def played(
    block: Block, policy: Policy = POLICY, seed: int = 0, prior: SufficientStatistics | None = None
) -> ReplayResult:
    """One replay of a whole log."""
    rng = np.random.default_rng(seed)
    return replay([block], policy, prior or a_prior(), survey=survey_log([block]), rng=rng)


def replayed(world: World, runs: int, *, uniform: bool) -> Live:
    """The mean over the first FIRST retained rows of many logs."""
    shape, earned = world.means.shape[:2], []
    for seed in range(runs):
        rng = np.random.default_rng([2, seed])
        skewed = softmax(2.0 * np.random.default_rng(7).standard_normal(shape), floor=0.3)
        behaviour = np.full(shape, 1 / len(ARMS)) if uniform else skewed
        block = block_of(world.log(rng, 3000, behaviour, always(0, shape[0])))
        found = _first_rewards(block, rng, survey_log([block]))
        earned.append(found)
    return Live(float(np.mean(earned)), float(np.std(earned) / np.sqrt(runs)))


def _first_rewards(block: Block, rng: np.random.Generator, known: LogSurvey) -> float:
    """The mean reward when the log ends at its FIRST-th retained row, found by its length."""
    low, high = FIRST, len(block)
    seed = int(rng.integers(2**32))

    def at(n: int) -> tuple[int, float]:
        part = next(split(block, n)).read()
        again = np.random.default_rng(seed)
        found = replay([part], POLICY, a_prior(), survey=known, rng=again)
        figure = found.figures["reward"]
        return found.retained, figure.value if figure else 0.0

    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle)[0] < FIRST else (low, middle)
    retained, value = at(low)
    assert retained == FIRST
    return value


@pytest.mark.parametrize("uniform", [True, False])
def test_a_replay_earns_what_the_policy_earns_live(uniform: bool) -> None:
    """Within 4 standard errors of the difference, which a right method leaves once in 16,000 times."""
    world = make_world(np.random.default_rng(3))
    truth, found = live(world, 150), replayed(world, 40, uniform=uniform)
    assert abs(truth.mean - found.mean) < 4 * np.hypot(truth.error, found.error)


def test_replay_of_a_skewed_log_as_if_it_were_uniform_is_wrong() -> None:
    """The negative control: e is set to 1/K where it is not, and the same check fails."""
    world = make_world(np.random.default_rng(3))
    truth, errors = live(world, 150), []
    shape = world.means.shape[:2]
    # A log that tries the arms where they are good: its rewards look fine, and are not the policy's.
    knowing = softmax(6.0 * world.means[..., 0], floor=0.1)
    for seed in range(40):
        rng = np.random.default_rng([2, seed])
        block = block_of(world.log(rng, 3000, knowing, always(0, shape[0])))
        block.logged[:], block.propensity[:] = 1 / len(ARMS), 1 / len(ARMS)
        errors.append(_first_rewards(block, rng, survey_log([block])))
    wrong = Live(float(np.mean(errors)), float(np.std(errors) / np.sqrt(40)))
    assert abs(truth.mean - wrong.mean) > 4 * np.hypot(truth.error, wrong.error)


def test_a_uniform_log_retains_one_row_in_as_many_as_there_are_arms() -> None:
    found = played(a_block(n=4000, uniform=True))
    assert found.bound == pytest.approx(4.0)
    assert found.rows == 4000
    assert abs(found.retained - 1000) < 4 * np.sqrt(4000 * 0.25 * 0.75)
    assert found.shares.sum() == pytest.approx(1.0)


def test_pieces_make_no_difference() -> None:
    block = a_block(n=500)
    block.outcomes[::3] = np.nan
    parts = [piece.read() for piece in split(block, 500)], [piece.read() for piece in split(block, 77)]
    one, many = (
        replay(some, POLICY, a_prior(), survey=survey_log(some), rng=np.random.default_rng(5))
        for some in parts
    )
    assert one.retained == many.retained
    assert one.figures == many.figures
    assert one.refusals == many.refusals


def test_a_log_that_cannot_be_replayed_is_refused() -> None:
    block = a_block(n=50)
    known = survey_log([block])
    block.logged[0, block.action[0]] += block.logged[0, block.action[0] - 1]
    block.logged[0, block.action[0] - 1] = 0.0
    assert survey_log([block]).bound == np.inf
    with pytest.raises(InvalidInput, match="floor"):
        played(block)
    small = replace(known, bound=1.0)
    with pytest.raises(InvalidInput, match="raise it"):
        replay([block], Fixed("small"), a_prior(), survey=small, rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="no rows"):
        survey_log([])


# -- missing feedback -----------------------------------------------------------------------------


def two_arms(seed: int, n: int, heard: float) -> Block:
    """A uniform log of two arms that earn 0.9 and 0.1; of the second only a share is heard."""
    rng = np.random.default_rng(seed)
    action = rng.integers(2, size=n)
    reward = (rng.random(n) < np.array([0.9, 0.1])[action]).astype(np.float64)
    outcomes = np.column_stack([reward, reward, 1e-4 * (1 + action)])
    outcomes[(action == 1) & (rng.random(n) >= heard)] = np.nan
    half = np.full((n, 2), 0.5)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    return block_of(make_block(x=x, logged=half, action=action, outcomes=outcomes, target=half))


def test_an_arm_that_is_seldom_heard_of_counts_as_often_as_it_was_taken() -> None:
    """The policy takes either arm half of the time: 0.5. A plain mean says 0.83, 16 standard errors off."""
    found = played(two_arms(seed=0, n=6000, heard=0.1), Uniform())
    reward = found.figures["reward"]
    assert reward is not None
    assert not found.refused("reward")
    assert abs(reward.value - 0.5) < 4 * reward.standard_error
    assert reward.standard_error < 0.03
    assert reward.rows == found.feedback["reward"] < found.retained


def test_the_standard_error_is_the_spread_over_logs() -> None:
    """ρ counts as known, which makes the interval a little too wide, never too narrow."""
    figures = [played(two_arms(seed, 600, 0.3), Uniform(), seed).figures["reward"] for seed in range(150)]
    values = [figure.value for figure in figures if figure]
    errors = [figure.standard_error for figure in figures if figure]
    assert len(values) == 150
    assert abs(np.mean(values) - 0.5) < 4 * np.std(values) / np.sqrt(150)
    assert 0.8 < np.mean(errors) / np.std(values) < 1.5


def test_feedback_that_never_came_is_not_a_reward_of_zero() -> None:
    block = a_block(n=2000, uniform=True)
    block.outcomes[::2] = np.nan
    reward = played(block, Uniform()).figures["reward"]
    assert reward is not None
    assert reward.value > 0.3
    block.outcomes[:] = np.nan
    empty = played(block, Uniform())
    assert empty.figures == dict.fromkeys(OUTCOMES)
    assert empty.feedback == dict.fromkeys(OUTCOMES, 0)
    assert [one.code for one in empty.refusals] == ["no-feedback"] * 3


def test_an_arm_without_any_feedback_has_no_figure_once_it_is_taken() -> None:
    block = a_block(n=2000, uniform=True)
    block.outcomes[block.action == 2, OUTCOMES.index("cost_usd")] = np.nan
    found = played(block, Uniform())
    assert found.figures["cost_usd"] is None
    (refusal,) = found.refusals
    assert (refusal.code, refusal.outcome) == ("no-support", "cost_usd")
    assert ARMS[2] in refusal.reason
    assert found.figures["reward"] is not None
    other = played(block, Fixed(ARMS[0]))  # which never takes it
    assert other.figures["cost_usd"] is not None
    assert not other.refusals


# -- the gate -------------------------------------------------------------------------------------


def test_too_few_rows_with_feedback_are_refused_however_many_are_retained() -> None:
    block = a_block(n=2000, uniform=True)
    block.outcomes[np.arange(2000) % 20 > 0] = np.nan
    found = played(block, Uniform())
    assert found.retained > 400
    assert found.feedback["reward"] < ESS
    assert {one.code for one in found.refused("reward")} == {"few-rows"}
    assert "times as many rows" in found.refused("reward")[0].cure


def test_rows_count_by_their_weight() -> None:
    """A hundred rows and more, but the arm that is hardly heard of rests on a handful of them."""
    found = played(two_arms(seed=1, n=600, heard=0.02), Uniform())
    assert found.feedback["reward"] > 2 * ESS
    assert {one.code for one in found.refused("reward")} == {"few-rows"}


def test_a_log_that_the_gate_refuses_is_refused_in_replay() -> None:
    block = a_block(n=600)
    block.propensity[:] = 1.0  # as a router that logs what it chose, not how likely it was
    piece = InMemory(block)
    policies: dict[str, Policy] = {"linucb": POLICY}
    with workers(jobs=1):
        evaluation = evaluate([piece], ARMS, policies, rows=600, prior=a_prior())
        refusals = log_refusals(evaluation)
        (runs,) = replay_policies([piece], policies, a_prior(), seeds=2, refusals=refusals).values()
        (bare,) = replay_policies([piece], policies, a_prior(), seeds=1).values()
    assert "propensity-mismatch" in {one.code for one in refusals}
    assert all(one.outcome is None and one.estimators is None for one in refusals)
    for run in runs:
        assert all(set(refusals) <= set(run.refused(outcome)) for outcome in OUTCOMES)
    assert "propensity-mismatch" not in {one.code for one in bare[0].refusals}


def test_propensities_below_the_logged_pmf_do_not_stop_a_replay() -> None:
    """They are refused with a reason, which an error about the bound would keep from being said."""
    block = a_block(n=600)
    block.propensity[:] /= 10.0
    assert played(block).rows == 600


# -- the posterior --------------------------------------------------------------------------------


def prior_of(*arms: str) -> SufficientStatistics:
    """A prior of these arms."""
    prior = make_level_prior(PosteriorSection(weight_std=0.3), 3)
    return SufficientStatistics.empty(dict.fromkeys(arms, prior), schema_id="test", noise_variance=0.09)


@dataclass(frozen=True)
class Watching(Policy):
    """Uniform, and remembers what the posterior it was shown expected of the arms (K,) at each row."""

    expected: list[FloatArray] = field(default_factory=list)

    @property
    def spec(self) -> str:
        return "uniform"

    def pmf(self, scores: Scores) -> list[float]:
        self.expected.append(scores.mean.copy())
        return Uniform().pmf(scores)


def test_shares_are_of_the_arms_of_the_log_in_their_order() -> None:
    """The posterior knows one more, and in another order."""
    block = a_block(n=600, uniform=True)
    found = played(block, Fixed(ARMS[1]), prior=prior_of("retired", *reversed(ARMS)))
    assert found.shares.tolist() == [0.0, 1.0, 0.0, 0.0]


def test_an_arm_that_the_posterior_does_not_know_starts_from_the_prior() -> None:
    block = a_block(n=600, uniform=True)
    known, unknown = (played(block, prior=prior_of(*arms)) for arms in (ARMS, ARMS[:2]))
    assert known.figures == unknown.figures
    assert known.shares.tolist() == unknown.shares.tolist()
    nobody = SufficientStatistics.empty({}, schema_id="test", noise_variance=0.09, dim=3)
    with pytest.raises(InvalidInput, match="posterior of no arm"):
        played(block, prior=nobody)


def test_independent_arms_decide_by_every_reward_at_once() -> None:
    block, watching = a_block(n=200, uniform=True), Watching()
    block.x[:] = block.x[0]
    found = played(block, watching)
    changes = np.abs(np.diff(watching.expected, axis=0)).sum(axis=1) > 0
    assert found.retained - 1 <= changes.sum() <= found.retained


def test_a_hierarchy_is_solved_when_it_knows_a_twentieth_more(monkeypatch: pytest.MonkeyPatch) -> None:
    solved: list[float] = []

    def counted(
        sums: RegressionSums, prior_mean: FloatArray, hyper: Hyperprior, warm: RegressionSums | None
    ) -> Solution:
        solved.append(float(sums.weight.sum()))
        return solve_hierarchy(sums, prior_mean, hyper, warm)

    monkeypatch.setattr("bandit_router.posterior.sufficient_statistics.solve_hierarchy", counted)
    prior = prior_of(*ARMS)
    prior.hyperprior = make_hyperprior(PosteriorSection(model="hierarchical"))
    found = played(a_block(n=3000, uniform=True), prior=prior)
    assert found.retained > 600
    assert solved[:5] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(solved) < 100
    assert all(later <= max(1.05 * sooner + 1.0, sooner + 1.0) for sooner, later in pairwise(solved))
    assert solved[-1] > found.retained / 1.06 - 1.0
