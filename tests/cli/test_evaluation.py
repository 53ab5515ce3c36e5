"""`evaluate` and `simulate`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.logs import read
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.logs.tables import make_ids
from bandit_router.evaluation.logs.write import write_log
from tests.classifiers import a_classifier, saved
from tests.cli.conftest import Run
from tests.evaluation.blocks import a_block, a_prior, signalled
from tests.evaluation.worlds import ARMED, ARMS, SPECS


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A folder with a log of 600 rows."""
    write_log(tmp_path / "log", [signalled(a_block(cost_weight=20.0))], statistics=a_prior())
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
    asked = [x for spec in SPECS.values() for x in ("--policy", spec)]
    found = as_json(call, "evaluate", "--log", log, *asked)
    names = {one["name"] for one in found["policies"]}
    assert {"logged", "uniform", *(f"fixed:{arm}" for arm in ARMS)} <= names
    assert {spec for spec in SPECS.values() if not spec.startswith("fixed")} <= names
    assert found["estimator"] == "dr"  # nothing says that the logged policy was learning


def test_a_hand_written_policy_needs_signals_and_neither_posterior_nor_replay(
    call: Run, tmp_path: Path
) -> None:
    write_log(tmp_path / "log", [signalled(a_block())])  # no posterior
    policies = "-p", ARMED["heuristic"], "-p", "tier:free=small,else=huge"
    asked = "evaluate", "--log", str(tmp_path / "log"), *policies
    done = call(*asked, "--replay", "2", "--jobs", "1", "--json")
    assert done.code == 0, done.err
    assert "none of the policies learns" in done.err
    assert json.loads(done.out)["replays"] == {}
    write_log(tmp_path / "without", [a_block()])
    done = call("evaluate", "--log", str(tmp_path / "without"), "-p", ARMED["heuristic"], "--jobs", "1")
    assert "rows without the signal 'complexity'" in done.error
    assert "[[rules]]" in done.error


def test_every_registered_policy_is_simulated(call: Run, data: str, tmp_path: Path) -> None:
    asked = [x for spec in SPECS.values() for x in ("--policy", spec)]
    asked += ["--classifier", str(saved(a_classifier(embedding="wordllama"), tmp_path))]
    found = as_json(call, "simulate", "--data", data, "--seeds", "2", *asked)
    policies = {one["name"] for one in found["policies"] if one["role"] == "policy"}
    assert policies == set(SPECS.values())


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
    write_log(tmp_path / "short", [block], statistics=a_prior())
    asked = "evaluate", "--log", str(tmp_path / "short"), "--policy", "thompson", "--jobs", "1"
    shy, bold = call(*asked), call(*asked, "--force")
    assert "refused" in shy.out
    assert "Cure" in shy.out
    assert "--force" in bold.out
    assert "!" in bold.out


def test_events_and_late_feedback_are_played(call: Run, data: str) -> None:
    calm = as_json(call, "simulate", "--data", data, "--seeds", "2")
    asked = "--event", "price:large@40=0.1", "--delay", "5", "--missing", "0.2", "--duplicated", "0.3"
    rough = as_json(call, "simulate", "--data", data, "--seeds", "2", *asked)

    def cost(found: Any) -> list[float]:
        (large,) = [one for one in found["policies"] if one["name"] == "fixed:large"]
        costs: list[float] = large["by_seed"]["cost_usd"]
        return costs

    assert np.mean(cost(rough)) == pytest.approx(0.55 * np.mean(cost(calm)))


def test_policies_that_learn_are_played_with_a_bound_beside_without(call: Run, data: str) -> None:
    asked = "-p", "tempered", "-p", "fixed:large", "--safety", "large=0.02", "--safety", "large=0.5"
    found = as_json(call, "simulate", "--data", data, "--seeds", "2", *asked)
    earned = {one["name"]: np.mean(one["by_seed"]["utility"]) for one in found["policies"]}
    free, tight, loose = (
        earned[name]
        for name in ("tempered", *(f"tempered, at most {x}% below large" for x in ("2.0", "50.0")))
    )
    assert "fixed:large, at most 2.0% below large" not in earned
    assert abs(tight - earned["fixed:large"]) < abs(loose - earned["fixed:large"])
    assert tight != free


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("simulate", "--data", "{data}", "--safety", "large"), "is not ARM=SHARE"),
        (("simulate", "--data", "{data}", "--safety", "large=0"), "write large=0.02"),
        (("simulate", "--data", "{data}", "--safety", "nope=0.02"), "safety: 'nope' is not an arm; use one"),
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
        (("simulate", "--data", "{data}", "--event", "leave:large@80"), "the stream has 80 queries"),
        (("simulate", "--data", "{data}", "-p", "fixed:nope"), "'nope' is not an arm; use one of large, "),
        (
            ("simulate", "--data", "{data}", "--cost-weight", "nan"),
            "cost_weight: is nan; give a number in [0",
        ),
        (("simulate", "--data", "{data}", "--cost-weight", "-1"), "cost_weight: is -1"),
        (("simulate", "--data", "{data}", "--trade", "nan"), "trade: is nan"),
        (("simulate", "--data", "{data}", "--trade", "-1"), "trade: is -1"),
        (("simulate", "--data", "{data}", "--trade", "1e8"), "which makes the cost weight"),
        (("simulate", "--data", "{data}", "--columns", "text"), "columns: 'text' is not NAME=VALUE"),
        (("simulate", "--data", "{data}", "--columns", "text=a,text=b"), "columns: text is given twice"),
        (("simulate", "--data", "{data}", "--columns", "words=text"), "no column is called 'words'"),
        (("simulate", "--data", "{data}", "--prices", "none.csv"), "none.csv: cannot be read"),
        (("evaluate", "--log", "{log}", "--cost-weight", "inf"), "cost_weight: is inf"),
        (("evaluate", "--log", "{log}", "--cost-weight", "-1"), "cost_weight: is -1"),
        (("evaluate", "--log", "{log}", "--jobs", "0"), "jobs: is 0; give at least 1, or -1"),
        (("simulate", "--data", "{data}", "--jobs", "0"), "jobs: is 0; give at least 1, or -1"),
    ],
)
def test_an_error_is_one_line_that_names_the_problem(
    call: Run, log: str, data: str, arguments: tuple[str, ...], says: str
) -> None:
    given = [argument.format(log=log, data=data) for argument in arguments]
    jobs = [] if "--jobs" in given else ["--jobs", "1"]
    assert says in call(*given, *jobs).error


def test_a_wrong_event_is_one_line_with_processes_too(call: Run, data: str) -> None:
    error = call("simulate", "--data", data, "--seeds", "2", "--event", "leave:huge@3").error
    assert error.startswith("error: event leave:huge@3: 'huge' is not in the data; use one of ")


def test_a_missing_database_is_not_created(call: Run, tmp_path: Path) -> None:
    assert f"there is no database {tmp_path}/typo.db" in call("evaluate", "--log", "sqlite:///typo.db").error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["evaluate", "simulate"])
def test_an_unwritable_report_path_is_refused_before_any_work(
    call: Run, tmp_path: Path, command: str
) -> None:
    source = {"evaluate": "--log", "simulate": "--data"}[command]
    for report, says in (("none/page.html", "none is not a folder"), (str(tmp_path), "is a folder")):
        assert says in call(command, source, "nowhere.csv", "--report", report).error


@pytest.mark.parametrize("command", ["evaluate", "simulate"])
def test_results_are_printed_before_the_page_is_written(
    call: Run, log: str, data: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    arguments = {
        "evaluate": ("evaluate", "--log", log),
        "simulate": ("simulate", "--data", data, "--seeds", "1"),
    }[command]
    monkeypatch.setattr(Path, "write_text", full)
    done = call(*arguments, "--report", "page.html", "--jobs", "1")
    assert "page.html cannot be written: No space left on device" in done.error
    assert "uniform" in done.out
    done = call(*arguments, "--report", "page.html", "--jobs", "1", "--json")
    assert json.loads(done.out)["policies"]


def test_a_replay_that_fails_loses_nothing_else(call: Run, tmp_path: Path) -> None:
    block = a_block()
    block.logged[5] = np.eye(4)[block.action[5]]  # without a floor there is no replay
    block.propensity[5] = 1.0
    write_log(tmp_path / "floorless", [block], statistics=a_prior())
    asked = "evaluate", "--log", str(tmp_path / "floorless"), "-p", "thompson", "--replay", "1", "--jobs", "1"
    done = call(*asked, "--report", "page.html")
    assert "bound: " in done.error
    assert "uniform" in done.out
    assert "<html" in (tmp_path / "page.html").read_text("utf-8")
    done = call(*asked, "--json")
    assert "bound: " in done.error
    assert json.loads(done.out)["replays"] == {}


def test_replays_without_a_learning_policy_are_skipped_with_a_warning(call: Run, log: str) -> None:
    done = call("evaluate", "--log", log, "-p", "uniform", "--replay", "2", "--jobs", "1", "--json")
    assert done.code == 0
    assert "none of the policies learns" in done.err
    assert json.loads(done.out)["replays"] == {}


def test_rows_left_out_are_in_the_json_and_on_the_page(call: Run, tmp_path: Path) -> None:
    block = a_block()
    ids = make_ids(block)
    ids[7] = ids[6]
    write_log(tmp_path / "log", [block], ids=[ids], statistics=a_prior())
    asked = "evaluate", "--log", "log", "-p", "thompson", "--replay", "2", "--report", "page.html"
    assert as_json(call, *asked)["left_out"] == {"the id of a row before": {"count": 1, "first": [ids[6]]}}
    page = (tmp_path / "page.html").read_text("utf-8")
    assert f"not evaluated: 1 rows, the id of a row before (first: {ids[6]})" in page
    assert "<h2>Replay</h2>" in page


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/db", "postgresql://host/db?password=secret"])
def test_a_page_does_not_show_the_password(
    call: Run, log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(read, "open_log", lambda *_: open_log(log))
    assert call("evaluate", "--log", url, "--report", "page.html", "--jobs", "1").code == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "What postgresql://" in page
    assert "secret" not in page


def test_data_without_costs_is_priced_and_columns_are_renamed(call: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"prompt": f"query {i}", "llm": m, "score": float(rng.random())} for i in range(9) for m in ("a", "b")
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "prices.csv").write_text("model,usd_per_call,why\na,0.25,x\nb,0.5,y\nc,1,z\n", "utf-8")
    asked = "simulate", "--data", "data.jsonl", "--seeds", "1", "-p", "uniform", "--models", "b, a"
    renamed = "--columns", "text=prompt, model=llm,quality=score"
    assert "(--columns)" in call(*asked).error
    assert "(--prices)" in call(*asked, *renamed).error
    found = as_json(call, *asked, *renamed, "--prices", "prices.csv")
    assert found["arms"] == ["b", "a"]
    costs = {one["name"]: one["mean"]["cost_usd"] for one in found["policies"]}
    assert (costs["fixed:a"], costs["fixed:b"]) == (0.25, 0.5)


def test_the_cost_weight_is_zero_when_nothing_costs_anything(call: Run, tmp_path: Path) -> None:
    rows = [
        {"text": f"query {i}", "model": m, "quality": 0.5, "cost_usd": 0}
        for i in range(9)
        for m in ("a", "b")
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert as_json(call, "simulate", "--data", "data.jsonl", "--seeds", "1")["cost_weight"] == 0.0


def test_a_log_without_a_snapshot_still_answers_for_fixed_models(call: Run, tmp_path: Path) -> None:
    write_log(tmp_path / "log", [a_block()])
    assert as_json(call, "evaluate", "--log", str(tmp_path / "log"), "--policy", "fixed:small")
    done = call("evaluate", "--log", str(tmp_path / "log"), "--policy", "thompson")
    assert "posterior.bin" in done.err


def test_a_budget_is_paced_in_a_simulation(call: Run, data: str) -> None:
    asked = "simulate", "--data", data, "--seeds", "2", "--policy", "uniform", "--cost-weight", "0"

    def spent(*more: str) -> float:
        (one,) = [p for p in as_json(call, *asked, *more)["policies"] if p["name"] == "uniform"][-1:]
        return float(one["mean"]["cost_usd"])

    free, paced = spent(), spent("--usd-per-request", "0.0003")
    assert free == pytest.approx(7e-4, rel=0.15)
    assert paced <= 0.00033


def test_a_floor_is_paced_in_a_simulation(call: Run, data: str) -> None:
    asked = "simulate", "--data", data, "--seeds", "2", "--cost-weight", "0"

    def cost(*more: str) -> float:
        (one,) = [p for p in as_json(call, *asked, *more)["policies"] if p["name"] == "tempered"]
        return float(one["mean"]["cost_usd"])

    assert cost("--mean-quality", "0.01") < 0.5 * cost()
    assert call("simulate", "--data", data, "--mean-quality", "1").err.startswith(
        "error: mean_quality: is 1;"
    )
    both = call("simulate", "--data", data, "--mean-quality", "0.5", "--usd-per-request", "1")
    assert both.err.startswith("error: mean_quality: comes with usd_per_request")
