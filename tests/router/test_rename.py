"""An arm with another name: what was learned of the former one stays, and the log stays as it is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.logs.write import export_log
from bandit_router.router import Router
from tests.router.conftest import LARGE, SMALL, OpenRouter, share, teach

RENAMED = {**LARGE, "name": "gpt"}


def taught(open_router: OpenRouter) -> Router:
    router = open_router(apply="new")
    teach(router, rounds=30)
    return router


def test_what_was_learned_counts_for_the_new_name(open_on_either: OpenRouter) -> None:
    router = taught(open_on_either)
    before = router.counts()
    router.rename_arm("large", "gpt")
    assert router.counts() == {"gpt": before["large"], "small": before["small"]}
    decision = router.route("another query")
    assert decision.eligible == ("gpt", "small")
    assert share(decision, "gpt") > 0.8
    router.feedback(decision.id, quality=1.0)
    router.learn()
    assert router.verify().problems == []


def test_the_settings_may_have_the_new_name_before_or_after(open_on_either: OpenRouter) -> None:
    router = taught(open_on_either)
    counted = router.counts()["large"]
    renamed = open_on_either(apply="new", arms=(SMALL, RENAMED))
    decision = renamed.route("a")
    renamed.feedback(decision.id, quality=float(decision.arm == "gpt"))
    renamed.learn()
    mine = renamed.counts()["gpt"]
    renamed.rename_arm("large", "gpt")
    assert renamed.counts() == {"gpt": counted + mine, "small": renamed.counts()["small"]}
    assert renamed.verify().problems == []
    again = open_on_either(apply="always", arms=(SMALL, RENAMED))
    assert again.route("a").eligible == ("gpt", "small")
    assert again.counts() == renamed.counts()


def test_a_model_that_came_under_another_name_is_pointed_to(
    open_on_either: OpenRouter, caplog: pytest.LogCaptureFixture
) -> None:
    same = {"provider": "openai", "model": "gpt-9"}
    open_on_either(apply="new", arms=(SMALL, {**LARGE, **same}))
    open_on_either(apply="new", arms=(SMALL, {**RENAMED, **same}))
    assert "`bandit-router arms rename large gpt` keeps what was learned" in caplog.text


def test_a_worker_that_has_not_heard_of_it_loses_nothing(open_on_either: OpenRouter) -> None:
    router, late = taught(open_on_either), open_on_either(apply="new")
    before = router.counts()["large"]
    router.rename_arm("large", "gpt")
    decision = late.route("a", override="large")
    late.feedback(decision.id, quality=1.0)
    router.learn()
    assert router.counts()["gpt"] == before + 1
    assert late.explain(decision.id).arm.name == "large"
    assert router.verify().problems == []


def test_a_reset_forgets_what_the_former_name_did(open_on_either: OpenRouter) -> None:
    router = taught(open_on_either)
    router.rename_arm("large", "gpt")
    time.sleep(0.01)
    router.reset_arm("gpt")
    assert router.counts()["gpt"] == 0
    assert router.rebuild() == sum(router.counts().values())
    assert router.counts()["gpt"] == 0
    assert router.verify().problems == []


def test_a_name_that_is_changed_twice(open_on_either: OpenRouter) -> None:
    router = taught(open_on_either)
    before = router.counts()["large"]
    router.rename_arm("large", "gpt")
    router.rename_arm("gpt", "best")
    assert router.counts()["best"] == before
    assert router.verify().problems == []


def test_a_conversation_goes_on_with_its_arm(open_on_either: OpenRouter) -> None:
    router = taught(open_on_either)
    first = router.route("a", conversation="c", override="large")
    begun = router.route("a", conversation="d")
    router.rename_arm("large", "gpt")
    names = {"large": "gpt", "small": "small"}
    assert router.route("b", conversation="d").arm == names[begun.arm]
    assert router.explain(first.id).arm.name == "large"
    assert router.verify().problems == []


def test_an_export_has_the_name_of_now(open_router: OpenRouter, tmp_path: Path) -> None:
    router = taught(open_router)
    router.rename_arm("large", "gpt")
    with router._store.read_log() as reader:
        export_log(reader, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        assert {arm for piece in log.pieces for arm in piece.read().arms} == {"gpt", "small"}


@pytest.mark.parametrize(("old", "new", "field"), [("nobody", "a", "arm"), ("large", "large", "new")])
def test_a_rename_that_is_none_is_refused(open_router: OpenRouter, old: str, new: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_router().rename_arm(old, new)
    assert refused.value.field == field
