"""The status of a rollout from its log: what is judged, what is advised, and the steps it takes by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.rollout_sample import AnytimeInterval, BranchMeans, RolloutComparison
from bandit_router.insight.rollout import Action, RolloutStatus, StageRecord, read_rollout, rollout_facts
from bandit_router.insight.rollout_advice import count_needed, recommend
from bandit_router.insight.rollout_estimate import observe_rollout, stage_alpha
from bandit_router.insight.rollout_job import act_on_status
from bandit_router.router import Router
from bandit_router.settings import make_settings
from bandit_router.settings.rollout import RolloutSection
from bandit_router.types import RolloutStage
from tests.databases import MakeUrl
from tests.services import LARGE, SMALL

pytestmark = pytest.mark.usefixtures("fixed_secret")  # branches of users follow from it

START = 1_700_000_000.0
OpenRollout = Callable[..., Router]


class Clock:
    """A clock that goes on when told to."""

    at = START

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_rollout(make_sqlite_url: MakeUrl, clock: Clock) -> Iterator[OpenRollout]:
    """Opens routers on one database whose time is ``clock``; keyword arguments are settings of [rollout]."""
    url, opened = make_sqlite_url(migrated=True), list[Router]()

    def open_one(**rollout: Any) -> Router:
        settings = make_settings(
            {
                "arms": [SMALL, LARGE],
                "features": {"embedding": "none"},
                "store": {"url": url},
                "learner": {"interval_s": 3600.0},
                "policy": {"name": "fixed", "arm": "small"},
                "rollout": {"incumbent": "large", **rollout},
            }
        )
        opened.append(Router.open(settings, rng=np.random.default_rng(1), host_time=clock))
        return opened[-1]

    yield open_one
    for router in opened:
        router.close()


def play(router: Router, clock: Clock, n: int, small: float, **options: Any) -> None:
    """n requests, a minute apart; large is always good, small this often. Ratings come after ten seconds."""
    rng = np.random.default_rng(2)
    for i in range(n):
        decision = router.route(f"query {i}", **{k: v(i) for k, v in options.items()})
        clock.at += 10.0
        good = decision.arm == "large" or rng.random() < small
        router.feedback(decision.id, quality=float(good))
        clock.at += 50.0
    router.learn()


def observe(router: Router) -> RolloutStatus:
    return observe_rollout(router._store, router.settings.rollout)


def test_a_worse_candidate_is_found_out_and_stopped(open_rollout: OpenRollout, clock: Clock) -> None:
    router = open_rollout(share=0.5, auto_stop=True)
    play(router, clock, 60, small=0.2)
    status = observe(router)
    quality = status.at_stage.quality
    assert quality is not None
    assert quality.low < -0.8 < quality.high < 0.0
    assert (quality.n, status.waiting) == (60, 0)
    assert status.at_stage.incumbent.quality == 1.0
    assert status.at_stage.incumbent.requests + status.at_stage.candidate.requests == 60
    assert status.recommendation.action is Action.ABORT
    assert read_rollout(rollout_facts(status)) == status
    stage = act_on_status(router._store, router.settings.rollout, status)
    assert stage is not None
    assert (stage.share, stage.aborted) == (0.0, True)
    assert act_on_status(router._store, router.settings.rollout, status) is None  # it has happened
    router.refresh()
    assert {router.route(f"query {i}").arm for i in range(20)} == {"large"}
    assert "worse beyond doubt" in observe(router).recommendation.why


def test_a_good_candidate_advances_by_itself_and_each_stage_is_judged_anew(
    open_rollout: OpenRollout, clock: Clock
) -> None:
    router = open_rollout(share=0.5, steps=[0.6, 1.0], auto_advance=True, margin=1.0)
    for step in (0.6, 1.0):
        assert act_on_status(router._store, router.settings.rollout, observe(router)) is None
        play(router, clock, 60, small=1.0)
        stage = act_on_status(router._store, router.settings.rollout, observe(router))
        assert stage is not None
        assert (stage.share, stage.aborted) == (step, False)
        router.refresh()
    status = observe(router)
    assert status.recommendation.action is Action.FINISH
    assert [stage.share for stage in status.stages] == [0.5, 0.6, 1.0]
    assert (status.at_stage.quality, status.over_all.quality and status.over_all.quality.n) == (None, 120)


def test_what_may_still_be_rated_is_not_judged(open_rollout: OpenRollout, clock: Clock) -> None:
    router = open_rollout(share=0.5)
    play(router, clock, 30, small=1.0)
    late = [router.route(f"late {i}") for i in range(5)]
    for decision in late:
        router.feedback(decision.id, quality=1.0)  # at once, which says nothing of the others
    status = observe(router)
    assert status.usual_delay_s == pytest.approx(10.0, rel=0.03)
    assert status.at_stage.quality is not None
    assert (status.at_stage.quality.n, status.waiting) == (30, 5)
    clock.at += 60.0
    assert observe(router).waiting == 0


def test_before_the_first_rating_nothing_is_judged(open_rollout: OpenRollout, clock: Clock) -> None:
    router = open_rollout(share=0.5)
    router.route("hello")
    clock.at += 1e6
    status = observe(router)
    assert (status.usual_delay_s, status.at_stage.quality, status.waiting) == (None, None, 1)
    assert status.recommendation.action is Action.WAIT


def test_users_are_judged_by_whole_periods(open_rollout: OpenRollout, clock: Clock) -> None:
    router = open_rollout(share=0.5, unit="user", period_days=0.1)
    play(router, clock, 144, small=0.2, user=lambda i: f"user {i % 24}")
    clock.at += 30.0  # past the end of the first period by more than ratings take
    status = observe(router)
    assert status.at_stage.quality is not None
    assert status.at_stage.quality.n == 24  # of 144 requests
    assert status.at_stage.quality.value == pytest.approx(-0.8, abs=0.25)
    play(router, clock, 48, small=0.2, user=lambda i: f"user {i % 24}")
    status = observe(router)
    assert status.at_stage.quality is not None
    assert (status.at_stage.quality.n, status.waiting) == (24, 48)


def test_in_shadow_mode_it_says_what_is_expected_and_no_more(open_rollout: OpenRollout, clock: Clock) -> None:
    router = open_rollout()
    play(router, clock, 20, small=1.0)
    status = observe(router)
    assert status.expectation is not None
    assert (status.expectation.n, status.expectation.agreement) == (20, 0.0)
    assert status.expectation.cost_usd < 0.0
    assert (status.at_stage.quality, status.over_all.quality) == (None, None)
    assert "without traffic there is no evidence" in status.recommendation.why
    assert act_on_status(router._store, RolloutSection(auto_advance=True), status) is None


def test_there_is_no_status_without_a_rollout(open_rollout: OpenRollout) -> None:
    router = open_rollout(incumbent=None)
    with pytest.raises(InvalidInput, match="rollout: is not set up"):
        observe(router)


def test_all_stages_together_err_as_rarely_as_one() -> None:
    stages = [StageRecord(i, 0.0 if i == 0 else 0.1, START, False, "") for i in range(200)]
    alphas = [stage_alpha(stages[: i + 1]) for i in range(1, 200)]
    assert alphas[0] == 0.025
    assert 0.049 < math.fsum(alphas) <= 0.05


NOTHING = BranchMeans(0, 0, None, None)


@pytest.mark.parametrize(
    ("utility", "action"),
    [
        (None, Action.WAIT),
        (AnytimeInterval(100, -0.1, -0.19, -0.01), Action.ABORT),
        (AnytimeInterval(100, 0.0, -0.019, 0.019), Action.ADVANCE),
        (AnytimeInterval(100, 0.0, -0.1, 0.1), Action.WAIT),
    ],
)
def test_the_advice_follows_from_the_interval_of_the_utility(
    utility: AnytimeInterval | None, action: Action
) -> None:
    comparison = RolloutComparison(
        alpha=0.05, incumbent=NOTHING, candidate=NOTHING, quality=None, cost_usd=None, utility=utility
    )
    stage = StageRecord(*RolloutStage(2, 0.05, START), "asked for")
    advice = recommend(RolloutSection(incumbent="large"), stage, comparison, START + 86_400.0)
    assert advice.action is action
    if action is Action.WAIT and utility is not None:
        assert (advice.requests, advice.days) == (2_400, 24.0)


def test_what_is_needed_narrows_the_interval_to_the_distance() -> None:
    assert count_needed(AnytimeInterval(100, 0.0, -0.1, 0.1), 0.05) == 300
    assert count_needed(AnytimeInterval(100, -0.1, -0.3, 0.1), 0.05) == 300  # it ends below 0
