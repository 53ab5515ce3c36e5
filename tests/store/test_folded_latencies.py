"""Latencies are learned exactly once, as rewards and costs are: the bins equal a count over the log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from bandit_router.learning.audit import audit_store
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.state import decode_state
from bandit_router.store.store import Store
from bandit_router.store.tables import folded, pending
from bandit_router.types import Decision
from tests.databases import sql
from tests.migrated import migrate_url
from tests.store.examples import (
    OpenStore,
    counted_of,
    counted_rows,
    fold_forgetfully,
    learner_of,
    logged,
    posterior_of,
    rows,
    said,
    version_of,
)

Truth = Mapping[str, tuple[Decision, float | None]]
"""By decision id: the decision and the latency last reported; None when nothing is in force."""

HALF_LIFE = 60.0


def latencies_of(store: Store) -> Latencies:
    return decode_state(store.published()[2]).latencies


def assert_latencies_counted_once(store: Store, truth: Truth, half_life_s: float | None = None) -> None:
    """The bins and counts of the newest snapshot, call by call; the record; nothing pending; verify."""
    live = latencies_of(store)
    expected = Latencies.empty(live.arms, half_life_s)
    for decision, latency in truth.values():
        if latency is not None:
            expected.observe(decision.arm, decision.x, latency, decision.decided_at)
        assert counted_of(store, decision.id).get("latency") == latency
    expected.advance(live.as_of)
    assert rows(store, pending) == 0
    assert live.count.tolist() == expected.count.tolist()
    assert counted_rows(store, "latency") == live.count.sum()
    np.testing.assert_allclose(live.bins, expected.bins, atol=1e-9)
    if half_life_s is None:
        np.testing.assert_array_equal(live.bins, expected.bins)
    report = audit_store(store)
    assert report.counted["latencies"] == report.in_log["latencies"] == live.count.sum()
    assert not [one for one in report.problems if "PMF" not in one]


def test_a_latency_is_counted_revised_and_taken_back(store: Store) -> None:
    known, learner = logged(store), learner_of(store)
    for latency in (1.5, 1.5, 1.51, 30.0, None, 0.0):
        said(store, known, latency_s=latency)
        said(store, known, latency_s=latency)  # a retry
        learner.fold()
        assert_latencies_counted_once(store, {known.id: (known, latency)})


def test_a_retry_publishes_nothing(store: Store) -> None:
    known, learner = logged(store), learner_of(store)
    said(store, known, latency_s=1.0)
    learner.fold()
    before = version_of(store)
    for latency in (2.0, 1.0):
        said(store, known, latency_s=latency)
    learner.fold()
    assert version_of(store) == before


def test_rewards_costs_and_latencies_are_counted_apart(store: Store) -> None:
    one, two, three = (logged(store, list_cost_usd=0.002) for _ in range(3))
    said(store, one, cost_usd=0.003)
    said(store, two, quality=0.5)
    said(store, three, latency_s=0.25)
    learner_of(store).fold()
    assert [part.count.sum() for part in decode_state(store.published()[2]).components.values()] == [1, 1, 1]
    assert_latencies_counted_once(store, {one.id: (one, None), two.id: (two, None), three.id: (three, 0.25)})


@pytest.mark.parametrize("half_life_s", [None, HALF_LIFE])
def test_a_rebuild_counts_the_same_latencies(store: Store, half_life_s: float | None) -> None:
    learner = learner_of(store, half_life_s=half_life_s)
    learner.align_with_settings()
    truth: dict[str, tuple[Decision, float | None]] = {}
    for i, latency in enumerate((0.3, 2.0, 55.0, None, 1e6)):
        known = logged(store, decided_at=1_700_000_000.0 + 25.0 * ((i * 7) % 5))
        said(store, known, latency_s=latency or 7.0)
        learner.fold()
        said(store, known, latency_s=latency)
        truth[known.id] = (known, latency)
    learner.fold()
    live = latencies_of(store)
    assert_latencies_counted_once(store, truth, half_life_s)
    learner.rebuild()
    assert_latencies_counted_once(store, truth, half_life_s)
    np.testing.assert_allclose(latencies_of(store).bins, live.bins, atol=1e-9)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_said_in_whatever_order_counts_once(store: Store, data: st.DataObject) -> None:
    learner = learner_of(store)
    known = [logged(store, arm=arm) for arm in ("cheap", "dear", "dear")]
    truth: dict[str, tuple[Decision, float | None]] = {one.id: (one, None) for one in known}
    for _ in range(data.draw(st.integers(1, 8))):
        one = data.draw(st.sampled_from(known))
        latency = data.draw(st.none() | st.floats(0, 1e6))
        said(store, one, latency_s=latency)
        truth[one.id] = (one, latency)
        if data.draw(st.booleans()):
            learner.fold()
    learner.fold()
    assert latencies_of(store).count.sum() == counted_rows(store, "latency")
    for i, (_, latency) in truth.items():
        assert counted_of(store, i).get("latency") == latency


def test_two_learners_count_a_latency_once(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    known = [logged(one) for _ in range(20)]
    for decision in known:
        said(one, decision, latency_s=1.0)
    learner_of(one, batch=7).fold()
    learner_of(other, batch=7).fold()
    learner_of(one).fold()
    assert_latencies_counted_once(other, {decision.id: (decision, 1.0) for decision in known})


def test_counting_without_a_look_at_the_record_is_noticed(store: Store) -> None:
    """The negative control: a fold that forgets what it counted counts a revision twice."""
    known, learner = logged(store), learner_of(store)
    said(store, known, latency_s=1.0)
    learner.fold()
    said(store, known, latency_s=4.0)
    fold_forgetfully(store, learner)
    with pytest.raises(AssertionError):
        assert_latencies_counted_once(store, {known.id: (known, 4.0)})
    assert "the posterior counts 2 latencies, 1 are on record" in audit_store(store).problems


def test_a_lost_record_and_another_value_are_named(store: Store, url: str) -> None:
    known, learner = logged(store), learner_of(store)
    said(store, known, latency_s=1.0)
    learner.fold()
    with sql(url) as connection:
        connection.execute(update(folded).values(value=4.0))
    named = audit_store(store).problems
    assert f"decision {known.id}: counted 4, the log says 1" in named
    assert any("the posterior differs by" in one for one in named)
    with sql(url) as connection:
        connection.execute(delete(folded))
    assert "the posterior counts 1 latencies, 0 are on record" in audit_store(store).problems


# -- snapshots and databases of before ------------------------------------------------------------


def test_a_snapshot_without_latencies_knows_nothing_of_them(store: Store) -> None:
    said(store, logged(store), quality=1.0)
    learner_of(store).fold()
    assert latencies_of(store).quantile("cheap", 0.5) is None
    known = logged(store)
    said(store, known, latency_s=2.0)
    learner_of(store).fold()
    assert_latencies_counted_once(store, {known.id: (known, 2.0)})
    assert posterior_of(store).count.sum() == 1


def test_a_router_that_never_hears_of_latencies_stores_none(store: Store) -> None:
    said(store, logged(store), quality=1.0)
    learner_of(store).fold()
    assert b'"latency"' not in store.published()[2]


def test_latencies_reported_before_the_migration_are_learned_after_it(
    open_store: OpenStore, url: str
) -> None:
    store = open_store()
    one, two, three = (logged(store) for _ in range(3))
    for latency in (1.0, 2.0):
        said(store, one, quality=0.5, latency_s=latency)
    said(store, two, latency_s=3.0)
    learner_of(store).fold()
    said(store, three, latency_s=4.0)  # nobody has looked at this one yet
    _downgrade(url, "0006_arm_resets")
    migrate_url(url)
    learner_of(store).fold()
    assert_latencies_counted_once(store, {one.id: (one, 2.0), two.id: (two, 3.0), three.id: (three, 4.0)})
    assert posterior_of(store).count.sum() == 1


def _downgrade(url: str, revision: str) -> None:
    with sql(url) as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
