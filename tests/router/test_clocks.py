"""Clocks that are wrong: what one of them claims neither erases what is learned nor stops a budget."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from bandit_router.posterior.state import decode_state
from bandit_router.router import Router
from bandit_router.store.tables import arms, decisions, feedback, spending, warm_starts
from bandit_router.types import Decision
from tests.databases import sql
from tests.router.conftest import OpenRouter, share, teach
from tests.router.test_warm_start import labels
from tests.store.examples import together

DAY = 86_400.0
AHEAD = 90 * DAY
FORGETTING = {"half_life_s": 7 * DAY}


def fast(days: float) -> Callable[[], float]:
    """A clock that is so many days ahead."""
    return lambda: time.time() + days * DAY


def p_large(router: Router) -> float:
    return share(router.route("one query more"), "large")


def set_ahead(router: Router, decision: Decision, by: float = AHEAD) -> None:
    """Make the stamps of a decision and its feedback those of a fast clock that nobody checked."""
    with sql(router.settings.store.url) as connection:
        for table, at, id in (
            (decisions, decisions.c.decided_at, decisions.c.id),
            (feedback, feedback.c.received_at, feedback.c.decision_id),
        ):
            connection.execute(update(table).where(id == decision.id).values({at.name: at + by}))


def learn_unchecked(router: Router) -> None:
    """Learn as if no clock were ever wrong."""
    router._learner.fold_all()
    router.refresh()


# -- the two ways it was noticed ------------------------------------------------------------------


def test_a_decision_of_a_fast_clock_does_not_make_all_others_old(open_on_either: OpenRouter) -> None:
    router = open_on_either(posterior=FORGETTING)
    teach(router, 300)
    before = p_large(router)
    assert before > 0.99
    other = open_on_either(1, fast(90), posterior=FORGETTING)
    other.feedback(other.route("a query of tomorrow").id, quality=0.0)
    router.learn()
    assert p_large(router) == pytest.approx(before, abs=0.01)
    assert router.verify().problems == []


def test_a_stored_decision_of_a_fast_clock_is_clamped_once_and_learning_is_what_it_was(
    open_on_either: OpenRouter,
) -> None:
    router = open_on_either(posterior=FORGETTING)
    teach(router, 300)
    before = p_large(router)
    late = router.route("a query of tomorrow")
    router.feedback(late.id, quality=0.0)
    set_ahead(router, late)
    learn_unchecked(router)
    assert p_large(router) < 0.9, "the example shows nothing"
    problems = router.verify().problems
    assert any("decisions.decided_at" in problem for problem in problems), problems
    counts = router.counts()
    router.learn()
    assert p_large(router) == pytest.approx(before, abs=0.01)
    assert router.counts() == counts
    report = router.verify()
    assert (report.problems, report.clamped_stamps) == ([], 2)
    stored = router.decision(late.id)
    assert stored.decided_at <= time.time()
    assert stored.claimed_at == pytest.approx(late.decided_at + AHEAD)
    version = router.snapshot
    router.learn()
    assert router.snapshot == version, "it was rebuilt again"
    assert router.calibration().clamped_stamps == 2
    assert router.calibration().ahead_of_now == ()


def test_a_request_of_a_fast_clock_does_not_stop_a_daily_budget(open_on_either: OpenRouter) -> None:
    budget = {"usd_per_day": 0.5}
    router = open_on_either(budget=budget)
    router.route("a query")
    open_on_either(1, fast(38), budget=budget).route("a query of next month")
    router.learn()
    before = router.budget().allowance_usd
    assert before is not None
    with sql(router.settings.store.url) as connection:  # let a tenth of a day go by
        connection.execute(update(spending).values(as_of=spending.c.as_of - 0.1 * DAY))
    grown = router.budget().allowance_usd
    assert grown == pytest.approx(before + 0.05, rel=1e-3)
    assert router.verify().problems == []


def test_a_stored_book_that_lies_ahead_is_set_back_without_the_allowance_of_the_time_between(
    open_on_either: OpenRouter,
) -> None:
    router = open_on_either(budget={"usd_per_day": 0.5})
    router.route("a query")
    before = router._store.pacing.state
    with sql(router.settings.store.url) as connection:
        more = 38 * 0.5
        connection.execute(
            update(spending).values(
                as_of=spending.c.as_of + 38 * DAY,
                allowance_usd=spending.c.allowance_usd + more,
                forgone_usd=spending.c.forgone_usd + more - 0.4,
            )
        )
    assert router.verify().problems == [
        "the book of the budget lies ahead of now: a clock was fast; "
        "`bandit-router rebuild` or any worker clamps it, once the clock is right"
    ]
    router.learn()
    after = router._store.pacing.state
    assert after.as_of == pytest.approx(time.time(), abs=60)
    balance = after.allowance_usd - after.forgone_usd - after.spent_usd
    assert before.allowance_usd - before.spent_usd <= balance + 1e-6
    assert balance <= 0.5
    assert router.verify().problems == []


# -- what a worker with a wrong clock does --------------------------------------------------------


@pytest.mark.parametrize("days", [90, -90])
def test_where_the_database_knows_the_time_a_worker_goes_by_that(
    open_on_postgresql: OpenRouter, days: float
) -> None:
    section = {"posterior": FORGETTING, "budget": {"usd_per_day": 0.5}}
    right, wrong = open_on_postgresql(**section), open_on_postgresql(1, fast(days), **section)
    first = right.route("Hello", conversation="c")
    kept = wrong.route("And?", conversation="c")
    assert kept.arm == first.arm, "the conversation seemed to have expired"
    assert kept.decided_at == pytest.approx(time.time(), abs=60)
    assert kept.claimed_at == pytest.approx(time.time() + days * DAY, abs=60)
    assert wrong.decision(kept.id).claimed_at == right.decision(kept.id).claimed_at == kept.claimed_at
    assert kept.id[:8] == right.route("a query").id[:8], "its id is of another time"
    wrong.feedback(kept.id, quality=1.0)
    wrong.reset_arm("large")
    with sql(right.settings.store.url) as connection:
        (received, claimed) = connection.execute(select(feedback.c.received_at, feedback.c.claimed_at)).one()
        (reset_at, reset_claimed) = connection.execute(
            select(arms.c.reset_at, arms.c.reset_claimed_at).where(arms.c.name == "large")
        ).one()
    for at, claim in ((received, claimed), (reset_at, reset_claimed)):
        assert at == pytest.approx(time.time(), abs=60)
        assert claim == pytest.approx(time.time() + days * DAY, abs=60)
    right.learn()
    assert right.verify().problems == []
    assert right.verify().clamped_stamps == 3


def test_a_clock_that_is_set_wrong_while_a_worker_runs_is_noticed_at_once(
    open_on_postgresql: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    off = [0.0]
    router = open_on_postgresql(host_time=lambda: time.time() + off[0])
    assert router.route("a query").claimed_at is None
    off[0] = 90 * DAY
    for _ in range(3):
        assert router.route("a query").decided_at == pytest.approx(time.time(), abs=60)
    off[0] = 0.0
    assert router.route("a query").claimed_at is None
    said = [record.message for record in caplog.records if "clock" in record.message]
    assert [("differs" in line, "agrees" in line) for line in said] == [(True, False), (False, True)]


# -- what is stored and lies ahead ----------------------------------------------------------------


def test_a_host_whose_clock_was_fast_goes_on_when_it_is_set_right(open_router: OpenRouter) -> None:
    off = [30 * DAY]
    section = {"posterior": FORGETTING, "budget": {"usd_per_day": 0.5}}
    router = open_router(host_time=lambda: time.time() + off[0], **section)
    teach(router, 30)
    router.reset_arm("small")
    router.route("Hello", conversation="c")
    off[0] = 0.0
    assert router.verify().problems
    router.learn()
    assert router.verify().problems == []
    assert router.counts()["small"] == 0, "decisions before the reset are after it now"
    teach(router, 30)
    assert router.verify().problems == []
    assert router.counts()["small"] > 0, "nothing is learned of an arm that was reset ahead of now"
    counts = router.counts()
    assert (router.rebuild(), router.counts()) == (sum(counts.values()), counts)


def test_a_clock_that_says_what_cannot_be_clamps_nothing(open_router: OpenRouter) -> None:
    off = [0.0]
    router = open_router(host_time=lambda: time.time() + off[0])
    late = router.route("a query")
    off[0] = -20 * 365 * DAY
    router.learn()
    off[0] = 0.0
    assert router.decision(late.id).decided_at == late.decided_at


def test_a_worker_that_died_between_the_clamp_and_the_rebuild_is_made_up_for(
    open_on_either: OpenRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = open_on_either(posterior=FORGETTING)
    teach(router, 20)
    late = router.route("a query")
    router.feedback(late.id, quality=0.0)
    set_ahead(router, late)
    learn_unchecked(router)

    def die(_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(type(router._learner), "try_rebuild", die)
        with pytest.raises(SystemExit):
            router.learn()
    assert router.calibration().ahead_of_now == ("the posterior",)
    again = open_on_either(1, posterior=FORGETTING)
    assert again.calibration().ahead_of_now == ()
    assert again.verify().problems == []


def test_of_workers_that_notice_together_one_clamps_and_all_go_on(open_on_either: OpenRouter) -> None:
    routers = [open_on_either(i, posterior=FORGETTING) for i in range(3)]
    teach(routers[0], 20)
    late = routers[0].route("a query")
    routers[0].feedback(late.id, quality=0.0)
    set_ahead(routers[0], late)
    for router in routers:
        learn_unchecked(router)
    together(*(router.learn for router in routers))
    for router in routers:
        router.refresh()
        assert router.verify().problems == []
        assert router.decision(late.id).claimed_at == pytest.approx(late.decided_at + AHEAD)


def test_a_warm_start_of_a_fast_clock_ages_from_now_on(open_on_either: OpenRouter) -> None:
    router = open_on_either(posterior=FORGETTING)
    teach(router, 20)
    with router._learner_transaction() as transaction:
        router._learner.warm_start(transaction, labels(router), None, time.time() + AHEAD)
    router.learn()
    warm = decode_state(router._store.published()[2]).rewards.warm
    assert warm is not None
    assert warm.since <= time.time()
    with sql(router.settings.store.url) as connection:
        newest = select(warm_starts.c.loaded_at).order_by(warm_starts.c.id.desc()).limit(1)
        assert connection.scalar(newest) == warm.since
    assert router.verify().problems == []
