"""A live router that is bound to a baseline: what is drawn and logged, on every worker."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bandit_router.errors import ConfigError, InvalidInput, NoSafety
from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.logs.write import export_log
from bandit_router.router import Router
from bandit_router.types import SAFETY_SHARE, Reason
from tests.router.conftest import LARGE, SMALL, OpenRouter, share
from tests.store.examples import together

SAFE = {"baseline": "large"}


def ask(router: Router, n: int, quality: float = 0.9) -> None:
    for i in range(n):
        router.feedback(router.route(f"query {i}").id, quality=quality)


def test_a_new_router_begins_bound_and_earns_its_share(open_router: OpenRouter) -> None:
    router = open_router(safety={**SAFE, "at_most": 0.1})
    first = router.route("hello")
    begun = first.signals[SAFETY_SHARE]
    assert isinstance(begun, float)
    assert router.safety_share == begun == router.safety().share < 0.4
    assert share(first, "large") > 1.0 - begun
    assert first.policy.startswith("safe:baseline=large|")
    for _ in range(3):
        ask(router, 20)
        router.learn()
    status = router.safety()
    assert status.share == router.safety_share > 1.5 * begun
    assert status.decisions == 61
    assert status.allowed == pytest.approx(0.1 * 61 * 0.9, rel=0.05)
    assert 0.0 <= status.lost < status.lost_at_most
    assert router.route("hello").signals[SAFETY_SHARE] == status.share
    report = router.verify()
    assert (report.problems, report.pmfs_recomputed) == ([], 62)


def test_workers_share_one_book_and_a_restart_keeps_it(open_on_either: OpenRouter) -> None:
    one, other = (open_on_either(seed=seed, safety=SAFE) for seed in range(2))

    def work(router: Router) -> None:
        for _ in range(3):
            ask(router, 10)
            router.learn()

    together(lambda: work(one), lambda: work(other))
    one.learn()
    other.refresh()
    status = one.safety()
    assert status.decisions == 60
    assert one.safety_share == other.safety_share == status.share
    again = open_on_either(safety=SAFE)
    assert again.safety().decisions == 60
    assert again.route("hello").signals[SAFETY_SHARE] == again.safety().share


def test_only_what_the_policy_decides_has_the_share(open_router: OpenRouter) -> None:
    router = open_router(safety=SAFE)
    assert SAFETY_SHARE not in router.route("hello", override="small").signals
    first, second = (router.route("hello", conversation="one") for _ in range(2))
    assert (SAFETY_SHARE in first.signals, SAFETY_SHARE in second.signals) == (True, False)
    assert second.reason is Reason.STICKY
    router.learn()
    assert router.safety().decisions == 2, "the override is no choice of the router's"
    assert SAFETY_SHARE not in open_router().route("hello").signals


def test_the_candidate_of_a_rollout_is_the_bound_policy(open_router: OpenRouter) -> None:
    router = open_router(safety=SAFE, rollout={"incumbent": "large", "share": 0.5})
    decision = router.route("hello")
    w = router.safety().share
    assert decision.signals[SAFETY_SHARE] == w
    assert "rollout_stage" in decision.signals
    assert share(decision, "small") <= 0.5 * w
    router.learn()
    assert router.verify().problems == []


def test_tiers_with_an_arm_keep_it(open_router: OpenRouter) -> None:
    tiers = {"free": "small", "else": "[tempered]"}
    router = open_router(safety=SAFE, policy={"name": "tier", "tiers": tiers})
    assert share(router.route("hello", user_tier="free"), "small") == 1.0
    assert share(router.route("hello"), "large") > 0.8
    router.learn()
    assert router.safety().decisions == 1
    assert router.verify().problems == []


def test_a_reset_settles_and_a_forgotten_user_leaves_the_book(open_on_either: OpenRouter) -> None:
    router = open_on_either(safety=SAFE)
    for user in ("alice", "bob"):
        router.feedback(router.route("hello", user=user).id, quality=1.0)
    router.learn()
    router.route("hello", user="alice")
    assert router.forget_user("alice") == 2
    router.learn()
    before = router.safety()
    assert before.decisions == 2, "sums stay; what was not booked is not"
    router.reset_arm("small")
    router.learn()
    assert router.safety().lost == before.lost_at_most
    assert router.verify().problems == []


def test_the_log_is_evaluated_and_exported_as_any(open_router: OpenRouter, tmp_path: Path) -> None:
    router = open_router(safety={**SAFE, "at_most": 0.2})
    ask(router, 30)
    with router._store.read_log() as reader:
        export_log(reader, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        (piece,) = log.pieces
        shares = {signals[SAFETY_SHARE] for signals in piece.read().signals}
        policies = {"live": router.policy}
        prior = router._learner.prior.empty_state(router.arms).rewards
        found = evaluate(
            log.pieces, log.arms, policies, rows=log.rows, prior=prior, estimators=["dm"], headline="dm"
        )
    w = router.safety_share
    assert w is not None
    assert shares == {w}
    (live,) = (answer for answer in found.answers if answer.question.policy == router.policy)
    assert live.diagnostics.arms["small"].target == pytest.approx(0.5 * w, rel=0.1)


def test_the_baseline_is_not_renamed_under_the_policy(open_router: OpenRouter) -> None:
    router = open_router(safety=SAFE)
    with pytest.raises(InvalidInput, match="'large' is the baseline"):
        router.rename_arm("large", "gpt")
    router.rename_arm("small", "tiny")
    ask(router, 3)
    router.learn()
    assert router.safety().decisions == 3


def test_it_ends_with_the_settings_and_other_terms_go_on(open_router: OpenRouter) -> None:
    ask(router := open_router(safety=SAFE), 5)
    router.learn()
    assert open_router(safety={**SAFE, "at_most": 0.05}).safety().decisions == 5
    assert open_router(safety={"baseline": "small"}).safety().decisions == 0
    with pytest.raises(NoSafety, match=r"under \[safety\]"):
        open_router().safety()
    assert router.safety_share is not None, "a worker with the settings before goes on as it was"


def test_it_says_once_when_it_begins_to_bind_and_when_it_ends(
    open_router: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = []
    for at_most in (1.0, 0.001):
        router = open_router(safety={**SAFE, "at_most": at_most})
        for _ in range(3):
            ask(router, 5)
            router.learn()
        said.append([r.message for r in caplog.records if r.name.endswith("safety_fold")])
        caplog.clear()
    (free,), (bound,) = said
    assert "the policy is free" in free
    assert "the policy is bound to baseline 'large'" in bound


def test_wrong_settings_are_an_error(open_router: OpenRouter, caplog: pytest.LogCaptureFixture) -> None:
    open_router()
    with pytest.raises(ConfigError, match=r"safety.baseline: 'huge' is not an arm; use one of large, small"):
        open_router(safety={"baseline": "huge"})
    with pytest.raises(ConfigError, match=r"safety.baseline: the policy 'fixed:\S+' never learns"):
        open_router(safety=SAFE, policy={"name": "fixed", "arm": "small"})
    for wrong in ({"at_most": 0.0}, {"at_most": 2.0}, {"probability": 0.1}, {"baseline": ""}):
        with pytest.raises(ConfigError, match=f"safety.{next(iter(wrong))}"):
            open_router(safety={**SAFE, **wrong})
    with pytest.raises(NoSafety):
        open_router(apply="never").safety()
    open_router(safety=SAFE, arms=(SMALL, {**LARGE, "enabled": False}))
    assert "'large' is off, so that nothing is bound" in caplog.text
