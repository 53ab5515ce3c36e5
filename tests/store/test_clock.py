"""The clock of a worker, the stamps it logs, and what becomes of those that lie ahead of now."""

from __future__ import annotations

import shutil
import time
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import uuid_utils
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from bandit_router.learning.audit import audit_store
from bandit_router.learning.clock_repair import repair_stamps_ahead
from bandit_router.objective.pacing import PacingState, rewind_pacing
from bandit_router.store.clock import Clock
from bandit_router.store.recent_predictions import latest_id
from bandit_router.store.store import Store
from bandit_router.store.tables import feedback as feedback_log
from bandit_router.store.tables import routers
from bandit_router.types import Budget, Decision, Escalation, Floor, Goal
from tests.databases import sql
from tests.store.examples import (
    commit,
    decision,
    feedback,
    learner_of,
    logged,
    posterior_of,
    said,
    set_up,
    version_of,
)

DAY = 86_400.0
WEEK = 7 * DAY


def ahead() -> float:
    return time.time() + 90 * DAY


# -- the clock ------------------------------------------------------------------------------------


def test_without_a_database_that_knows_the_time_the_host_says_it() -> None:
    clock = Clock(host_time=lambda: 5.0)
    assert clock.stamp() == (5.0, None)
    assert (clock.now(), clock.reference(), clock.latest()) == (5.0, 5.0, 65.0)
    clock.set_reference(None)
    assert clock.stamp() == (5.0, None)


@pytest.mark.parametrize(("host", "wrong"), [(1000.0, False), (1055.0, False), (1065.0, True), (935.0, True)])
def test_a_host_that_differs_by_more_than_the_tolerance_is_not_believed(host: float, wrong: bool) -> None:
    clock = Clock(60.0, lambda: host)
    clock.set_reference(1000.0)
    at, claimed_at = clock.stamp()
    assert claimed_at == (host if wrong else None)
    assert at == (pytest.approx(1000.0, abs=3.0) if wrong else host)


def test_ids_are_of_the_stamp() -> None:
    clock = Clock(60.0, lambda: 4e9)
    clock.set_reference(2e9)
    id = clock.stamp().make_id()
    assert latest_id(1.9e9) < id < latest_id(2.1e9)
    assert latest_id(time.time() - 60) < Clock().stamp().make_id() < latest_id(time.time() + 60)


# -- what is logged -------------------------------------------------------------------------------


def test_nothing_is_logged_ahead_of_now(store: Store, url: str) -> None:
    late = ahead()
    made = logged(store, decided_at=late)
    assert (made.claimed_at, store.decision(made.id).claimed_at) == (late, late)
    assert made.decided_at == store.decision(made.id).decided_at == pytest.approx(time.time(), abs=60)
    said_late = feedback(made, quality=1.0)
    commit(store, type(said_late)(decision_id=made.id, metrics=said_late.metrics, received_at=late))
    retry = decision(arm="dear", parent=made.id, decided_at=late)
    judged = commit(
        store,
        Escalation(
            parent=made.id,
            asked_at=late,
            confidence=0.5,
            p_good=0.5,
            p_retry_good=0.9,
            propensity=1.0,
            snapshot=1,
            why="",
            decision=retry,
        ),
    )
    assert isinstance(judged, Escalation)
    assert isinstance(judged.decision, Decision)
    assert judged.claimed_at == judged.decision.claimed_at == late
    stored = store.escalation(made.id)
    assert stored is not None
    assert (stored.asked_at, stored.claimed_at) == (judged.asked_at, late)
    with sql(url) as connection:
        stamps = connection.execute(select(feedback_log.c.received_at, feedback_log.c.claimed_at)).all()
    assert len(stamps) == 3, "the feedback, and the confidence of both calls"
    assert all(at <= time.time() + 1 and claim == late for at, claim in stamps)
    assert store.count_clamped_stamps() == 6
    assert store.find_marks_ahead() == []


def test_a_stamp_that_is_right_is_left_as_it_is(store: Store) -> None:
    at = time.time() + 30
    made = logged(store, decided_at=at)
    assert (made.decided_at, made.claimed_at) == (at, None)
    assert store.count_clamped_stamps() == 0


def test_ids_ahead_of_now_do_not_hide_the_newest_predictions(store: Store) -> None:
    learner, later = learner_of(store), int(ahead() * 1e9)
    ids = [str(uuid_utils.uuid7(nanoseconds=later)) for _ in range(3)]
    made = [logged(store), *(logged(store, id=id) for id in ids)]
    for one in made:
        said(store, one, quality=0.25 if one is made[0] else 1.0)
    learner.fold_all()
    assert [reward.reward for reward in store.recent(2)[0]] == [0.25]


# -- who rebuilds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [90, -90])
def test_a_rebuild_of_a_wrong_clock_does_not_stop_the_others(store: Store, url: str, days: float) -> None:
    with store.learner_transaction() as transaction:
        transaction.begin_rebuild()
    with sql(url) as connection:
        connection.execute(update(routers).values(rebuilding_at=time.time() + days * DAY))
    assert learner_of(store).try_rebuild() == 0


# -- what is repaired -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "as_of", "granted"), [(0.0, 40.0, 38.0), (10.0, 40.0, 30.0), (41.0, 41.0, 0.0)]
)
def test_the_allowance_of_days_that_have_not_come_is_taken_back(
    since: float, as_of: float, granted: float
) -> None:
    goal, now = Budget(usd=2.0, per="day"), 2.0 * DAY
    pace = PacingState(allowance_usd=100.0, forgone_usd=50.0, spent_usd=1.0, as_of=as_of * DAY)
    rewound = rewind_pacing(pace, goal, now, since=since * DAY)
    assert rewound.as_of == now
    assert rewound.allowance_usd == pytest.approx(100.0 - 2.0 * granted)
    assert rewound.forgone_usd == pytest.approx(max(0.0, 50.0 - 2.0 * granted))
    other = rewind_pacing(pace, Budget(usd=2.0), now, since=since * DAY)
    assert (other.allowance_usd, other.forgone_usd) == (100.0, 50.0)


Moment = tuple[str, float]
"""What is done, and how many days the clock is ahead then."""

_ACTIONS = ["decide", "rate", "rate", "revise", "retract", "reset", "fold", "goal"]
_GOALS: tuple[Goal, ...] = (Budget(usd=0.5, per="day"), Budget(usd=0.01), Floor(reward=0.5))


class Diary:
    """A router on SQLite whose clock is set forward and back while it works."""

    def __init__(self, url: str, router: str) -> None:
        self.url, self.router, self.days, self.goals = url, router, 0.0, count()
        self.decisions: list[Decision] = []
        self.open()

    def open(self) -> None:
        """Open the store with the next goal."""
        goal = _GOALS[next(self.goals) % len(_GOALS)]
        self.store = set_up(Store.open(self.url, self.router, goal, clock=Clock(host_time=self.time)))
        self.learner = learner_of(self.store, half_life_s=WEEK)
        self.learner.align_with_settings()

    def time(self) -> float:
        return time.time() + self.days * DAY

    def act(self, action: str, days: float) -> None:
        self.days = days
        if action == "decide" or not self.decisions:
            arm = ("cheap", "dear")[len(self.decisions) % 2]
            drawn: dict[str, Any] = {"policy": "uniform", "pmf": (0.5, 0.5), "propensity": 0.5}
            made = logged(
                self.store, arm=arm, decided_at=self.time(), snapshot=version_of(self.store), **drawn
            )
            self.decisions.append(made)
        elif action in ("rate", "revise", "retract"):
            about = self.decisions[-1 if action == "rate" else 0]
            value = {"rate": 1.0, "revise": len(self.decisions) / 100, "retract": None}[action]
            said(self.store, about, quality=value, cost_usd=0.02)
        elif action == "reset":
            self.learner.reset("cheap", self.time())
        elif action == "goal":
            self.store.close()
            self.open()
        else:
            self.learner.fold_all()

    def repair(self) -> None:
        """Set the clock right, and let a worker notice."""
        self.days = 0.0
        self.learner.fold_all()
        repair_stamps_ahead(self.learner, posterior_of(self.store).as_of)


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
@given(
    moments=st.lists(
        st.tuples(st.sampled_from(_ACTIONS), st.sampled_from([0.0, 0.0, 0.0, 1.0, 38.0, 90.0])), max_size=14
    )
)
def test_whatever_clocks_did_a_rebuild_is_the_live_state_and_the_budget_goes_on(
    moments: list[Moment], sqlite_template: Path
) -> None:
    with TemporaryDirectory() as folder:
        path = shutil.copyfile(sqlite_template, Path(folder) / "router.db")
        diary = Diary(f"sqlite:///{path}", "r")
        for action, days in moments:
            diary.act(action, days)
        diary.repair()
        store, learner = diary.store, diary.learner
        assert store.find_marks_ahead() == []
        assert audit_store(store).problems == []
        live = posterior_of(store)
        assert live.as_of <= time.time() + 60
        store.head()
        assert store.pacing.state.as_of <= time.time() + 60
        learner.rebuild()
        assert posterior_of(store).count.tolist() == live.count.tolist()
        assert store.pacing.state.allowance_usd - store.pacing.state.forgone_usd >= -1e-9
        diary.act("decide", 0.0)
        diary.act("rate", 0.0)
        learner.fold_all()
        assert audit_store(store).problems == []
        store.close()


def test_a_correction_that_ended_meanwhile_is_no_fast_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker reads that a rebuild is due, for other reasons, and another worker has done it by then."""
    known = logged(store)
    said(store, known, quality=1.0)
    learner, rival = learner_of(store), learner_of(store)
    learner.fold()
    with store.learner_transaction() as transaction:
        transaction.require_correction(time.time())
    read = store.find_marks_ahead

    def read_before_the_rival() -> list[str]:
        marks = read()
        rival.rebuild()
        return marks

    monkeypatch.setattr(store, "find_marks_ahead", read_before_the_rival)
    repair_stamps_ahead(learner, posterior_of(store).as_of)
    assert not store.is_rebuild_due()
    assert "a clock was fast" not in caplog.text
