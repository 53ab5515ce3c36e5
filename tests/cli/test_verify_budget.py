"""`verify`: what a goal has booked is what the log says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bandit_router.router import Router
from tests.cli.conftest import Run
from tests.cli.tampering import QUIET, problems, tamper
from tests.services import write_settings

IN_SPENDING = {
    "more spent": ("UPDATE spending SET spent_usd = spent_usd + 1e-7", "the goal has booked 0.3"),
    "less spent": ("UPDATE spending SET spent_usd = 0.0", "the goal has booked 0.0 USD, the log says 0.3"),
    "another count": (
        "UPDATE spending SET requests = requests + 1",
        "the goal has booked 5 decisions, the log has 4",
    ),
    "another cost": (
        "UPDATE feedback SET value = 0.25 WHERE metric = 'cost_usd' AND revision = 1",
        "the log says 0.2",
    ),
    "another expectation": (
        "UPDATE decisions SET expected_cost_usd = 0.5 WHERE id = (SELECT max(id) FROM decisions)",
        "the log says 0.8",
    ),
}


def test_rewards_booked_that_are_not_what_the_log_says_are_named(call: Run, tmp_path: Path) -> None:
    config = write_settings(tmp_path, learner=QUIET, budget={"mean_quality": 0.9})
    with Router.open(config, rng=np.random.default_rng(0)) as router:
        router.feedback(router.route("a").id, quality=0.25)
        router.feedback(router.route("b").id, cost_usd=0.25)
    assert json.loads(call("verify", "--json").out)["ok"]
    tamper(config.with_name("router.db"), "UPDATE spending SET earned = earned + 1e-7")
    assert "the goal has booked rewards of" in problems(call("verify"))


@pytest.fixture
def budgeted(tmp_path: Path) -> Path:
    """The database of a router with a budget: four decisions and a cost that was revised."""
    config = write_settings(tmp_path, learner=QUIET, budget={"usd_per_request": 0.1})
    with Router.open(config, rng=np.random.default_rng(0)) as router:
        made = [router.route(f"query {i}").id for i in range(4)]
        router.feedback(made[0], cost_usd=0.125)
        router.feedback(made[0], cost_usd=0.3)
        router.learn()
    return config.with_name("router.db")


def test_what_a_budget_has_booked_is_reported(call: Run, budgeted: Path) -> None:
    report = json.loads(call("verify", "--json").out)
    assert report["ok"]
    assert 0.3 < report["spent_usd_in_log"] < 0.31
    assert report["spent_usd_booked"] == pytest.approx(report["spent_usd_in_log"], rel=1e-12)
    tamper(budgeted, "DELETE FROM spending")
    assert json.loads(call("verify", "--json").out)["spent_usd_booked"] == 0.0


@pytest.mark.parametrize(("statement", "says"), IN_SPENDING.values(), ids=IN_SPENDING)
def test_a_budget_that_is_not_what_the_log_says_is_named(
    call: Run, budgeted: Path, statement: str, says: str
) -> None:
    tamper(budgeted, statement)
    assert says in problems(call("verify"))
