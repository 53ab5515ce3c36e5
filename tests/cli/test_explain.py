"""`explain`, and the options of `route` that name models."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bandit_router.router import Router
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("config")


def test_explain_prints_the_reason_and_the_alternatives(call: Run) -> None:
    first = json.loads(call("route", "a", "--json", "--conversation", "c", "--forbid", "small").out)
    again = json.loads(
        call("route", "a", "--json", "--override", "small", "--instead-of", first["decision_id"]).out
    )
    ran = call("explain", first["decision_id"])
    assert ran.code == 0, ran.err
    lines = [line.strip() for line in ran.out.splitlines()]
    assert lines[:2] == ["large (openai/large)", "policy: the policy drew it with probability 1"]
    assert "not eligible: small: forbidden by the caller" in lines
    assert f"conversation 'c' keeps large; decision {first['decision_id']} chose it" in lines
    assert f"followed by {again['decision_id']}: small, override" in lines
    assert "feedback: override = 1" in lines
    (row,) = [line for line in lines if line.startswith("│ large")]
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["100.00%", "0.7000"]
    followed = call("explain", again["decision_id"]).out
    assert "override: the caller named it" in followed
    assert f"follows {first['decision_id']}: large, policy" in followed
    assert "no feedback so far" in followed


def test_explain_prints_the_same_json_as_the_service(call: Run) -> None:
    routed = json.loads(call("route", "a", "--json", "--user-tier", "free").out)
    found = json.loads(call("explain", routed["decision_id"], "--json").out)
    assert {name: found[name] for name in routed} == routed
    assert [one["arm"] for one in found["eligible"]] == ["large", "small"]
    assert found["signals"] == {"tier": "free"}


def test_explain_of_an_unknown_decision_is_one_clear_error(call: Run) -> None:
    call("route", "question")
    assert "no decision 'unknown'" in call("explain", "unknown").error


def test_route_prints_the_excluded_arms(call: Run) -> None:
    assert (
        call("route", "a", "--forbid", "large")
        .out.splitlines()[-1]
        .endswith("large: forbidden by the caller")
    )


def test_route_takes_a_workflow(call: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    workflow = '[[workflows]]\nname = "w"\narm = "large"\n'
    path.write_text(path.read_text(encoding="utf-8") + workflow, encoding="utf-8")
    answer = json.loads(call("route", "a", "--workflow", "w", "--json").out)
    assert (answer["arm"], answer["reason"]) == ("large", "workflow")
    assert "use one of w" in call("route", "a", "--workflow", "x").error


def test_explain_says_that_a_clock_was_wrong(call: Run, tmp_path: Path) -> None:
    with Router.open(tmp_path / "router.toml", host_time=lambda: time.time() + 86_400.0) as router:
        decision = router.route("a query of tomorrow")
        router.feedback(decision.id, quality=1.0)
        router.learn()
    assert call("rebuild").code == 0
    found = json.loads(call("explain", decision.id, "--json").out)
    assert found["decided_at"] <= time.time() < found["claimed_at"] == decision.decided_at
    claimed = datetime.fromtimestamp(decision.decided_at, UTC).isoformat(timespec="seconds")
    assert f"a wrong clock said {claimed}" in call("explain", decision.id).out
