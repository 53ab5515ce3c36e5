"""Of the newest decisions that are old enough for a rating, how many have one."""

from __future__ import annotations

from collections.abc import Sequence

import uuid_utils

from bandit_router.store.rated_decisions import NEWEST
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Feedback, Reason
from tests.store.examples import decision, learner_of

DELAY_S = 10.0


def logged_at(store: Store, times: Sequence[float], reason: Reason = Reason.POLICY) -> list[Decision]:
    """Decisions made at these Unix times."""
    made = [
        decision(id=str(uuid_utils.uuid7(nanoseconds=int(at * 1e9))), decided_at=at, reason=reason)
        for at in times
    ]
    store.write([WriteRequest(payload=each) for each in made])
    return made


def rated(store: Store, decisions: Sequence[Decision], metric: str = "quality") -> None:
    """Rate decisions some seconds after they were made, and learn it."""
    said = (
        Feedback(decision_id=each.id, metrics={metric: 1.0}, received_at=each.decided_at + DELAY_S)
        for each in decisions
    )
    store.write([WriteRequest(payload=feedback) for feedback in said])
    learner_of(store).fold_all()


def test_decisions_count_once_they_are_as_old_as_ratings_are(store: Store) -> None:
    now = store.clock.now()
    old = logged_at(store, [now - 1_000.0 + i for i in range(100)])
    assert store.rated_decisions(["quality"]) == (0, 0), "nobody knows how long ratings take"
    rated(store, old[::5])
    logged_at(store, [now - DELAY_S / 2] * 50)
    assert store.rated_decisions(["quality"]) == (100, 20)
    logged_at(store, [now - DELAY_S * 2] * 10)
    assert store.rated_decisions(["quality"]) == (110, 20)


def test_only_drawn_decisions_and_metrics_of_the_reward_count(store: Store) -> None:
    now = store.clock.now()
    old = logged_at(store, [now - 1_000.0 + i for i in range(10)])
    rated(store, old[:2])
    rated(store, old[2:6], "satisfaction")
    rated(store, logged_at(store, [now - 500.0] * 5, Reason.OVERRIDE))
    assert store.rated_decisions(["quality"]) == (10, 2)
    assert store.rated_decisions(["quality", "satisfaction"]) == (10, 6)


def test_shadow_mode_tells_the_share_beforehand(store: Store) -> None:
    now = store.clock.now()
    rated(store, logged_at(store, [now - 1_000.0 + i for i in range(10)], Reason.INCUMBENT)[:4])
    assert store.rated_decisions(["quality"]) == (10, 4)


def test_the_share_is_that_of_now(store: Store) -> None:
    now = store.clock.now()
    rated(store, logged_at(store, [now - 2_000.0 + i for i in range(10)]))
    assert store.rated_decisions(["quality"]) == (10, 10)
    logged_at(store, [now - 1_000.0 + i / 10 for i in range(NEWEST - 4)])
    assert store.rated_decisions(["quality"]) == (NEWEST, 4)
