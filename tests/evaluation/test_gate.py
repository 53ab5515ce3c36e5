"""The gate: it stays open for honest logs, and catches each way a log is known to lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit_router.evaluation.block import TargetBlock
from bandit_router.evaluation.estimators import ESTIMATORS
from bandit_router.evaluation.estimators.weighting import SNIPS
from bandit_router.evaluation.gate import ESS, Refusal, refuse_estimates
from bandit_router.types import FloatArray
from tests.contracts.estimator import run
from tests.evaluation.passes import diagnostics_of
from tests.evaluation.worlds import World, always, draw, make_block, softmax

N = 3000
CONTEXTS = np.column_stack([np.ones(8), np.linspace(-1.0, 1.0, 8)])
HARDNESS = CONTEXTS[:, 1:]
QUALITY = 0.6 - 0.3 * HARDNESS + np.array([-0.1, -0.05, 0.05, 0.1])
WORLD = World(
    contexts=CONTEXTS,
    means=np.stack([QUALITY, QUALITY, np.tile([1e-4, 4e-4, 1.6e-3, 6.4e-3], (8, 1))], axis=-1),
)
SKEWED = softmax(1.5 * HARDNESS * np.array([-1.0, -0.3, 0.3, 1.0]), floor=0.1)
"""Hard queries go to large arms, as a sensible router would have it."""

BALANCED = 0.25 + 0.2 * np.where(HARDNESS > 0, 1.0, -1.0) * np.array([-1.0, 1.0, -1.0, 1.0])
"""The same, but every arm gets a quarter of all queries."""


def honest(behaviour: FloatArray, target: FloatArray, seed: int = 1) -> TargetBlock:
    return WORLD.log(np.random.default_rng(seed), N, behaviour, target)


def claiming(log: TargetBlock, logged: FloatArray) -> TargetBlock:
    """The log with another PMF than the one its actions were drawn from."""
    return replace(log, logged=logged, propensity=logged[np.arange(N), log.action])


def codes(refusals: list[Refusal]) -> set[str]:
    return {refusal.code for refusal in refusals}


def assert_plausible_but_wrong(log: TargetBlock, truth: float) -> None:
    """SNIPS gives a reward in [0, 1] with a small error, whose interval does not contain the truth."""
    found = run(SNIPS(), [log])["reward"]
    assert found is not None
    assert 0.2 < found.value < 0.95
    assert found.standard_error < 0.05
    assert not found.low <= truth <= found.high
    assert diagnostics_of(log).outcomes["reward"].ess > ESS


UNIFORM = np.full((N, 4), 0.25)
HUGE = always(3, 8)
TRUTH = float(WORLD.truth(HUGE)[0])


# -- honest logs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [SKEWED, BALANCED, np.full((8, 4), 0.25)])
@pytest.mark.parametrize("target", [HUGE, SKEWED, softmax(3.0 * QUALITY)])
def test_an_honest_log_with_overlap_passes(behaviour: FloatArray, target: FloatArray) -> None:
    refusals = refuse_estimates(diagnostics_of(honest(behaviour, target)))
    assert not any(refusal.concerns("dr", "reward") for refusal in refusals)
    assert codes(refusals) <= {"reward-model"}


def test_an_honest_skewed_log_gives_the_truth() -> None:
    """So that what the tests below catch is the lie alone. Within 3 standard errors: 1 seed in 370 fails."""
    found = run(SNIPS(), [honest(SKEWED, HUGE)])["reward"]
    assert found is not None
    assert abs(found.value - TRUTH) < 3 * found.standard_error


# -- wrong propensities ----------------------------------------------------------------------------


def test_one_over_k_logged_beside_the_true_pmf_is_caught() -> None:
    log = replace(honest(SKEWED, HUGE), propensity=np.full(N, 0.25))
    assert_plausible_but_wrong(log, TRUTH)
    assert "propensity-mismatch" in codes(refuse_estimates(diagnostics_of(log)))


@pytest.mark.parametrize("behaviour", [SKEWED, BALANCED])
def test_one_over_k_logged_for_a_policy_that_was_not_uniform_is_caught(behaviour: FloatArray) -> None:
    log = claiming(honest(behaviour, HUGE), UNIFORM)
    assert_plausible_but_wrong(log, TRUTH)
    assert "pmf-misfit" in codes(refuse_estimates(diagnostics_of(log)))


def test_a_policy_that_is_balanced_over_arms_is_only_caught_by_the_context() -> None:
    found = diagnostics_of(claiming(honest(BALANCED, HUGE), UNIFORM))
    assert all(abs(arm.excess_z or 0.0) < 4 for arm in found.arms.values())
    assert found.misfit > 1.0


def test_propensities_of_one_beside_the_true_pmf_are_caught() -> None:
    log = replace(honest(SKEWED, HUGE), propensity=np.ones(N))
    assert_plausible_but_wrong(log, TRUTH)  # the plain mean of the rows that took the arm
    assert {"propensity-mismatch", "mean-weight"} <= codes(refuse_estimates(diagnostics_of(log)))


def test_a_log_that_claims_every_action_was_certain_is_caught() -> None:
    log = honest(SKEWED, HUGE)
    log = claiming(log, np.eye(4)[log.action])
    assert_plausible_but_wrong(log, TRUTH)
    refusals = refuse_estimates(diagnostics_of(log))
    assert "no-support" in codes(refusals)
    assert "huge" in next(r.reason for r in refusals if r.code == "no-support")


def test_replay_without_correction_of_a_log_that_was_not_uniform_is_caught() -> None:
    log = honest(SKEWED, HUGE)
    agreeing = log.outcomes[log.action == 3, 0]
    error = agreeing.std() / np.sqrt(agreeing.size)
    assert abs(agreeing.mean() - TRUTH) > 3 * error  # what replay would say, and with what confidence
    assert "not-uniform" in codes(refuse_estimates(diagnostics_of(log), assumes_uniform=True))
    assert "not-uniform" not in codes(refuse_estimates(diagnostics_of(log)))


def test_replay_of_a_uniform_log_passes() -> None:
    assert not refuse_estimates(diagnostics_of(honest(np.full((8, 4), 0.25), HUGE)), assumes_uniform=True)


def test_rows_the_policy_did_not_choose_are_caught() -> None:
    log = honest(SKEWED, HUGE)
    action = np.where(np.arange(N) % 8 == 0, 3, log.action)  # overrides, logged with the policy's PMF
    mixed = replace(log, action=action, propensity=log.logged[np.arange(N), action])
    assert "pmf-misfit" in codes(refuse_estimates(diagnostics_of(mixed)))


# -- logs that cannot answer -----------------------------------------------------------------------


def rare(share: float) -> TargetBlock:
    """A log that takes the target's arm in this share of its rows."""
    behaviour = np.tile([(1 - share) / 3] * 3 + [share], (8, 1))
    return honest(behaviour, HUGE)


def test_too_few_effective_rows_are_refused_with_what_would_cure_it() -> None:
    refusals = [r for r in refuse_estimates(diagnostics_of(rare(0.008))) if r.outcome == "reward"]
    assert codes(refusals) == {"few-rows"}
    assert refusals[0].concerns("snips", "reward")
    assert not refusals[0].concerns("stabilised-dr", "reward")
    assert not refusals[0].concerns("snips", "quality")
    assert "'huge'" in refusals[0].cure
    assert "epsilon" in refusals[0].cure


def test_a_handful_of_rows_is_refused_even_stabilised() -> None:
    refusals = refuse_estimates(diagnostics_of(rare(0.001)))
    for name in ESTIMATORS:
        assert any(refusal.concerns(name, "reward") for refusal in refusals)


def test_one_row_with_much_of_the_weight_is_refused() -> None:
    log = honest(np.full((8, 4), 0.25), HUGE)
    row = int(np.flatnonzero(log.action == 3)[0])
    logged = log.logged.copy()
    logged[row] = [0.3325, 0.3325, 0.3325, 0.0025]  # weight 400, where all others together have 3,000
    refusals = [r for r in refuse_estimates(diagnostics_of(claiming(log, logged))) if r.outcome == "reward"]
    assert codes(refusals) == {"one-row"}
    assert "11." in refusals[0].reason


def test_an_outcome_nobody_reported_is_refused_alone() -> None:
    log = honest(SKEWED, HUGE)
    log.outcomes[:, 1] = np.nan
    refusals = refuse_estimates(diagnostics_of(log))
    assert [(r.code, r.outcome) for r in refusals if r.code != "reward-model"] == [("no-feedback", "quality")]


def test_a_target_that_takes_what_the_log_could_not_is_refused() -> None:
    behaviour = np.tile([0.5, 0.3, 0.2, 0.0], (8, 1))
    refusals = refuse_estimates(diagnostics_of(honest(behaviour, softmax(QUALITY))))
    found = [r for r in refusals if r.code == "no-support"]
    assert {r.outcome for r in found} == {"reward", "quality", "cost_usd"}
    assert all("huge" in r.reason for r in found)


def test_a_reward_model_that_the_rows_contradict_refuses_dm_alone() -> None:
    rng = np.random.default_rng(5)
    u = rng.uniform(-1.0, 1.0, N)
    x = np.column_stack([np.ones(N), u])
    logged = softmax(np.column_stack([3 * u**2, np.zeros(N)]), floor=0.1)
    action = draw(rng, logged)
    curved = 0.1 + 0.8 * u**2  # no line fits it, and the log looks where it is large
    outcomes = np.tile(np.where(action == 0, curved, 0.5)[:, None], (1, 3))
    target = np.tile([1.0, 0.0], (N, 1))
    log = make_block(x=x, logged=logged, action=action, outcomes=outcomes, target=target)
    refusals = [r for r in refuse_estimates(diagnostics_of(log)) if r.outcome == "reward"]
    assert codes(refusals) == {"reward-model"}
    assert refusals[0].concerns("dm", "reward")
    assert not refusals[0].concerns("dr", "reward")


def test_every_refusal_says_why_and_what_to_log() -> None:
    log = replace(rare(0.001), propensity=np.ones(N))
    refusals = refuse_estimates(diagnostics_of(log), assumes_uniform=True)
    assert refusals
    for refusal in refusals:
        assert len(refusal.reason) > 10
        assert len(refusal.cure) > 10
        assert refusal.outcome in (None, "reward", "quality", "cost_usd")
