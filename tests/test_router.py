"""The library object: deciding, learning, arms, restarts, and several routers on one database."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from bandit_router.config import Settings, make_settings
from bandit_router.errors import (
    ConfigError,
    IdempotencyConflict,
    InvalidInput,
    NoEligibleArm,
    RouterClosed,
    SchemaMismatch,
    UnknownDecision,
)
from bandit_router.router import Router
from bandit_router.types import Arm, Decision, Outcome, Query, Reason
from tests.databases import MakeUrl, migrated
from tests.services import write_settings

SMALL = {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6, "capabilities": ["tools"]}
LARGE = {"name": "large", "input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0, "context_window": 1000}
NEW = Arm(name="new", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)

OpenRouter = Callable[..., Router]
"""Opens a router on the test's database; keyword arguments are sections of its settings."""


def settings_of(url: str, *, arms: tuple[dict[str, Any], ...] = (SMALL, LARGE), **sections: Any) -> Settings:
    """Two arms, contexts of text statistics, and no learning that the test does not ask for."""
    usual: dict[str, dict[str, Any]] = {
        "features": {"embedding": "none"},
        "store": {"url": url},
        "learner": {"interval_s": 3600.0},
    }
    merged = {
        name: {**usual.get(name, {}), **sections.get(name, {})} for name in usual.keys() | sections.keys()
    }
    return make_settings({"arms": list(arms), **merged})


@pytest.fixture
def open_router(make_sqlite_url: MakeUrl) -> Iterator[OpenRouter]:
    yield from _opening(make_sqlite_url())


@pytest.fixture
def open_on_either(make_url: MakeUrl) -> Iterator[OpenRouter]:
    """As ``open_router``, on SQLite and on PostgreSQL."""
    yield from _opening(migrated(make_url()))


def _opening(url: str) -> Iterator[OpenRouter]:
    opened: list[Router] = []

    def open_one(seed: int = 0, **sections: Any) -> Router:
        opened.append(Router.open(settings_of(url, **sections), rng=np.random.default_rng(seed)))
        return opened[-1]

    yield open_one
    for router in opened:
        router.close()


@pytest.fixture
def router(open_router: OpenRouter) -> Router:
    return open_router()


def teach(router: Router, rounds: int = 40) -> None:
    """Reward 1 for "large", 0 for "small", and fold it."""
    for i in range(rounds):
        decision = router.route(f"query {i}")
        router.feedback(decision.id, quality=float(decision.arm == "large"))
    router.learn()


def share(decision: Decision, arm: str) -> float:
    return dict(zip(decision.eligible, decision.pmf, strict=True))[arm]


# -- deciding -------------------------------------------------------------------------------------


def test_a_decision_is_logged_as_it_is_returned(router: Router) -> None:
    made = router.route("Why?", cost_weight=2.0, conversation="c", user_tier="free")
    logged = router.decision(made.id)
    assert logged.x.tolist() == made.x.tolist()
    assert replace(logged, x=made.x) == made


def test_a_decision_holds_everything_it_was_made_from(router: Router) -> None:
    made = router.route("Why?", cost_weight=2.0, conversation="c", idempotency_key="k")
    assert UUID(made.id).version == 7
    assert made.eligible == ("large", "small")
    assert made.pmf[made.eligible.index(made.arm)] == made.propensity
    assert made.reason is Reason.POLICY
    assert made.policy == router.policy.spec
    assert made.schema_id == router.pipeline.schema_id
    assert made.snapshot == router.snapshot
    assert (made.cost_weight, made.conversation, made.idempotency_key) == (2.0, "c", "k")


def test_the_expected_cost_is_prices_times_tokens(router: Router) -> None:
    made = router.route("x" * 400)  # 100 tokens in, 300 expected out
    costs = dict(zip(made.eligible, made.expected_costs_usd, strict=True))
    assert costs["small"] == pytest.approx((100 * 0.15 + 300 * 0.6) / 1e6)
    assert costs["large"] == pytest.approx((100 * 2.5 + 300 * 10.0) / 1e6)


def test_the_cost_weight_of_the_settings_is_used_unless_the_request_has_one(open_router: OpenRouter) -> None:
    router = open_router(router={"cost_weight": 7.0})
    assert router.route("a").cost_weight == 7.0
    assert router.route("a", cost_weight=0.0).cost_weight == 0.0


def test_the_same_seed_makes_the_same_choices(make_sqlite_url: MakeUrl) -> None:
    def choices() -> list[str]:
        settings = settings_of(make_sqlite_url())
        with Router.open(settings, rng=np.random.default_rng(5)) as router:
            return [router.route(f"query {i}").arm for i in range(30)]

    first = choices()
    assert first == choices()
    assert set(first) == {"small", "large"}


def test_choices_follow_the_logged_propensities(open_router: OpenRouter) -> None:
    # 400 draws at p = 0.5: a mean outside ±0.1 has probability 6e-5, and the seed is fixed.
    router = open_router(policy={"name": "uniform"})
    chosen = [router.route(f"query {i}").arm == "small" for i in range(400)]
    assert abs(np.mean(chosen) - 0.5) < 0.1


def test_chat_messages_are_read_as_one_query(router: Router) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "Prove it."}]},
    ]
    made = router.route(messages, user_tier="premium")
    query = Query(text="Prove it.", turn=2, user_tier="premium", prompt_chars=9 + 6 + 3 + 9)
    assert made.x.tolist() == router.pipeline.context(query).tolist()


def test_own_vectors_are_taken_as_they_are_with_a_bias(open_router: OpenRouter) -> None:
    router = open_router(features={"embedding": "vector", "vector_dim": 3})
    vectors: tuple[Any, ...] = ([0.1, -2.0, 3], (0.1, -2.0, 3), np.array([0.1, -2.0, 3.0]))
    for vector in vectors:
        assert router.route(features=vector).x.tolist() == [1.0, 0.1, -2.0, 3.0]


def test_a_router_of_vectors_reads_no_text(open_router: OpenRouter) -> None:
    router = open_router(features={"embedding": "vector", "vector_dim": 3})
    with pytest.raises(InvalidInput, match="features"):
        router.route("hello")


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_numpy_numbers_are_numbers_with_a_key_too(open_router: OpenRouter, kind: Any) -> None:
    router = open_router(features={"embedding": "vector", "vector_dim": 3})
    vector: Any = np.ones(3, kind)
    first = router.route(features=vector, cost_weight=kind(2), idempotency_key="k")
    again = router.route(features=vector, cost_weight=kind(2), idempotency_key="k")
    assert first.id == again.id
    listed = router.route(features=list(vector), idempotency_key="l")
    assert listed.x.tolist() == [1.0] * 4


@pytest.mark.parametrize(("wanted", "stored"), [(False, None), (True, "A secret?")])
def test_query_texts_are_stored_only_when_asked_for(
    open_router: OpenRouter, wanted: bool, stored: str | None
) -> None:
    router = open_router(router={"log_queries": wanted})
    assert router.decision(router.route("A secret?").id).query == stored


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"user_tier": "\0"}, "user_tier"),
        ({"user_tier": "\ud800"}, "user_tier"),
        ({"user_tier": "x" * 256}, "user_tier"),
        ({"user_tier": 5}, "user_tier"),
        ({"conversation": "\ud800"}, "conversation"),
        ({"conversation": ""}, "conversation"),
        ({"idempotency_key": "x" * 256}, "idempotency_key"),
        ({"require": "tools"}, "require"),
        ({"require": {"tools"}}, "require"),
        ({"require": ["tools", "a\0"]}, "require[1]"),
        ({"require": [None]}, "require[0]"),
        ({"require": ["x"] * 257}, "require"),
        ({"arms": "small"}, "arms"),
        ({"arms": 5}, "arms"),
        ({"arms": ["small", "\udfff"]}, "arms[1]"),
        ({"arms": ["small", 5]}, "arms[1]"),
        ({"arms": ["x" * 129]}, "arms[0]"),
        ({"cost_weight": "1"}, "cost_weight"),
        ({"cost_weight": True}, "cost_weight"),
        ({"cost_weight": math.nan}, "cost_weight"),
        ({"cost_weight": math.inf}, "cost_weight"),
        ({"cost_weight": 10**400}, "cost_weight"),
        ({"cost_weight": -1}, "cost_weight"),
        ({"features": [1.0]}, "query"),
        ({"cost_wieght": 1.0}, "cost_wieght"),
    ],
)
def test_a_wrong_option_of_route_is_named(router: Router, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.route("hello", **options)
    assert caught.value.field == field


@pytest.mark.parametrize("query", ["", "\0", "\ud800", 5, b"bytes", [], ["a"], [{"role": "user"}], {}, None])
def test_a_wrong_query_is_refused(router: Router, query: Any) -> None:
    with pytest.raises(InvalidInput):
        router.route(query)


@pytest.mark.parametrize("extra", [object(), {1: 2, "a": 3}, math.sin])
def test_messages_that_json_cannot_hold_are_refused_when_they_must_be_identified(
    router: Router, extra: object
) -> None:
    messages = [{"role": "user", "content": "a", "extra": extra}]
    with pytest.raises(InvalidInput):
        router.route(messages, idempotency_key="k")


# -- narrowing ------------------------------------------------------------------------------------


def test_required_capabilities_narrow_the_choice(router: Router) -> None:
    assert {router.route("a", require=["tools"]).eligible for _ in range(5)} == {("small",)}


def test_only_allowed_arms_are_chosen(router: Router) -> None:
    made = router.route("a", arms=["large"])
    assert (made.eligible, made.arm, made.propensity) == (("large",), "large", 1.0)


def test_when_nothing_is_left_every_exclusion_is_named(open_router: OpenRouter) -> None:
    router = open_router(arms=(SMALL, LARGE, {**SMALL, "name": "off"}, {**SMALL, "name": "other"}))
    router.enable_arm("off", False)
    with pytest.raises(NoEligibleArm) as caught:
        router.route("x" * 4000, arms=["small", "large", "off"], require=["tools", "vision"])
    assert caught.value.excluded == {
        "large": "lacks tools, vision",
        "off": "disabled",
        "other": "not among the arms the caller allows",
        "small": "lacks vision",
    }


def test_a_query_too_long_for_a_context_window_goes_elsewhere(router: Router) -> None:
    assert router.route("x" * 4000).eligible == ("small",)


def test_a_router_without_arms_says_so(open_router: OpenRouter) -> None:
    with pytest.raises(NoEligibleArm, match="no arm is configured"):
        open_router(arms=()).route("a")


def test_a_request_without_an_eligible_arm_leaves_nothing_behind(router: Router) -> None:
    with pytest.raises(NoEligibleArm):
        router.route("a", require=["telepathy"], idempotency_key="k")
    assert router.verify().decisions == 0
    assert router.route("a", idempotency_key="k").arm


# -- learning -------------------------------------------------------------------------------------


def test_what_is_rewarded_is_chosen_more(router: Router) -> None:
    before = share(router.route("query"), "large")
    teach(router)
    assert share(router.route("query"), "large") > before + 0.3


def test_feedback_says_what_became_of_each_metric(router: Router) -> None:
    made = router.route("a").id
    assert router.feedback(made, quality=0.5, cost_usd=0.1) == dict.fromkeys(
        ("quality", "cost_usd"), Outcome.RECORDED
    )
    assert router.feedback(made, quality=0.5) == {"quality": Outcome.DUPLICATE}
    assert router.feedback(made, quality=0.6) == {"quality": Outcome.REVISED}
    assert router.feedback(made, quality=None) == {"quality": Outcome.RETRACTED}
    assert router.metrics(made) == {"cost_usd": 0.1}


def test_learning_counts_each_reward_once_and_takes_it_back(router: Router) -> None:
    made = router.route("a", arms=["small"]).id
    expected = ((0.5, 1), (0.5, 1), (0.9, 1), (None, 0), (None, 0), (0.9, 1))
    for value, counted in expected:
        router.feedback(made, quality=value)
        router.learn()
        assert router.counts() == {"large": 0, "small": counted}
    assert router.verify().ok


def test_feedback_may_arrive_before_during_and_after_other_learning(router: Router) -> None:
    late = router.route("a", arms=["small"]).id
    teach(router)
    before = router.counts()["small"]
    router.feedback(late, quality=1.0)
    assert router.learn() == 1
    assert router.counts()["small"] == before + 1


@pytest.mark.parametrize(
    ("metrics", "field"),
    [
        ({}, "metrics"),
        ({"score": 1.0}, "metrics.score"),
        ({"quality": 1.1}, "metrics.quality"),
        ({"quality": math.nan}, "metrics.quality"),
        ({"quality": 10**400}, "metrics.quality"),
        ({"quality": True}, "metrics.quality"),
        ({"quality": "1"}, "metrics.quality"),
    ],
)
def test_wrong_metrics_are_named(router: Router, metrics: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.feedback(router.route("a").id, **metrics)
    assert caught.value.field == field


@pytest.mark.parametrize("decision_id", ["unknown", "01890a5d-ac96-774b-bcce-b302099a8057"])
def test_an_unknown_decision_is_an_error_everywhere(router: Router, decision_id: str) -> None:
    for ask in (router.decision, router.metrics, lambda i: router.feedback(i, quality=1.0)):
        with pytest.raises(UnknownDecision):
            ask(decision_id)


def test_a_key_makes_route_and_feedback_act_once(router: Router) -> None:
    made = [router.route("a", idempotency_key="r") for _ in range(3)]
    assert len({decision.id for decision in made}) == 1
    told = [router.feedback(made[0].id, idempotency_key="f", quality=0.5) for _ in range(3)]
    assert told == [{"quality": Outcome.RECORDED}] * 3
    for conflict in (
        lambda: router.route("b", idempotency_key="r"),
        lambda: router.feedback(made[0].id, idempotency_key="f", quality=0.6),
        lambda: router.feedback(made[0].id, idempotency_key="r", quality=0.5),
    ):
        with pytest.raises(IdempotencyConflict):
            conflict()


def test_the_background_learner_folds_feedback_on_its_own(open_router: OpenRouter) -> None:
    router = open_router(learner={"interval_s": 0.01})
    router.feedback(router.route("a", arms=["small"]).id, quality=1.0)
    for _ in range(6000):
        if router.counts()["small"] == 1:
            break
        router._stopping.wait(0.01)
    assert router.counts() == {"large": 0, "small": 1}


def test_scores_are_what_the_policy_saw(router: Router) -> None:
    teach(router)
    made = router.route("query", cost_weight=3.0)
    scores = router.scores(made)
    assert scores is not None
    assert scores.arms == made.eligible
    assert tuple(router.policy.pmf(scores)) == pytest.approx(made.pmf, abs=1e-12)
    assert scores.mean[made.eligible.index(made.arm)] == made.expected_quality
    np.testing.assert_allclose(scores.utility, scores.mean - 3.0 * np.array(made.expected_costs_usd))


def test_scores_of_a_pruned_snapshot_are_none(open_router: OpenRouter) -> None:
    router = open_router(store={"keep_snapshots": 1})
    made = router.route("query")
    teach(router, rounds=2)
    assert router.scores(made) is None


def test_many_threads_may_share_a_router(open_on_either: OpenRouter) -> None:
    router = open_on_either(learner={"interval_s": 0.01})

    def work(worker: int) -> list[str]:
        made = [router.route(f"query {worker}.{i}") for i in range(20)]
        for decision in made:
            router.feedback(decision.id, quality=0.5)
        return [decision.id for decision in made]

    with ThreadPoolExecutor(8) as pool:
        ids = [i for some in pool.map(work, range(8)) for i in some]
    router.learn()
    assert len(set(ids)) == 160
    assert sum(router.counts().values()) == 160
    report = router.verify()
    assert report.ok, report.problems
    assert (report.decisions, report.rewards_counted, report.pending) == (160, 160, 0)


# -- arms -----------------------------------------------------------------------------------------


def test_an_arm_added_at_run_time_is_chosen_here_and_by_others(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(), open_on_either()
    router.put_arm(NEW)
    assert router.arm("new") == NEW
    assert "new" in router.route("a").eligible
    other.refresh()
    made = other.route("a", arms=["new"])
    other.feedback(made.id, quality=1.0)
    other.learn()
    assert other.counts()["new"] == 1
    assert router.decision(made.id).arm == "new"
    assert router.verify().ok


def test_an_added_arm_keeps_what_the_others_learned(router: Router) -> None:
    teach(router)
    before, counts = router.route("query", arms=["large", "small"]), router.counts()
    router.put_arm(NEW)
    after = router.route("query", arms=["large", "small"])
    assert after.pmf == pytest.approx(before.pmf, abs=1e-12)
    assert router.counts() == {**counts, "new": 0}


def test_an_added_arm_survives_a_restart_without_being_in_the_settings(open_router: OpenRouter) -> None:
    with open_router() as router:
        router.put_arm(NEW)
    assert open_router().arm("new") == NEW


def test_a_known_arm_can_be_given_new_prices(router: Router) -> None:
    router.put_arm(NEW)
    router.put_arm(replace(NEW, input_usd_per_mtok=9.0))
    assert router.arm("new").input_usd_per_mtok == 9.0
    assert len(router.arms) == 3


def test_a_disabled_arm_is_never_chosen_here_or_by_others(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(policy={"name": "uniform"}), open_on_either(policy={"name": "uniform"})
    router.enable_arm("large", False)
    other.refresh()
    for one in (router, other):
        assert {one.route(f"query {i}").eligible for i in range(20)} == {("small",)}
        assert [arm.name for arm in one.arms if not arm.enabled] == ["large"]


def test_a_re_enabled_arm_is_chosen_again_with_what_it_had_learned(open_router: OpenRouter) -> None:
    router, other = open_router(), open_router()
    teach(router)
    before = router.route("query")
    router.enable_arm("large", False)
    router.enable_arm("large")
    other.refresh()
    for one in (router, other):
        assert one.route("query").pmf == pytest.approx(before.pmf, abs=1e-12)


def test_feedback_on_a_disabled_arm_is_learned(router: Router) -> None:
    made = router.route("a", arms=["large"])
    router.enable_arm("large", False)
    router.feedback(made.id, quality=1.0)
    router.learn()
    assert router.counts()["large"] == 1


def test_a_disabled_arm_stays_so_after_a_restart(open_router: OpenRouter) -> None:
    with open_router() as router:
        router.enable_arm("large", False)
    assert not open_router().arm("large").enabled


def test_an_arm_that_left_the_settings_is_not_chosen_and_what_it_learned_comes_back_with_it(
    open_router: OpenRouter,
) -> None:
    with open_router() as router:
        teach(router)
        counted = router.counts()["large"]
    with open_router(arms=(SMALL,)) as router:
        assert router.route("a").eligible == ("small",)
    router = open_router()
    assert router.route("a").eligible == ("large", "small")
    assert router.counts()["large"] == counted
    assert router.verify().ok


def test_switching_an_arm_that_does_not_exist_names_those_that_do(router: Router) -> None:
    with pytest.raises(InvalidInput, match="large, small"):
        router.enable_arm("gpt-9")


# -- opening and closing --------------------------------------------------------------------------


def test_a_restarted_router_knows_what_it_knew(open_on_either: OpenRouter) -> None:
    with open_on_either() as router:
        teach(router)
        before, counts = router.route("query"), router.counts()
    again = open_on_either()
    assert again.counts() == counts
    assert again.route("query").pmf == pytest.approx(before.pmf, abs=1e-12)
    teach(again, rounds=5)
    assert sum(again.counts().values()) == 45
    assert again.verify().ok


def test_feedback_that_was_not_folded_before_a_restart_is_folded_after_it(open_router: OpenRouter) -> None:
    with open_router() as router:
        router.feedback(router.route("a").id, quality=1.0)
    again = open_router()
    assert again.learn() == 1
    assert sum(again.counts().values()) == 1


def test_a_restarted_router_knows_its_keys(open_router: OpenRouter) -> None:
    with open_router() as router:
        made = router.route("a", idempotency_key="k")
    assert open_router().route("a", idempotency_key="k").id == made.id


def test_routers_of_different_names_share_nothing(open_router: OpenRouter) -> None:
    one, two = open_router(router={"name": "one"}), open_router(router={"name": "two"})
    made = one.route("a", idempotency_key="k")
    with pytest.raises(UnknownDecision):
        two.decision(made.id)
    with pytest.raises(UnknownDecision):
        two.feedback(made.id, quality=1.0)
    assert two.route("b", idempotency_key="k").id != made.id
    one.feedback(made.id, quality=1.0)
    one.learn()
    two.refresh()
    assert sum(two.counts().values()) == 0
    two.put_arm(NEW)
    one.refresh()
    assert [arm.name for arm in one.arms] == ["large", "small"]


def test_other_features_than_it_learned_from_are_an_error_that_says_what_to_do(
    open_router: OpenRouter,
) -> None:
    open_router().close()
    with pytest.raises(SchemaMismatch, match=r"restore the \[features\] settings, or give router.name"):
        open_router(features={"embedding": "none", "max_chars": 100})
    assert open_router(router={"name": "fresh"}, features={"max_chars": 100}).route("a")


@pytest.mark.parametrize(
    "changed",
    [
        {"prior_mean": 0.9},
        {"prior_std": 0.6},
        {"weight_std": 0.2},
        {"noise_std": 0.6},
        {"half_life_s": 3600.0},
    ],
)
def test_other_posterior_settings_rebuild_it_from_the_log(
    open_router: OpenRouter, changed: dict[str, float]
) -> None:
    with open_router() as router:
        teach(router, rounds=10)
        before = router.snapshot
    again = open_router(posterior=changed)
    assert again.snapshot > before
    assert sum(again.counts().values()) == 10
    assert again.verify().ok
    fresh = again.route("query")
    scores = again.scores(fresh)
    assert scores is not None
    assert again.rebuild() == 10
    rebuilt = again.scores(replace(fresh, snapshot=again.snapshot))
    assert rebuilt is not None
    np.testing.assert_allclose(rebuilt.mean, scores.mean, atol=1e-9)
    np.testing.assert_allclose(rebuilt.std, scores.std, atol=1e-9)


def test_unchanged_settings_rebuild_nothing(open_router: OpenRouter) -> None:
    with open_router() as router:
        teach(router, rounds=3)
        before = router.snapshot
    assert open_router().snapshot == before


def test_rebuilding_changes_nothing_but_the_version(router: Router) -> None:
    teach(router)
    before, counts = router.route("query"), router.counts()
    assert router.rebuild() == 40
    assert router.counts() == counts
    assert router.route("query").pmf == pytest.approx(before.pmf, abs=1e-9)
    assert router.verify().ok


def test_a_router_opens_from_a_file(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    for given in (path, str(path)):
        with Router.open(given) as router:
            assert router.route("hello").arm in {"small", "large"}
    with pytest.raises(ConfigError, match="no such file"):
        Router.open(tmp_path / "missing.toml")


def test_leaving_the_with_block_closes_even_after_an_error(open_router: OpenRouter) -> None:
    router = open_router()
    with pytest.raises(LookupError, match="mine"), router:
        raise LookupError("mine")
    with pytest.raises(RouterClosed):
        router.route("a")


def test_closing_twice_is_once(router: Router) -> None:
    router.close()
    router.close()


def test_what_was_acknowledged_before_close_is_there_after_it(open_router: OpenRouter) -> None:
    with open_router() as router, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(router.route, [f"query {i}" for i in range(40)]))
    again = open_router()
    assert all(again.decision(decision.id).arm == decision.arm for decision in made)


@pytest.mark.parametrize("close", [Router.close, lambda router: router.__exit__(None, None, None)])
def test_a_closed_router_neither_decides_nor_learns(router: Router, close: Callable[[Router], None]) -> None:
    made = router.route("a")
    close(router)
    with pytest.raises(RouterClosed, match="open a new one"):
        router.route("a")
    with pytest.raises(RouterClosed, match="open a new one"):
        router.feedback(made.id, quality=1.0)


AFTER_CLOSE: dict[str, Callable[[Router, Decision], object]] = {
    "decision": lambda router, made: router.decision(made.id),
    "metrics": lambda router, made: router.metrics(made.id),
    "scores": lambda router, made: router.scores(made),
    "learn": lambda router, _: router.learn(),
    "rebuild": lambda router, _: router.rebuild(),
    "verify": lambda router, _: router.verify(),
    "refresh": lambda router, _: router.refresh(),
    "ping": lambda router, _: router.ping(),
    "put_arm": lambda router, _: router.put_arm(NEW),
    "enable_arm": lambda router, _: router.enable_arm("small"),
}


@pytest.mark.xfail(strict=True, reason="close() leaves the engine usable: it opens new connections")
@pytest.mark.parametrize("use", AFTER_CLOSE.values(), ids=AFTER_CLOSE)
def test_a_closed_router_refuses_everything(
    router: Router, use: Callable[[Router, Decision], object]
) -> None:
    made = router.route("a")
    router.close()
    with pytest.raises(RouterClosed, match="open a new one"):
        use(router, made)


@pytest.mark.xfail(strict=True, reason="put_arm takes any Arm as it is")
@pytest.mark.parametrize(
    "wrong",
    [
        {"input_usd_per_mtok": math.nan},
        {"input_usd_per_mtok": math.inf},
        {"output_usd_per_mtok": -1.0},
        {"expected_output_tokens": -1},
        {"context_window": 0},
        {"name": ""},
        {"name": "a\0"},
        {"name": "a,b"},
        {"provider": "\ud800"},
        {"model": "x" * 257},
        {"capabilities": frozenset({""})},
    ],
)
def test_an_arm_that_no_settings_could_declare_cannot_be_added(router: Router, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        router.put_arm(replace(NEW, **wrong))
    assert next(iter(wrong)) in caught.value.field
    assert [arm.name for arm in router.arms] == ["large", "small"]
