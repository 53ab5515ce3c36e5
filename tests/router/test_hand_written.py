"""Hand-written policies, live: what they decide by is logged, and verify and evaluate go by the log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.parallel import workers
from bandit_router.policies import parse_policy
from bandit_router.policies.heuristic import Heuristic, Verdict
from bandit_router.router import Router
from bandit_router.types import Reason
from tests.databases import MakeUrl
from tests.router.conftest import OpenRouter, settings_of, share

HEURISTIC = {"name": "heuristic", "cheap": "small", "expensive": "large", "epsilon": 0.1}
TIERS = {"premium": "large", "free": "small", "team": "[uniform]", "else": "[tempered]"}
COMPLEX, DOUBTFUL, SIMPLE = "Debug ```f(x)```", "Explain it.", "Hello"
GOLD: list[dict[str, Any]] = [{"name": "gold", "weight": 0.9, "tier": "gold"}]


def test_the_heuristic_goes_by_the_shipped_rules(open_on_either: OpenRouter) -> None:
    router = open_on_either(policy=HEURISTIC)
    for query, arm, score in ((COMPLEX, "large", 1.0), (DOUBTFUL, "small", 0.5), (SIMPLE, "small", 0.0)):
        made = router.route(query)
        assert share(made, arm) == pytest.approx(0.95)
        assert made.signals["complexity"] == score
        assert router.decision(made.id).signals == made.signals
        assert made.reason is Reason.POLICY
    report = router.verify()
    assert (report.ok, report.pmfs_recomputed) == (True, 3)


def test_a_follow_up_and_a_premium_user_are_seen(open_router: OpenRouter) -> None:
    router = open_router(policy=HEURISTIC)
    turn = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "And?"}]
    made = router.route(turn, user_tier="premium")
    assert made.signals == {"tier": "premium", "complexity": pytest.approx(0.6), "rules": "premium,follow-up"}


def test_whoever_sends_vectors_gets_the_cheap_arm_and_no_score(open_router: OpenRouter) -> None:
    router = open_router(policy=HEURISTIC)
    made = router.route(features=np.zeros(router.pipeline.dim - 1), user_tier="premium")
    assert made.signals == {"tier": "premium"}
    assert share(made, "small") == pytest.approx(0.95)
    assert isinstance(router.policy, Heuristic)
    assert router.policy.verdict(made.signals) is Verdict.UNCERTAIN
    assert router.verify().ok


def test_without_rules_or_a_policy_that_wants_them_nothing_is_logged(
    open_router: OpenRouter,
) -> None:
    assert open_router().route(COMPLEX).signals == {}


def test_rules_are_logged_whichever_policy_is_live(open_router: OpenRouter) -> None:
    router = open_router(rules=GOLD)
    assert router.route(COMPLEX, user_tier="gold").signals["complexity"] == 0.9
    assert router.route(COMPLEX).signals == {"complexity": 0.0, "rules": ""}


def test_a_tier_has_an_arm_which_is_no_exploration_or_a_policy(open_on_either: OpenRouter) -> None:
    router = open_on_either(policy={"name": "tier", "tiers": TIERS})
    premium, team = router.route(SIMPLE, user_tier="premium"), router.route(SIMPLE, user_tier="team")
    assert (premium.arm, premium.propensity, premium.reason) == ("large", 1.0, Reason.TIER)
    assert (team.pmf, team.reason) == ((0.5, 0.5), Reason.POLICY)
    assert router.route(SIMPLE).reason is Reason.POLICY
    assert router.route(SIMPLE, user_tier="premium", arms=["small"]).reason is Reason.POLICY
    report = router.verify()
    assert (report.ok, report.pmfs_recomputed) == (True, 4)


def test_what_a_tier_taught_is_learned(open_router: OpenRouter) -> None:
    router = open_router(policy={"name": "tier", "tiers": TIERS})
    router.feedback(router.route(SIMPLE, user_tier="premium").id, quality=1.0)
    router.learn()
    assert router.counts() == {"large": 1, "small": 0}
    assert router.verify().ok


@pytest.mark.parametrize(
    "policy",
    [
        HEURISTIC | {"expensive": "gone"},
        {"name": "tier", "tiers": TIERS | {"premium": "gone"}},
        {"name": "tier", "tiers": {"else": "[heuristic:cheap=small,expensive=gone]"}},
    ],
)
def test_an_arm_that_is_not_there_is_named_at_the_start(
    open_router: OpenRouter, policy: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="'gone' is not an arm; use one of large, small"):
        open_router(policy=policy)


# -- in the log of another, and others in theirs ---------------------------------------------------


def log_of(url: str, policy: dict[str, Any], n: int = 300, **sections: Any) -> None:
    """Queries of three kinds from users of three tiers; the large arm is better for what is complex."""
    rng = np.random.default_rng(1)
    with Router.open(settings_of(url, policy=policy, **sections), rng=np.random.default_rng(0)) as router:
        for i in range(n):
            query = (COMPLEX, DOUBTFUL, SIMPLE)[i % 3]
            made = router.route(query, user_tier=("premium", "team", None)[i % 4 % 3])
            good = 0.9 if made.arm == "large" or query != COMPLEX else 0.2
            router.feedback(made.id, quality=float(rng.random() < good))
        router.learn()
        assert router.verify().ok


def estimates(url: str, *specs: str) -> dict[str, tuple[float, float]]:
    """Reward and its standard error by policy."""
    with workers(1), open_log(url) as log:
        found = evaluate(
            log.pieces,
            log.arms,
            {spec: parse_policy(spec) for spec in specs},
            rows=log.rows,
            prior=log.statistics(),
            estimators=("snips",),
            headline="snips",
        )
    figures = {a.question.name: a.estimates["snips"]["reward"] for a in found.answers}
    return {name: (f.value, f.standard_error) for name, f in figures.items() if f is not None}


def test_hand_written_policies_are_judged_on_the_log_of_another(make_sqlite_url: MakeUrl) -> None:
    url = make_sqlite_url()
    log_of(url, {"name": "uniform"}, rules=[{"name": "code", "weight": 0.9, "pattern": "```"}])
    heuristic = "heuristic:cheap=small,expensive=large,epsilon=0"
    found = estimates(url, heuristic, "tier:team=small,else=large")
    # What is complex goes to the large arm: 0.9 in truth. Fixed seeds; four standard errors.
    value, error = found[heuristic]
    assert abs(value - 0.9) < 4 * error
    value, error = found["tier:team=small,else=large"]
    assert abs(value - (0.75 * 0.9 + 0.25 * (2 * 0.9 + 0.2) / 3)) < 4 * error
    assert found["fixed:small"][0] < found[heuristic][0]


@pytest.mark.parametrize("policy", [HEURISTIC, {"name": "tier", "tiers": TIERS | {"else": "[uniform]"}}])
def test_others_are_judged_on_the_log_of_a_hand_written_policy(
    make_sqlite_url: MakeUrl, policy: dict[str, Any]
) -> None:
    url = make_sqlite_url()
    log_of(url, policy, n=600)
    value, error = estimates(url, "thompson")["fixed:large"]
    assert abs(value - 0.9) < 4 * error


def test_without_the_rules_of_the_log_the_heuristic_is_not_judged(make_sqlite_url: MakeUrl) -> None:
    url = make_sqlite_url()
    log_of(url, {"name": "uniform"}, n=20)
    with pytest.raises(ValueError, match="without the signal 'complexity'"):
        estimates(url, "heuristic:cheap=small,expensive=large")
