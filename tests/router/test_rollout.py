"""Rollouts in one process: stages, branches by hash, what is logged, and what follows the other workers."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binomtest

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.router import Router
from bandit_router.router.rollout import hash_unit
from bandit_router.store.acts import ActKind
from bandit_router.types import Decision, Reason
from tests.router.conftest import OpenRouter

FIXED = {"incumbent": "large"}
UNIFORM = {"name": "uniform"}
CALLER = {"incumbent": "[caller:otherwise=large]"}


def route_many(router: Router, n: int, **options: Any) -> list[Decision]:
    return [router.route(f"query {i}", **options) for i in range(n)]


def test_shadow_mode_changes_nothing_and_logs_the_candidate(open_router: OpenRouter) -> None:
    router = open_router(rollout=FIXED)
    decisions = route_many(router, 20)
    assert {(d.arm, d.propensity, d.reason) for d in decisions} == {("large", 1.0, Reason.INCUMBENT)}
    assert 0.0 < float(decisions[0].signals["candidate_p"]) < 1.0
    assert "incumbent" in router.explain(decisions[0].id).why
    router.feedback(decisions[0].id, quality=1.0)
    assert router.learn() == 1
    assert router.counts()["large"] == 1
    assert router.verify().problems == []


def test_stages_follow_one_another_on_every_worker(open_on_either: OpenRouter) -> None:
    one, other = (open_on_either(rollout=FIXED, policy=UNIFORM) for _ in range(2))
    shares = [one.advance_rollout().share for _ in range(5)]
    assert shares == [0.01, 0.05, 0.2, 0.5, 1.0]
    with pytest.raises(InvalidInput, match="is 1 already"):
        one.advance_rollout()
    other.refresh()
    assert other.route("a").pmf == (0.5, 0.5)
    assert one.abort_rollout().aborted
    other.refresh()
    assert other.route("a").reason is Reason.INCUMBENT
    assert other.advance_rollout(0.2).share == 0.2
    one.refresh()
    decision = one.route("a")
    assert dict(zip(decision.eligible, decision.pmf, strict=True)) == pytest.approx(
        {"small": 0.1, "large": 0.9}
    )
    assert open_on_either(rollout=FIXED, policy=UNIFORM).rollout_stage == one.rollout_stage
    assert one.verify().problems == []
    kinds = [act.kind for act in one.acts(20) if act.kind.name.startswith("ROLLOUT")]
    advanced = [ActKind.ROLLOUT_ADVANCED]
    assert kinds == [ActKind.ROLLOUT_BEGUN, *advanced * 5, ActKind.ROLLOUT_ABORTED, *advanced]


@pytest.mark.usefixtures("fixed_secret")
@pytest.mark.parametrize("unit", ["user", "conversation"])
def test_a_unit_keeps_its_branch_and_shares_are_as_asked_for(open_router: OpenRouter, unit: str) -> None:
    keeps = {"conversations": {"sticky": False}}
    router = open_router(rollout={**FIXED, "unit": unit, "share": 0.3}, policy=UNIFORM, **keeps)
    branches = {}
    for i in range(400):
        options: Any = {unit: f"unit {i}"}
        drawn = {router.route(f"query {k}", **options).signals["branch"] for k in range(2)}
        assert len(drawn) == 1
        branches[i] = drawn.pop()
    candidates = sum(branch == "candidate" for branch in branches.values())
    assert binomtest(candidates, len(branches), 0.3).pvalue > 1e-3
    assert router.verify().problems == []


def test_units_are_drawn_anew_for_each_stage_and_period() -> None:
    draws = [hash_unit("secret", stage, period, "unit") for stage in (1, 2) for period in (0, 1)]
    assert len(set(draws)) == 4
    assert all(0.0 <= u < 1.0 for u in draws)
    assert hash_unit("secret", 1, 0, "unit") == draws[0]
    assert hash_unit("other", 1, 0, "unit") != draws[0]


def test_the_caller_says_what_it_would_have_done(open_router: OpenRouter) -> None:
    router = open_router(rollout=CALLER)
    for arm in ("small", "large", "small"):  # even where a conversation keeps another
        assert router.route("hello", incumbent=arm, conversation="one").arm == arm
    assert router.route("hello").arm == "large"
    with pytest.raises(InvalidInput, match="incumbent: 'typo' is not an arm"):
        router.route("hello", incumbent="typo")
    assert router.verify().problems == []


def test_an_abort_takes_conversations_back_too(open_router: OpenRouter) -> None:
    router = open_router(rollout={**FIXED, "share": 1.0}, policy={"name": "fixed", "arm": "small"})
    assert [router.route("hello", conversation="one").arm for _ in range(2)] == ["small", "small"]
    router.abort_rollout()
    after = [router.route("hello", conversation="one") for _ in range(2)]
    assert [(d.arm, d.reason) for d in after] == [("large", Reason.INCUMBENT), ("large", Reason.STICKY)]


def test_a_decision_that_something_else_settles_has_no_branch(open_router: OpenRouter) -> None:
    router = open_router(rollout={**FIXED, "share": 0.5, "unit": "user"})
    assert "branch" in router.route("hello", user="one").signals
    assert "branch" not in router.route("hello", user="one", override="small").signals


def test_another_incumbent_or_policy_begins_a_rollout_anew(open_router: OpenRouter) -> None:
    router = open_router(rollout=FIXED)
    router.advance_rollout(0.5)
    assert open_router(rollout={**FIXED, "margin": 0.1}).rollout_stage == router.rollout_stage
    begun = open_router(rollout=FIXED, policy=UNIFORM).rollout_stage
    assert begun is not None
    assert (begun.id, begun.share) == (3, 0.0)
    assert open_router().rollout_stage is None
    with pytest.raises(InvalidInput, match="is not set up"):
        open_router().advance_rollout()


def test_wrong_settings_are_an_error(open_router: OpenRouter) -> None:
    with pytest.raises(ConfigError, match="'huge' is not an arm"):
        open_router(rollout={"incumbent": "huge"})
    with pytest.raises(ConfigError, match="steps"):
        open_router(rollout={**FIXED, "steps": [0.5, 0.1]})
    with pytest.raises(ConfigError, match="no policy 'nonsense'"):
        open_router(rollout={"incumbent": "[nonsense]"})
