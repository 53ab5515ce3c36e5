"""`stats`: figures for people, and for programs as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from bandit_router.cli.output import console
from bandit_router.cli.stats import sparkline
from bandit_router.insight.table import Group
from bandit_router.router import Router
from bandit_router.store.own_calls import OwnCallPlan
from bandit_router.store.store import Store
from bandit_router.types import CallOutcome, CallResult, Purpose
from tests.cli.conftest import Run
from tests.services import write_settings


@pytest.fixture
def log(tmp_path: Path) -> None:
    """Ten decisions, six of them with feedback; the last one is not folded into the roll-ups."""
    with Router.open(write_settings(tmp_path, learner={"interval_s": 3600.0})) as router:
        for i in range(10):
            made = router.route(f"query {i}", arms=["small" if i < 7 else "large"], user_tier="pro")
            if i % 5 < 3:
                router.feedback(made.id, quality=0.25 * (i % 5), latency_s=2.0)
            if i == 8:
                router.learn()


@pytest.mark.usefixtures("log")
def test_people_read_a_table(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 120)
    ran = call("stats")
    assert ran.code == 0
    lines = [[cell.strip() for cell in line.split("│")] for line in ran.out.splitlines()]
    cells = {(line[1], line[2]): line[3:7] for line in lines if len(line) > 7}
    assert cells["Share of decisions", "large"] == ["30.0%", "10.8% … 60.3%", "10", ""]
    assert cells["Quality, reward", "large"] == ["0.5", "", "1", "33.3%"]
    assert ["", "small", "70.0%", "39.7% … 89.2%", "10", ""] in [line[1:7] for line in lines]
    assert "Price of exploration" in ran.out


def test_people_read_a_table_of_tasks(call: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del config
    monkeypatch.setattr(console, "width", 120)
    call("route", "Is 91 prime?", "--task", "primes")
    ran = call("stats", "--by", "task")
    cells = [[cell.strip() for cell in line.split("│")] for line in ran.out.splitlines()]
    (row,) = [line[1:] for line in cells if line[1:2] == ["primes"]]
    assert row[1] == "1"
    assert row[2] in ("small", "large")
    assert "best for all tasks" in ran.out
    (task,) = json.loads(call("stats", "--by", "task", "--json").out)["tasks"]
    assert (task["name"], task["best_arm"]) == ("primes", row[2])
    assert "primes" not in call("stats", "--task", "none").out


def test_a_figure_over_time_is_a_sparkline() -> None:
    values = {Group(hour=hour, arm="a"): float(hour) for hour in range(1, 5)}
    assert sparkline(values | {Group(hour=1, arm="b"): 9.0}, Group(arm="a")) == "▃▅▆█"
    assert sparkline(values, Group(arm="b")) == sparkline(values, Group(hour=1, arm="a")) == ""


@pytest.mark.usefixtures("log")
def test_programs_read_json_and_csv_with_the_same_numbers(call: Run) -> None:
    asked = "--by", "reason,tier", "--figure", "decisions", "--figure", "quality"
    facts = json.loads(call("stats", *asked, "--json").out)
    rows = list(csv.DictReader(io.StringIO(call("stats", *asked, "--csv").out)))
    assert facts["by"] == ["member", "reason"]
    points = [point for figure in facts["figures"] for point in figure["points"]]
    assert [(row["figure"], float(row["value"])) for row in rows] == [
        ("decisions", 10.0),
        ("quality", 0.25),
    ]
    assert [point["value"] for point in points] == [10.0, 0.25]
    assert [(point["reason"], point["member"], point["n"]) for point in points] == [
        ("policy", "pro", 10),
        ("policy", "pro", 6),
    ]
    assert points[1]["coverage"] == 0.6


@pytest.mark.usefixtures("log")
def test_a_time_without_decisions_says_how_to_find_some(call: Run) -> None:
    ran = call("stats", "--since", "2024-01-01", "--until", "2024-02-01")
    assert "no decisions between 2024-01-01T00:00Z and 2024-02-01T00:00Z" in ran.out
    assert "--since" in ran.out


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--by", "model"), "error: by: 'model' is unknown; use time, arm, reason, tier, key, task"),
        (("--json", "--csv"), "error: csv: comes with --json; give one of the two"),
        (("--figure", "beauty"), "error: figure: 'beauty' is unknown"),
        (("--since", "soon"), "error: since: 'soon' is no time"),
    ],
)
def test_what_cannot_be_asked_is_an_error(call: Run, arguments: tuple[str, ...], error: str) -> None:
    assert call("stats", *arguments).error.startswith(error)


@pytest.mark.usefixtures("log")
def test_calls_of_the_routers_own_are_summed_by_purpose(call: Run, tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/router.db", "default")
    for usd in (0.25, 0.5):
        plan = OwnCallPlan(purpose=Purpose.LABEL, arm="small", worst_usd=1.0, lost_after_s=60.0)
        ended = CallResult(outcome=CallOutcome.ANSWERED, cost_usd=usd)
        store.end_own_call(store.begin_own_call(plan), ended)
    store.close()
    assert "calls of its own to label: 2, 0.75 USD" in call("stats").out
    own = [{"purpose": "label", "calls": 2, "usd": 0.75}]
    assert json.loads(call("stats", "--json").out)["own_calls"] == own
    assert json.loads(call("stats", "--until", "2020-01-08", "--json").out)["own_calls"] == []
