"""`budget`: how the goal stands, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

from bandit_router.router import Router
from tests.cli.conftest import Run
from tests.services import write_settings


def test_it_says_how_the_goal_stands(call: Run, tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path, budget={"mean_quality": 0.8})) as router:
        router.feedback(router.route("a").id, quality=0.5, cost_usd=0.25)
    shown = call("budget").out
    for line in ("goal: mean_quality", "target: 0.8", "requests: 1", "spent usd: 0.25", "mean reward: 0.5"):
        assert f"  {line}\n" in shown
    assert "allowance" not in shown
    found = json.loads(call("budget", "--json").out)
    assert (found["goal"], found["spent_usd"], found["allowance_usd"]) == ("mean_quality", 0.25, None)


def test_looking_does_not_start_the_accounts_of_an_edited_goal(call: Run, tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path, budget={"usd_per_request": 0.004})) as router:
        router.feedback(router.route("a").id, cost_usd=0.25)
        write_settings(tmp_path, budget={"usd_per_request": 0.005})
        found = json.loads(call("budget", "--json").out)
        assert (found["target"], found["requests"], found["spent_usd"]) == (0.004, 1, 0.25)
        assert router.budget().requests == 1


def test_without_a_goal_it_fails_and_says_how_to_set_one(call: Run, tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path)):
        ran = call("budget")
    assert ran.code == 1
    assert "[budget]" in ran.err
