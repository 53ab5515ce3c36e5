"""Every command, as people and programs use it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from bandit_router.router import Router
from bandit_router.settings import load_settings
from tests.cli.conftest import Run
from tests.services import SMALL, write_settings

ARMS = ("small", "large", "claude-small", "claude-large")
"""The arms that `init` writes."""


def test_init_writes_settings_that_load_and_refuses_to_replace_them(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    assert run("init").code == 0
    assert [arm.name for arm in load_settings(path).arms] == list(ARMS)
    path.write_text("# mine\n", encoding="utf-8")
    assert "--force" in run("init").error
    assert path.read_text(encoding="utf-8") == "# mine\n"
    assert run("init", "--force").code == 0
    assert len(load_settings(path).arms) == len(ARMS)


def test_init_writes_where_it_is_told(call: Run, tmp_path: Path) -> None:
    ran = call("init", "other.toml")
    assert ran.code == 0
    assert "other.toml" in ran.out
    assert load_settings(tmp_path / "other.toml").server.port == 8080


@pytest.mark.parametrize("path", ["missing/router.toml", "."])
def test_init_says_why_it_cannot_write(call: Run, path: str) -> None:
    assert "cannot be written" in call("init", "--force", path).error


def test_the_settings_of_init_route_a_query_as_they_are(run: Run) -> None:
    run("init")
    ran = run("route", "What is the capital of France?", "--json")
    assert ran.code == 0, ran.err
    assert set(json.loads(ran.out)["pmf"]) == set(ARMS)


def test_route_prints_a_decision_and_feedback_prints_its_outcomes(run: Run, config: Path) -> None:
    routed = run("route", "Why?", "--json", "--user-tier", "free", "--cost-weight", "2.5")
    assert routed.code == 0, routed.err
    decision = json.loads(routed.out)
    assert UUID(decision["decision_id"]).version == 7
    assert math.isclose(sum(decision["pmf"].values()), 1.0)
    assert decision["pmf"][decision["arm"]] == decision["propensity"]
    told = run("feedback", decision["decision_id"], "quality=0.9", "cost_usd=0.0004", "--json")
    assert json.loads(told.out)["outcomes"] == {"quality": "recorded", "cost_usd": "recorded"}
    told = run("feedback", decision["decision_id"], "quality=", "cost_usd=4e-4")
    assert told.out.splitlines() == ["quality: retracted", "cost_usd: duplicate"]
    with Router.open(config) as router:
        assert router.decision(decision["decision_id"]).cost_weight == 2.5


@pytest.mark.usefixtures("config")
def test_feedback_is_learned_without_a_service(call: Run) -> None:
    decision = json.loads(call("route", "Why?", "--json").out)
    call("feedback", decision["decision_id"], "quality=1")
    counted = {arm["name"]: arm["rewards_counted"] for arm in json.loads(call("arms", "list", "--json").out)}
    assert counted == {"small": 0, "large": 0, decision["arm"]: 1}


@pytest.mark.usefixtures("config")
def test_route_prints_the_arm_and_every_probability(call: Run) -> None:
    first, second, *probabilities = call("route", "Why?").out.splitlines()
    assert first in {"small (openai/small)", "large (openai/large)"}
    assert second.startswith("decision ")
    assert [line.split()[1] for line in probabilities] == ["large", "small"]


def test_the_settings_may_be_named_by_option_or_by_environment(
    run: Run, config: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    config.rename(elsewhere)
    assert run("route", "a", "--json", "--config", str(elsewhere)).code == 0
    assert run("route", "a", "--json", BANDIT_ROUTER_CONFIG=str(elsewhere)).code == 0
    assert "router.toml" in run("route", "a").error


def arms(call: Run) -> dict[str, bool]:
    return {arm["name"]: arm["enabled"] for arm in json.loads(call("arms", "list", "--json").out)}


@pytest.mark.usefixtures("config")
def test_arms_are_listed_added_and_switched(run: Run) -> None:
    assert arms(run) == {"large": True, "small": True}
    added = run("arms", "add", "new", "--input-usd-per-mtok", "1", "--output-usd-per-mtok", "2")
    assert added.code == 0, added.err
    assert run("arms", "disable", "small").code == 0
    assert arms(run) == {"large": True, "new": True, "small": False}
    assert set(json.loads(run("route", "a", "--json").out)["pmf"]) == {"large", "new"}
    assert run("arms", "enable", "small").code == 0
    assert arms(run) == {"large": True, "new": True, "small": True}


@pytest.mark.usefixtures("config")
def test_an_arm_whose_model_changed_is_reset(call: Run) -> None:
    decision = json.loads(call("route", "Why?", "--json").out)
    call("feedback", decision["decision_id"], "quality=1")
    assert call("arms", "reset", decision["arm"]).code == 0
    assert {arm["rewards_counted"] for arm in json.loads(call("arms", "list", "--json").out)} == {0}
    assert "forgotten: 1" in call("verify").out
    assert "large, small" in call("arms", "reset", "gpt-9").error


@pytest.mark.usefixtures("config")
def test_arms_list_prints_which_arms_are_enabled(call: Run) -> None:
    call("arms", "disable", "small")
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in call("arms", "list").out.splitlines()
    ]
    assert ["large", "openai/large", "yes", "0", "–", "–"] in rows
    assert ["small", "openai/small", "no", "0", "–", "–"] in rows


@pytest.mark.usefixtures("config")
def test_latencies_are_listed_and_keep_slow_arms_from_queries_with_a_deadline(call: Run) -> None:
    timed = set()
    for _ in range(4):  # the first late call is forgiven: the second puts the other arm's turn
        decision = json.loads(call("route", "Why?", "--json", "--deadline-s", "1").out)
        call("feedback", decision["decision_id"], "latency_s=9")
        timed.add(decision["arm"])
    assert timed == {"small", "large"}
    for arm in json.loads(call("arms", "list", "--json").out):
        assert arm["p50_latency_s"] == arm["p95_latency_s"] == pytest.approx(9, rel=0.025)
    wrong = call("route", "Why?", "--deadline-s", "1", "--deadline-level", "2")
    assert "deadline_level: is out of range; give a number in [0, 1]" in wrong.error


def test_an_added_arm_has_what_it_was_given(call: Run, config: Path) -> None:
    prices = ["--input-usd-per-mtok", "1", "--output-usd-per-mtok", "2", "--provider", "anthropic"]
    limits = ["--model", "m-1", "--context-window", "500", "--expected-output-tokens", "50"]
    abilities = ["--capability", "vision", "--capability", "json"]
    assert call("arms", "add", "new", *prices, *limits, *abilities).code == 0
    with Router.open(config) as router:
        arm = router.arm("new")
    assert (arm.provider, arm.model, arm.input_usd_per_mtok, arm.output_usd_per_mtok) == (
        "anthropic",
        "m-1",
        1.0,
        2.0,
    )
    assert (arm.context_window, arm.expected_output_tokens) == (500, 50)
    assert arm.capabilities == {"vision", "json"}


@pytest.mark.parametrize(
    ("name", "price", "says"),
    [
        ("new", "nan", "input_usd_per_mtok"),
        ("new", "inf", "input_usd_per_mtok"),
        ("new", "-1", "input_usd_per_mtok"),
        ("", "1", "name"),
        ("a,b", "1", "name"),
        ("small", "1", "is in router.toml"),
    ],
)
@pytest.mark.usefixtures("config")
def test_an_arm_that_no_settings_could_declare_is_refused(
    call: Run, name: str, price: str, says: str
) -> None:
    ran = call("arms", "add", name, "--input-usd-per-mtok", price, "--output-usd-per-mtok", "1")
    assert says in ran.error
    assert arms(call) == {"large": True, "small": True}


def test_the_demo_prints_the_table_verifies_and_keeps_away_from_other_databases(
    run: Run, tmp_path: Path
) -> None:
    mine = f"sqlite:///{tmp_path}/mine.db"
    ran = run("demo", "--queries", "60", COLUMNS="140", BANDIT_ROUTER_STORE__URL=mine)
    assert ran.code == 0, ran.err
    assert "60 queries of paretobandit" in ran.out
    for row in ("bandit-router", "* the best fixed model", "uniform random"):
        assert row in ran.out
    assert "decisions: 60" in ran.out
    first, second = ran.out.split("20 queries streamed by OpenAI's client")
    assert first.rstrip().endswith("verify: ok")
    rows = {cells[0]: cells[1:4] for line in second.splitlines() if (cells := line.split())}
    small, large = ([int(number) for number in rows[arm]] for arm in ("small", "large"))
    assert large[1:] == [0, small[1]]  # each call of small that failed was made good by large
    assert small[0] + large[0] == 20 + small[1]
    assert "feedback on 20 answers, by their own ids" in second
    assert list(tmp_path.iterdir()) == []
    assert second.endswith(
        "verify: ok\n`bandit-router demo --stay` (make demo DEMO=--stay) leaves its dashboard open\n"
    )


_STAY = """
import sys
from pathlib import Path
from rich.console import Console
from bandit_router.demo.run import keep_dashboard_open
keep_dashboard_open(Path(sys.argv[1]), Console(soft_wrap=True))
"""


@pytest.mark.usefixtures("interruptible")
def test_the_demo_stays_with_its_dashboard_open_until_it_is_interrupted(tmp_path: Path) -> None:
    write_settings(tmp_path)
    command = [sys.executable, "-u", "-c", _STAY, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as staying:
        assert staying.stdout is not None
        address = staying.stdout.readline().split()[1]
        page = httpx.get(address)
        staying.send_signal(signal.SIGINT)
        assert staying.wait(60) == 0
    assert address.endswith("/dashboard")
    assert page.status_code == 200
    assert "Nothing was decided in this window" in page.text
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_the_installed_script_is_the_same_command(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("bandit-router")
    done = subprocess.run([script, "init"], cwd=tmp_path, env=os.environ, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "router.toml").exists()


def test_settings_with_one_arm_choose_it(call: Run, tmp_path: Path) -> None:
    write_settings(tmp_path, arms=(SMALL,))
    assert json.loads(call("route", "a", "--json").out)["pmf"] == {"small": 1.0}


@pytest.mark.parametrize("template", ["bandit", "heuristic-cascade", "tiers"])
def test_every_architecture_routes_a_query_as_it_is(call: Run, template: str) -> None:
    assert call("init", "--template", template).code == 0
    for tier, arm in (("premium", "large"), ("free", "small")):
        answer = json.loads(call("route", "Explain and debug this code.", "--user-tier", tier, "--json").out)
        assert template != "tiers" or (answer["arm"], answer["reason"]) == (arm, "tier")
        assert template != "heuristic-cascade" or max(answer["pmf"], key=answer["pmf"].get) == arm
    assert call("verify").code == 0


def test_the_classifier_says_what_it_needs_first(call: Run) -> None:
    ran = call("init", "--template", "classifier")
    assert "next: bandit-router train-classifier" in ran.out
    assert "classifier.json" in call("route", "Why?").error
