"""`evaluate` and `simulate`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.logs.export import write_log
from bandit_router.policies import POLICIES
from tests.cli.conftest import Run
from tests.evaluation.blocks import a_block, a_prior
from tests.evaluation.worlds import ARMS

SPECS = [f"{name}:small" if name == "fixed" else name for name in POLICIES]


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A folder with a log of 600 rows."""
    write_log(tmp_path / "log", [a_block(cost_weight=20.0)], posterior=a_prior())
    return str(tmp_path / "log")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A file of what three models did on 80 queries."""
    rng = np.random.default_rng(0)
    rows = [
        {"text": f"query {i}", "model": m, "quality": float(rng.random()), "cost_usd": 1e-4 * 4.0**k}
        for i in range(80)
        for k, m in enumerate(("small", "medium", "large"))
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(path)


def as_json(call: Run, *arguments: str) -> Any:
    done = call(*arguments, "--json", "--jobs", "1")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_every_registered_policy_is_evaluated(call: Run, log: str) -> None:
    found = as_json(call, "evaluate", "--log", log, *(x for spec in SPECS for x in ("--policy", spec)))
    names = {one["name"] for one in found["policies"]}
    assert {"logged", "uniform", *(f"fixed:{arm}" for arm in ARMS)} <= names
    assert {spec for spec in SPECS if not spec.startswith("fixed")} <= names
    assert found["estimator"] == "dr"  # nothing says that the logged policy was learning


def test_every_registered_policy_is_simulated(call: Run, data: str) -> None:
    asked = [x for spec in SPECS for x in ("--policy", spec)]
    found = as_json(call, "simulate", "--data", data, "--seeds", "2", *asked)
    policies = {one["name"] for one in found["policies"] if one["role"] == "policy"}
    assert policies == set(SPECS)


def test_the_table_and_the_page_are_written(call: Run, log: str, data: str, tmp_path: Path) -> None:
    for arguments in (
        ("evaluate", "--log", log, "--policy", "thompson"),
        ("simulate", "--data", data, "--seeds", "2", "--policy", "thompson"),
    ):
        page = tmp_path / f"{arguments[0]}.html"
        done = call(*arguments, "--report", str(page), "--jobs", "1")
        assert done.code == 0, done.err
        for says in ("thompson", "shuffled", "blind mix", "uniform", "in hindsight", f"wrote {page}"):
            assert says in done.out
        assert "<html" in page.read_text("utf-8")


def test_refused_figures_are_hidden_unless_forced(call: Run, tmp_path: Path) -> None:
    block = a_block(n=40)
    write_log(tmp_path / "short", [block], posterior=a_prior())
    asked = "evaluate", "--log", str(tmp_path / "short"), "--policy", "thompson", "--jobs", "1"
    shy, bold = call(*asked), call(*asked, "--force")
    assert "refused" in shy.out
    assert "Cure" in shy.out
    assert "--force" in bold.out
    assert "!" in bold.out


def test_events_and_feedback_that_travels_are_played(call: Run, data: str) -> None:
    calm = as_json(call, "simulate", "--data", data, "--seeds", "2")
    asked = "--event", "price:large@40=0.1", "--delay", "5", "--missing", "0.2", "--duplicated", "0.3"
    rough = as_json(call, "simulate", "--data", data, "--seeds", "2", *asked)

    def cost(found: Any) -> list[float]:
        (large,) = [one for one in found["policies"] if one["name"] == "fixed:large"]
        costs: list[float] = large["by_seed"]["cost_usd"]
        return costs

    assert np.mean(cost(rough)) == pytest.approx(0.55 * np.mean(cost(calm)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("evaluate", "--log", "{log}", "--policy", "fixed:enormous"), "'enormous' is not an arm"),
        (("evaluate", "--log", "{log}", "--policy", "magic"), "no policy 'magic'"),
        (("evaluate", "--log", "{log}", "--estimator", "magic"), "use one of ips, "),
        (("evaluate", "--log", "{log}/nowhere"), "bandit-router export"),
        (("evaluate", "--log", "{log}", "-p", "thompson", "-p", "thompson"), "given twice"),
        (("simulate", "--data", "nowhere.csv"), "nowhere.csv"),
        (("simulate", "--data", "{data}", "--models", "small,huge"), "huge"),
        (("simulate", "--data", "{data}", "--event", "burn:large@3"), "begin with one of"),
        (("simulate", "--data", "{data}", "--event", "leave:huge@3"), "'huge' is not in the data"),
        (("simulate", "--data", "{data}", "--missing", "2"), "missing: is 2"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    call: Run, log: str, data: str, arguments: tuple[str, ...], says: str
) -> None:
    done = call(*(argument.format(log=log, data=data) for argument in arguments), "--jobs", "1")
    assert done.code == 1
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_log_without_a_snapshot_still_answers_for_fixed_models(call: Run, tmp_path: Path) -> None:
    write_log(tmp_path / "log", [a_block()])
    assert as_json(call, "evaluate", "--log", str(tmp_path / "log"), "--policy", "fixed:small")
    done = call("evaluate", "--log", str(tmp_path / "log"), "--policy", "thompson")
    assert "posterior.bin" in done.err
