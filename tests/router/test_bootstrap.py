"""Opening, restarting and closing: what is kept, what is rebuilt, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bandit_router.errors import ConfigError, RouterClosed, SchemaMismatch, UnknownDecision
from bandit_router.router import Router
from bandit_router.types import Decision
from tests.router.conftest import NEW, OpenRouter, teach
from tests.services import write_settings


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
        {"price_slope": 0.1},
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


def test_before_any_feedback_the_dearer_of_two_is_expected_to_be_better(open_router: OpenRouter) -> None:
    router = open_router(posterior={"price_slope": 0.1})
    scores = router.scores(router.route("query"))
    assert scores is not None
    large, small = scores.mean
    assert large - small == pytest.approx(0.1 * np.log10(12.5 / 0.75))
    router.put_arm(replace(NEW, input_usd_per_mtok=25.0, output_usd_per_mtok=100.0))
    scores = router.scores(router.route("query"))
    assert scores is not None
    assert dict(zip(scores.arms, scores.mean, strict=True))["new"] == pytest.approx(large + 0.1)


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


@pytest.mark.parametrize("use", AFTER_CLOSE.values(), ids=AFTER_CLOSE)
def test_a_closed_router_refuses_everything(
    router: Router, use: Callable[[Router, Decision], object]
) -> None:
    made = router.route("a")
    router.close()
    with pytest.raises(RouterClosed, match="open a new one"):
        use(router, made)


def test_a_policy_that_names_no_arm_is_refused_with_those_there_are(open_router: OpenRouter) -> None:
    with pytest.raises(
        ConfigError, match=r"policy fixed:nope.*: 'nope' is not an arm; use one of large, small"
    ):
        open_router(policy={"name": "fixed", "arm": "nope"})


def test_all_that_is_pending_is_folded_however_small_the_batches(open_router: OpenRouter) -> None:
    router = open_router(learner={"batch": 5})
    for i in range(12):
        router.feedback(router.route(f"query {i}").id, quality=1.0)
    assert router.learn() == 12
    assert sum(router.counts().values()) == 12
