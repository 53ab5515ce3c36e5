"""`calibration`: what was expected beside what came, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandit_router.router import Router
from tests.cli.conftest import Run
from tests.services import write_settings


@pytest.fixture(scope="module")
def rewards() -> list[float]:
    return [1.0] * 50 + [0.0] * 60


def teach(tmp_path: Path, rewards: list[float]) -> None:
    with Router.open(write_settings(tmp_path, learner={"interval_s": 3600.0})) as router:
        for i, reward in enumerate(rewards):
            made = router.route(f"query {i}", arms=["large"])
            router.feedback(made.id, quality=reward, cost_usd=3 * made.expected_cost_usd)
            router.learn()


def test_it_is_quiet_about_an_arm_that_does_as_expected(
    call: Run, tmp_path: Path, rewards: list[float]
) -> None:
    teach(tmp_path, rewards[:50])
    ran = call("calibration")
    assert ran.code == 0
    assert "drifted" not in ran.out


def test_it_fails_and_names_the_arm_that_drifted(call: Run, tmp_path: Path, rewards: list[float]) -> None:
    teach(tmp_path, rewards)
    ran = call("calibration")
    assert ran.code == 1
    assert ran.err == ""
    (line,) = [line for line in ran.out.splitlines() if "drifted" in line]
    assert "large" in line
    ran = call("calibration", "--json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found["alarms"] == ["large"]
    assert found["arms"]["large"]["cost"]["calls"] == 110
    assert found["total"]["cost"]["twice"] > 0.0
    few = json.loads(call("calibration", "--last", "20", "--json").out)
    assert few["alarms"] == []
    assert 1 <= few["arms"]["large"]["reward"]["rewards"] <= 20  # of the newest more may be heard yet
