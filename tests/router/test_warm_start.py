"""A router that starts from what is known elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bandit_router.errors import InvalidInput, SchemaMismatch
from bandit_router.evaluation.warm_start import evidence_from_router
from bandit_router.posterior.warm_start import WarmStartEvidence, evidence_from_labels
from bandit_router.posterior.warm_start_verdict import WarmStartVerdict
from bandit_router.router import Router
from tests.router.conftest import NEW, OpenRouter, share, teach


def labels(router: Router, n: int = 60, arms: tuple[str, ...] = ("large", "small")) -> WarmStartEvidence:
    """Queries that the first arm answers well and the others badly, all of them dearer than listed."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(n), 0.1 * rng.random((n, router.pipeline.dim - 1))])
    reward = np.tile([1.0, *[0.0] * (len(arms) - 1)], (n, 1)) * 0.8 + 0.2 * rng.random((n, len(arms)))
    return evidence_from_labels(arms, router.pipeline.schema_id, x, reward, np.full(reward.shape, 2.0), "us")


def test_a_warm_router_knows_from_the_first_query(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    cold = router.route("Why?")
    assert router.warm_start(labels(router)) == router.snapshot
    warm = router.route("Why?")
    assert share(warm, "large") > 0.95 > share(cold, "large")
    assert warm.expected_cost_usd > 3 * (warm.list_cost_usd or math.inf)
    assert router.counts() == {"large": 0, "small": 0}
    assert router.verify().ok, router.verify().problems


def test_it_outlives_restarts_rebuilds_learning_and_new_arms(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    router.warm_start(labels(router))
    teach(router, 10)
    router.put_arm(NEW)
    before = router.route("Why?")
    router.rebuild()
    assert router.route("Why?").pmf == pytest.approx(before.pmf, abs=1e-9)
    router.close()
    again = open_on_either()
    assert again.route("Why?").pmf == pytest.approx(before.pmf, abs=1e-9)
    assert again.verify().ok, again.verify().problems


def test_the_newest_warm_start_counts_and_it_can_be_taken_away(open_router: OpenRouter) -> None:
    router = open_router()
    cold = router.route("Why?").pmf
    router.warm_start(labels(router))
    router.warm_start(labels(router, arms=("small", "large")))
    assert share(router.route("Why?"), "small") > 0.95
    router.warm_start(None)
    assert router.route("Why?").pmf == pytest.approx(cold)
    router.rebuild()
    assert router.route("Why?").pmf == pytest.approx(cold)
    assert router.verify().ok


def test_calibration_says_what_a_warm_start_turned_out_to_be_of(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    assert router.calibration().warm_start is None
    router.warm_start(labels(router))
    assert router.calibration().warm_start is WarmStartVerdict.SAME
    assert min(router._published.state.rewards.reward_counts) >= 60
    for i in range(30):  # "large" was labelled as good
        router.feedback(router.route(f"query {i}", arms=["large"]).id, quality=0.1)
    router.learn()
    assert router.calibration().warm_start is not WarmStartVerdict.SAME
    counts = router._published.state.rewards.reward_counts
    assert counts.tolist() == [30, 0]  # so that "small" is on trial again
    assert router.verify().ok, router.verify().problems


def test_trust_is_how_many_queries_it_counts_for(open_router: OpenRouter) -> None:
    router = open_router()
    shares = []
    for trust in (None, 5.0, 0.0):
        router.warm_start(labels(router), trust=trust)
        shares.append(share(router.route("Why?"), "large"))
    assert shares[0] > shares[1] > shares[2] == pytest.approx(0.5)


def test_what_is_wrong_is_unlearned(open_router: OpenRouter) -> None:
    router = open_router()
    router.warm_start(labels(router, arms=("small", "large")))
    assert share(router.route("Why?"), "large") < 0.05
    for i in range(12):  # "large" is good and "small" is not, whatever the labels said
        for arm, quality in (("large", 0.9), ("small", 0.1)):
            router.feedback(router.route(f"query {i}", arms=[arm]).id, quality=quality)
    router.learn()
    assert share(router.route("Why?"), "large") > 0.95


def test_another_router_can_be_started_from(open_router: OpenRouter) -> None:
    old = open_router(router={"name": "old"})
    teach(old)
    new = open_router(router={"name": "new"})
    assert share(new.route("query"), "large") == pytest.approx(0.5)
    new.warm_start(evidence_from_router(new.settings.store.url, "old"))
    assert share(new.route("query"), "large") == pytest.approx(share(old.route("query"), "large"), abs=1e-3)
    assert new.verify().ok


@pytest.mark.parametrize(
    ("changes", "trust", "message"),
    [
        ({"schema_id": "vector/15"}, None, "of contexts 'vector/15', this router makes 'text-v1"),
        ({"arms": ("gpt", "claude")}, None, "is of gpt, claude; name them as the arms are: large, small"),
        ({"queries": 0.0}, None, "is empty or not finite"),
        ({}, -1.0, "trust: is -1"),
        ({}, math.nan, "trust: is nan"),
    ],
)
def test_a_wrong_warm_start_changes_nothing(
    router: Router, changes: dict[str, Any], trust: float | None, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        router.warm_start(labels(router)._replace(**changes), trust=trust)
    assert router.snapshot == 2


def test_nothing_that_is_not_finite_reaches_the_posterior(router: Router) -> None:
    found = labels(router)
    for name in ("rewards", "costs"):
        for field in ("second", "cross", "square", "weight"):
            part = getattr(getattr(found, name), field).copy()
            part.flat[0] = math.nan
            sums = getattr(found, name)._replace(**{field: part})
            with pytest.raises(InvalidInput, match="finite"):
                router.warm_start(found._replace(**{name: sums}))
    with pytest.raises(SchemaMismatch):
        router.warm_start(found._replace(rewards=found.rewards._replace(second=np.zeros((2, 3, 3)))))


def test_a_reset_arm_is_not_known_from_elsewhere_either(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    cold = router.scores(router.route("Why?"))
    router.warm_start(labels(router))
    router.reset_arm("small")
    router.reset_arm("large")
    forgotten = router.scores(router.route("Why?"))
    assert cold is not None
    assert forgotten is not None
    np.testing.assert_allclose(forgotten.mean, cold.mean)
    assert router.verify().ok, router.verify().problems
    router.rebuild()
    again = router.scores(router.route("Why?"))
    assert again is not None
    np.testing.assert_allclose(again.mean, cold.mean)


def test_an_arm_that_joined_after_a_warm_start_can_be_reset(open_on_either: OpenRouter) -> None:
    router = open_on_either()
    router.warm_start(labels(router))
    router.put_arm(NEW)
    teach(router, 10)
    router.feedback(router.route("Why?", arms=[NEW.name]).id, quality=1.0)
    router.learn()
    router.reset_arm(NEW.name)
    assert router.counts()[NEW.name] == 0
    assert share(router.route("Why?", arms=["large", "small"]), "large") > 0.95
    assert router.verify().ok, router.verify().problems


def test_what_is_known_from_elsewhere_is_not_on_trial(router: Router) -> None:
    router.warm_start(labels(router))
    for _ in range(12):
        router.feedback(router.route("Why?", arms=["large"]).id, quality=1.0)
    router.learn()
    assert router.counts() == {"large": 12, "small": 0}
    assert share(router.route("Why?"), "small") < 0.05
    router.reset_arm("small")
    assert share(router.route("Why?"), "small") >= 0.05 - 1e-12
    assert router.verify().ok, router.verify().problems
