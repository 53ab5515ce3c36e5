"""`rollout`: its status in words and as JSON, its steps, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandit_router.insight.rollout import read_rollout
from bandit_router.router import Router
from bandit_router.settings import load_settings
from tests.cli.conftest import Run
from tests.services import write_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(
        tmp_path,
        policy={"name": "uniform"},
        rollout={"incumbent": "large"},
        learner={"interval_s": 3600.0},
    )


def test_it_goes_step_by_step_and_back(config: Path, call: Run) -> None:
    with Router.open(load_settings(config)) as router:
        router.feedback(router.route("hello").id, quality=1.0)
    assert "expected of the candidate, without evidence" in call("rollout", "status").out
    assert "stage 2: the candidate decides 0.01 of the traffic" in call("rollout", "advance").out
    assert json.loads(call("rollout", "advance", "--to", "0.5", "--json").out)["share"] == 0.5
    with Router.open(load_settings(config)) as router:
        for i in range(30):
            router.feedback(router.route(f"query {i}").id, quality=float(i % 2))
        router.learn()
    said = call("rollout", "status").out
    assert "share 0.5 by request" in said
    assert "wait: it is not yet known whether the candidate is worse by 0.02" in said
    assert "more rated observations are needed" in said
    status = read_rollout(json.loads(call("rollout", "status", "--json").out))
    assert status.at_stage.quality is not None
    assert status.at_stage.quality.n >= 29  # the last may not have had its usual time
    aborted = json.loads(call("rollout", "abort", "--json").out)
    assert (aborted["share"], aborted["aborted"]) == (0.0, True)
    assert "wait: aborted (asked for)" in call("rollout", "status").out
    kinds = [act["kind"] for act in json.loads(call("audit", "--json").out)]
    assert kinds == [
        *("settings_applied", "rollout_begun", "rollout_advanced", "rollout_advanced", "rollout_aborted")
    ]


@pytest.mark.parametrize("words", [("status",), ("advance",), ("abort",)])
def test_without_a_rollout_it_says_how_to_set_one_up(
    tmp_path: Path, call: Run, words: tuple[str, ...]
) -> None:
    with Router.open(load_settings(write_settings(tmp_path))):
        pass
    assert "name the incumbent under [rollout]" in call("rollout", *words).error


def test_a_share_is_a_share(config: Path, call: Run) -> None:
    with Router.open(load_settings(config)):
        pass
    assert "share" in call("rollout", "advance", "--to", "2").error
