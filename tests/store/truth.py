"""The oracle of exactly-once: what the log and the posterior must be, by brute force."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sqlalchemy import select

from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.store import Store
from bandit_router.store.tables import feedback, pending
from bandit_router.types import Decision
from tests.store.examples import counted_of, counted_rows, posterior_of, rows

Truth = Mapping[str, tuple[Decision, float | None]]
"""By decision id: the decision and the quality last said of it; None when nothing is in force."""


def brute_force(truth: Truth, like: SufficientStatistics) -> SufficientStatistics:
    """S = Σ w x xᵀ, m = Σ w r x and n, term by term, as of the same moment as ``like``."""
    second, cross, count = np.zeros_like(like.second), np.zeros_like(like.cross), np.zeros_like(like.count)
    for decision, reward in truth.values():
        if reward is None:
            continue
        k, age = like.index(decision.arm), like.as_of - decision.decided_at
        w = 1.0 if like.half_life_s is None else 2.0 ** (-age / like.half_life_s)
        second[k] += w * np.outer(decision.x, decision.x)
        cross[k] += w * reward * decision.x
        count[k] += 1
    expected = like.copy()
    expected.second, expected.cross, expected.count = second, cross, count
    return expected


def assert_same(live: SufficientStatistics, expected: SufficientStatistics) -> None:
    """Equal counts, sums equal within 1e-9 of their largest entry."""
    assert live.count.tolist() == expected.count.tolist()
    for ours, theirs in ((live.second, expected.second), (live.cross, expected.cross)):
        scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-9 * scale)


def assert_counted_once(store: Store, truth: Truth) -> None:
    """Every reward is in the log once and in the posterior once, and nothing is pending."""
    with store.read_log() as audit:
        identity = feedback.c.decision_id, feedback.c.metric, feedback.c.revision
        said = select(*identity).where(feedback.c.router == store.router)
        entries = [tuple(row) for row in audit.connection.execute(said)]
    assert len(entries) == len(set(entries)), "a revision is in the log twice"
    assert rows(store, pending) == 0, "feedback is waiting"
    live = posterior_of(store)
    assert_same(live, brute_force(truth, live))
    assert counted_rows(store) == int(live.count.sum())
    for decision, reward in truth.values():
        assert store.observation(decision.id).metrics.get("quality") == reward
        assert counted_of(store, decision.id).get("reward") == reward
