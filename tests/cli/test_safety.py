"""`safety`: how the policy stands towards its baseline, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

from bandit_router.router import Router
from tests.cli.conftest import Run
from tests.services import write_settings


def test_it_says_what_is_allowed_and_what_was_lost(call: Run, tmp_path: Path) -> None:
    config = write_settings(tmp_path, safety={"baseline": "large"}, learner={"interval_s": 3600.0})
    with Router.open(config) as router:
        router.route("hello")
        router.learn()
        status = router.safety()
    shown = call("safety").out
    assert "baseline large, since " in shown
    assert f"the policy decides {status.share:.2%} of the traffic by itself" in shown
    assert f"lost in 1 decisions: {status.lost:.4f} expected, {status.lost_at_most:.4f} at most" in shown
    found = json.loads(call("safety", "--json").out)
    assert (found["baseline"], found["decisions"], found["share"]) == ("large", 1, status.share)
    assert found["allowed"] == status.allowed > 0.0


def test_without_a_baseline_it_fails_and_says_how_to_name_one(call: Run, tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path)):
        ran = call("safety")
    assert ran.code == 1
    assert "[safety]" in ran.err
