"""The reader of roll-ups sees what is folded and what is not, in the steps and slices it is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from bandit_router.errors import InvalidInput
from bandit_router.learning.rollups import fold_rollups
from bandit_router.posterior.latency import find_bin
from bandit_router.store.rollups.reader import UNDIVIDED, RollupFilter, RollupRow
from bandit_router.store.rollups.tally import Cube
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, feedback
from bandit_router.store.tasks import NewTask
from bandit_router.types import NO_TASK, OTHER_TASKS
from tests.store.examples import commit, learner_of, logged
from tests.store.examples import feedback as about

DAY = 1_700_006_400 // 3600
"""A midnight, as hours since 1970 UTC."""

MADE: list[dict[str, Any]] = [
    {"hour": 0, "arm": "cheap", "tier": "free", "latency_s": 0.5},
    {"hour": 1, "arm": "cheap", "tier": "pro", "latency_s": 1.0},
    {"hour": 1, "arm": "dear", "tier": "free", "latency_s": 4.0},
    {"hour": 30, "arm": "cheap", "tier": "free", "latency_s": 0.5},
    {"hour": 200, "arm": "dear", "tier": None, "latency_s": 2.0},
]


@pytest.fixture
def rolled_up(store: Store) -> Store:
    """Half of the decisions are folded, and the feedback on the others is not."""
    for i, each in enumerate(MADE):
        tier = {} if each["tier"] is None else {"tier": each["tier"]}
        at = 3600.0 * (DAY + each["hour"]) + 1.0
        made = logged(store, decided_at=at, arm=each["arm"], signals=tier, key_id=f"k{i % 2}")
        said = about(made, latency_s=each["latency_s"], quality=0.25 * i)
        commit(store, replace(said, received_at=at + 30.0))
        if i == 2:
            fold_rollups(store)
    return store


def read(store: Store, measure: str = "decisions", **changes: Any) -> list[RollupRow]:
    usual: dict[str, Any] = {"since": DAY, "until": DAY + 24 * 14}
    return [row for row in store.rollups(RollupFilter(**(usual | changes))) if row.measure == measure]


def counts(rows: list[RollupRow]) -> list[tuple[int, str, str, int]]:
    return [(row.hour - DAY, row.member, row.arm, row.count) for row in rows]


def test_by_day_and_by_hour_and_by_week(rolled_up: Store) -> None:
    assert counts(read(rolled_up)) == [
        (0, "", "cheap", 2),
        (0, "", "dear", 1),
        (24, "", "cheap", 1),
        (192, "", "dear", 1),
    ]
    by_hour = [(0, "", "cheap", 1), (1, "", "cheap", 1), (1, "", "dear", 1), (30, "", "cheap", 1)]
    assert counts(read(rolled_up, step=1, until=DAY + 48)) == by_hour
    assert sum(row.count for row in read(rolled_up, step=24 * 7)) == 5
    assert counts(read(rolled_up, since=DAY + 1, until=DAY + 2)) == [(0, "", "cheap", 1), (0, "", "dear", 1)]


def test_by_arm_reason_and_member(rolled_up: Store) -> None:
    assert {row.arm for row in read(rolled_up, arms=["dear"])} == {"dear"}
    assert read(rolled_up, reasons=["sticky"]) == []
    assert counts(read(rolled_up, tier="free")) == [
        (0, "free", "cheap", 1),
        (0, "free", "dear", 1),
        (24, "free", "cheap", 1),
    ]
    apart = read(rolled_up, split_by=Cube.TIER, step=24 * 365)
    assert {(row.member, row.arm): row.count for row in apart} == {
        ("free", "cheap"): 2,
        ("free", "dear"): 1,
        ("pro", "cheap"): 1,
    }
    assert {row.member for row in read(rolled_up, split_by=Cube.KEY)} == {"k0", "k1"}
    assert sum(row.count for row in read(rolled_up, key_id="k1")) == 2


def test_sums_are_those_of_sql_over_the_log(rolled_up: Store) -> None:
    with rolled_up.read_log() as log:
        of_decision = feedback.c.decision_id == decisions.c.id
        value = feedback.c.value
        grouped = select(decisions.c.arm, func.count(), func.sum(value), func.sum(value * value))
        joined = grouped.join_from(decisions, feedback, of_decision).where(feedback.c.metric == "quality")
        expected = {arm: sums for arm, *sums in log.connection.execute(joined.group_by(decisions.c.arm))}
    for arm in ("cheap", "dear"):
        rows = [row for row in read(rolled_up, "quality") if row.arm == arm]
        sums = [sum(row.count for row in rows), sum(row.total for row in rows)]
        assert [*sums, sum(row.squares for row in rows)] == pytest.approx(expected[arm], abs=1e-9)


def test_latencies_and_delays_come_in_their_bins(rolled_up: Store) -> None:
    (cheap,) = [row for row in read(rolled_up, "latency_s", until=DAY + 24) if row.arm == "cheap"]
    assert cheap.bins is not None
    assert cheap.delays is not None
    assert cheap.bins.nonzero()[0].tolist() == [find_bin(0.5), find_bin(1.0)]
    assert (cheap.delays.sum(), cheap.delays[find_bin(30.0)]) == (2, 2)
    (quality, *_) = read(rolled_up, "quality")
    assert quality.bins is not None
    assert quality.bins.nonzero()[0].tolist() == [find_bin(0.0), find_bin(0.25)]
    assert quality.delays is not None
    (decided, *_) = read(rolled_up)
    assert decided.bins is decided.delays is None


def test_without_bins_and_with_time_undivided_the_sums_are_the_same(rolled_up: Store) -> None:
    (cheap, dear) = read(rolled_up, "latency_s", step=UNDIVIDED)
    assert [(row.hour, row.arm, row.count, row.total) for row in (cheap, dear)] == [
        (0, "cheap", 3, 2.0),
        (0, "dear", 2, 6.0),
    ]
    assert cheap.bins is not None
    assert cheap.bins.sum() == 3
    plain = read(rolled_up, "latency_s", step=UNDIVIDED, binned=False)
    assert plain == [replace(row, bins=None, delays=None) for row in (cheap, dear)]


def test_an_arm_has_the_name_it_has_now(rolled_up: Store) -> None:
    learner_of(rolled_up).rename("cheap", "small")
    assert counts(read(rolled_up, arms=["small"], step=24 * 365))[0][2:] == ("small", 3)
    assert {row.arm for row in read(rolled_up)} == {"small", "dear"}


def test_nothing_is_lost_when_all_is_folded(rolled_up: Store) -> None:
    def plain() -> list[Any]:
        rows = rolled_up.rollups(RollupFilter(since=DAY, until=DAY + 24 * 14))
        arrays = [tuple(None if a is None else a.tolist() for a in (row.bins, row.delays)) for row in rows]
        return [replace(row, bins=None, delays=None) for row in rows] + arrays

    before = plain()
    fold_rollups(rolled_up)
    assert plain() == before


def test_what_cannot_be_crossed_is_refused() -> None:
    with pytest.raises(InvalidInput, match="key: comes with tier"):
        RollupFilter(since=0, until=24, tier="free", key_id="k")
    with pytest.raises(InvalidInput, match="by day"):
        RollupFilter(since=0, until=24, step=1, tier="free")


def test_tasks_go_by_the_names_that_they_have_now(store: Store) -> None:
    for name in ("invoices", "support"):
        store.number_task(NewTask(name))
    for i, task in enumerate((0, 0, 1, OTHER_TASKS, NO_TASK)):
        logged(store, decided_at=3600.0 * (DAY + i) + 1.0, arm="cheap", task=task)
        if i == 1:
            fold_rollups(store)
    store.rename_task("support", "help")
    by_task = {row.member: row.count for row in read(store, split_by=Cube.TASK)}
    assert by_task == {"invoices": 2, "help": 1, "other tasks": 1}
    for name, count in by_task.items():
        assert [row.count for row in read(store, task=name)] == [count]
    assert read(store, task="support") == []
    assert sum(row.count for row in read(store)) == 5
