"""`savings`: estimated now or as stored, for people and for programs, or refused for want of the extra."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bandit_router.cli.output import console
from bandit_router.insight import savings_estimate
from bandit_router.insight.savings import KIND, read_savings
from bandit_router.insight.savings_job import SavingsJob, run_job
from bandit_router.router import Router
from bandit_router.settings import Settings, load_settings
from bandit_router.store.store import Store
from tests.cli.conftest import Run
from tests.services import write_settings

COSTS = {"small": 0.001, "large": 0.01}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A log of 400 uniform choices whose costs are known and whose quality is no arm's, and ten overrides."""
    path = write_settings(
        tmp_path,
        policy={"name": "uniform"},
        learner={"interval_s": 3600.0},
        insight={"savings_margin": 0.5, "savings_rows": 390},
    )
    with Router.open(path) as router:
        for i in range(410):
            override = {"override": "small"} if i % 41 == 0 else {}
            made = router.route(f"query {i}", **override)  # type: ignore[arg-type]
            router.feedback(made.id, quality=float(i % 2), cost_usd=COSTS[made.arm])
    return load_settings(path)


@pytest.mark.usefixtures("settings")
def test_people_read_a_table(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 140)
    ran = call("savings")
    assert ran.code == 0, ran.err
    assert "the most expensive model │ large │ +0.0045" in ran.out.replace("  ", " ")
    assert "from 390 decisions" in ran.out


def test_programs_read_what_the_service_stored(call: Run, settings: Settings) -> None:
    assert call("savings", "--stored").code == 1
    with closing(Store.open(settings.store.url, settings.router.name)) as store:
        assert store.take_lease(KIND, "me", interval_s=3600.0, lease_s=600.0)
    job = SavingsJob(router="default", holder="me", store=settings.store, insight=settings.insight)
    assert run_job(job)
    assert not run_job(job)
    facts = json.loads(call("savings", "--stored", "--json").out)
    assert read_savings(facts).rows == 390
    assert json.loads(call("savings", "--json").out)["savings"] == facts["savings"]


@pytest.mark.usefixtures("settings")
def test_without_the_extra_it_says_what_to_install(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savings_estimate, "find_spec", lambda name: None if name == "joblib" else name)
    ran = call("savings")
    assert ran.code == 0
    assert "pip install 'bandit-router[evaluation]'" in ran.out


def test_looking_at_savings_imports_nothing_of_the_extra() -> None:
    modules = (
        "bandit_router.insight.savings_job, bandit_router.cli.savings, bandit_router.server.savings, sys"
    )
    program = f"import {modules}; sys.exit(bool({{'joblib', 'pyarrow'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
