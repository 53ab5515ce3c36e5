"""The mixture of a rollout: its formula, its branches, its reasons, and the arm that callers name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import Rollout, parse_policy
from bandit_router.policies.bandit import Fixed, Tempered, Uniform
from bandit_router.policies.caller import Caller
from bandit_router.policies.heard import Heard
from bandit_router.policies.heuristic import Heuristic
from bandit_router.policies.rollout import BRANCH, Branch
from bandit_router.types import INCUMBENT, Reason, Scores
from tests.contracts.policy import ORDINARY, make_scores, some_scores

RULES = Heuristic(cheap="a0", expensive="a3")


@given(scores=some_scores(), share=st.floats(0.0, 1.0))
def test_the_pmf_is_the_mixture(scores: Scores, share: float) -> None:
    p, q = RULES.pmf(scores), Tempered().pmf(scores)
    expected = [(1.0 - share) * a + share * b for a, b in zip(p, q, strict=True)]
    assert Rollout(RULES, Tempered(), share).pmf(scores) == pytest.approx(expected, abs=1e-12)


def test_shadow_mode_is_the_incumbent_to_the_bit_and_a_full_share_the_candidate() -> None:
    rng = np.random.default_rng(1)
    for share, policy in ((0.0, Fixed("a1")), (1.0, Tempered())):
        draw = Rollout(Fixed("a1"), Tempered(), share).draw(ORDINARY, rng)
        assert draw.pmf == policy.pmf(ORDINARY)
        assert draw.signals[BRANCH] == ("candidate" if share else "incumbent")


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_draws_follow_the_mixture_and_the_branch_its_share(share: float) -> None:
    rollout, rng = Rollout(Fixed("a1"), Tempered(), share), np.random.default_rng(3)
    draws = [rollout.draw(ORDINARY, rng) for _ in range(4_000)]
    pmf = np.array(rollout.pmf(ORDINARY))
    seen = np.bincount([draw.row for draw in draws], minlength=pmf.size)
    assert all(draw.pmf == rollout.pmf(ORDINARY) for draw in draws)
    assert chisquare(seen, pmf * len(draws)).pvalue > 1e-4
    of_candidate = [draw for draw in draws if draw.signals[BRANCH] == Branch.CANDIDATE]
    assert binomtest(len(of_candidate), len(draws), share).pvalue > 1e-4
    assert {d.row for d in draws if d.signals[BRANCH] == Branch.INCUMBENT} == {1}


def test_the_branch_of_a_unit_draws_whatever_the_coin_would_say() -> None:
    rollout, rng = Rollout(Fixed("a1"), Fixed("a2"), 0.01), np.random.default_rng(3)
    scores = ORDINARY._replace(signals={BRANCH: Branch.CANDIDATE.value})
    draws = [rollout.draw(scores, rng) for _ in range(50)]
    assert {draw.row for draw in draws} == {2}
    assert draws[0].pmf == pytest.approx([0.0, 0.99, 0.01, 0.0, 0.0])


def test_a_draw_has_what_compares_the_branches() -> None:
    scores = make_scores([0.2, 1.4], [0.1, 0.1], cost_weight=0.0)
    signals = Rollout(Fixed("a0"), Uniform(), 0.0).draw(scores, np.random.default_rng(1)).signals
    assert signals == {
        "branch": "incumbent",
        "incumbent_p": 1.0,
        "incumbent_quality": pytest.approx(0.2),
        "incumbent_cost_usd": pytest.approx(0.001),
        "candidate_p": 0.5,
        "candidate_quality": pytest.approx(0.6),  # an expectation above 1 counts as 1
        "candidate_cost_usd": pytest.approx(0.0505),
    }


@pytest.mark.parametrize(
    ("rollout", "reason"),
    [
        (Rollout(Fixed("a1"), Tempered(), 0.0), Reason.INCUMBENT),
        (Rollout(Fixed("a1", epsilon=0.1), Tempered(), 0.0), Reason.POLICY),
        (Rollout(Fixed("a1"), Tempered(), 0.05), Reason.POLICY),
        (Rollout(Fixed("a1"), Heard(Tempered(), 0.001), 0.05), Reason.GREEDY),
        (Rollout(Fixed("a1"), Heard(Tempered(), 0.001), 1.0), Reason.GREEDY),
    ],
)
def test_only_what_explores_has_the_reason_of_exploration(rollout: Rollout, reason: Reason) -> None:
    assert rollout.reason(ORDINARY) is reason


def test_the_caller_names_the_arm() -> None:
    caller = Caller("a1")
    assert caller.pmf(ORDINARY) == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert caller.pmf(ORDINARY._replace(signals={INCUMBENT: "a3"})) == [0.0, 0.0, 0.0, 1.0, 0.0]
    assert caller.pmf(ORDINARY._replace(signals={INCUMBENT: "gone"})) == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert Caller("gone").pmf(ORDINARY) == pytest.approx([0.2] * 5)


@pytest.mark.parametrize(
    "spec", ["rollout:share=0.1", "rollout:share=0.1,incumbent=fixed:a|tempered", "rollout:share=x|tempered"]
)
def test_a_malformed_spec_is_an_error(spec: str) -> None:
    with pytest.raises(ConfigError, match="write rollout:share="):
        parse_policy(spec)


def test_a_share_is_a_share() -> None:
    with pytest.raises(InvalidInput, match="share"):
        Rollout(Fixed("a1"), Tempered(), 1.5)
    with pytest.raises(ConfigError, match="share"):
        parse_policy("rollout:share=2.0,incumbent=[fixed:a]|tempered")
