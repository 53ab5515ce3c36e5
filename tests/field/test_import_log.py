"""Logs of other routers, one model a query, and labels with gaps: read, and no more said than they know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import load_dataset
from bandit_router.evaluation.logs.read import open_log
from tests.cli.conftest import Run, call  # noqa: F401
from tests.services import write_settings

HERE = Path(__file__).parent
SPEND = (
    "tables_spend_log.csv",
    "--columns",
    "id=request_id,time=startTime,text=messages,arm=model,cost_usd=spend,reward=rating",
    "--scale",
    "1:5",
)
WITH_P = (
    "tables_log_with_propensities.csv",
    "--columns",
    "text=prompt,arm=model,reward=score,cost_usd=usd,propensity=p",
)


@pytest.fixture(autouse=True)
def _tables(tmp_path: Path) -> None:
    write_settings(tmp_path)
    for path in HERE.glob("tables_*"):
        shutil.copy(path, tmp_path)


def imported(call: Run, *arguments: str) -> str:  # noqa: F811
    file, *options = arguments
    done = call("import-log", file, "log", *options)
    assert done.code == 0, done.err
    return done.out


def test_a_spend_log_is_a_log_without_propensities(call: Run, tmp_path: Path) -> None:  # noqa: F811
    told = imported(call, *SPEND)
    assert "imported 120 decisions to log, 90 with a reward\n" in told
    assert "without propensities" in told
    with open_log(tmp_path / "log") as log:
        assert (log.rows, log.arms, log.propensities, log.left_out) == (
            120,
            ("large", "small"),
            "unknown",
            {},
        )
        [piece] = log.pieces
        block = piece.read()
    assert set(np.unique(block.outcomes[:, 0][~np.isnan(block.outcomes[:, 0])])) == {0.25, 0.75, 1.0}
    assert block.decided_at[1] - block.decided_at[0] == 60.0
    assert set(block.outcomes[:, 2]) == {0.004, 0.0002}


def test_without_propensities_only_the_reward_model_is_shown(call: Run) -> None:  # noqa: F811
    imported(call, *SPEND)
    done = call("evaluate", "--log", "log", "--jobs", "1", "--json", "-p", "thompson")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["estimator"] == "dm"
    by_name = {answer["name"]: answer for answer in report["policies"]}
    refused = {
        name: {refusal["code"] for refusal in figures["reward"]["refusals"]}
        for name, figures in by_name["fixed:large"]["estimates"].items()
    }
    assert refused.pop("dm") == set()
    assert all("no-propensities" in codes for codes in refused.values())
    replayed = call("evaluate", "--log", "log", "--replay", "1", "-p", "thompson")
    assert "replay: needs the whole PMF" in replayed.error
    trained = call("train-classifier", "--log", "log", "--cheap", "small", "--expensive", "large")
    assert "does not know the probability of its choices" in trained.error


def test_a_log_of_any_kind_warm_starts(call: Run) -> None:  # noqa: F811
    imported(call, *SPEND)
    done = call("warm-start", "--log", "log")
    assert done.code == 0, done.err
    assert "from the log of router imported, trusted for" in done.out
    large = json.loads(call("route", "word " * 60, "--json").out)["pmf"]["large"]
    assert large > 0.8


def test_with_propensities_weights_are_used(call: Run) -> None:  # noqa: F811
    imported(call, *WITH_P)
    report = json.loads(call("evaluate", "--log", "log", "--jobs", "1", "--json").out)
    by_name = {answer["name"]: answer for answer in report["policies"]}
    figures = by_name["fixed:large"]["estimates"]
    assert figures["snips"]["reward"]["value"] == pytest.approx(1.0)
    codes = {name: {r["code"] for r in figures[name]["reward"]["refusals"]} for name in figures}
    assert "no-pmf" in codes["stabilised-dr"]
    assert "no-pmf" not in codes["snips"]
    assert "no-propensities" not in set().union(*codes.values())
    trained = call(
        "train-classifier", "--log", "log", "--cheap", "small", "--expensive", "large", "--low", "0.7"
    )
    assert trained.code == 0, trained.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("prompt,model\nHi,a\n", "has no column arm, text (or features); it has prompt, model; say with"),
        ("text,arm,reward\nHi,a,1\nHi,,1\n", "line 3: arm is missing"),
        ("text,arm,propensity\nHi,a,0\n", "line 2: propensity is '0'"),
        ("text,arm,id\nHi,a,1\nHo,a,1\n", "line 3: id '1' is that of line 2 already"),
        ("text,arm,time\nHi,a,yesterday\n", "line 2: time is 'yesterday', allowed is Unix time"),
        ("text,arm,reward\nHi,a,4\nHi,b,5\nHi,b,2\n", "looks like 1 to 5: give scale (--scale 1:5)"),
        ('features,arm\n"1",a\n', "line 2: features"),
    ],
)
def test_what_is_wrong_is_named(call: Run, tmp_path: Path, content: str, told: str) -> None:  # noqa: F811
    (tmp_path / "bad.csv").write_text(content)
    assert told in call("import-log", "bad.csv", "log").err
    assert not (tmp_path / "log").exists()


def test_features_of_the_callers_own_are_read(call: Run, tmp_path: Path) -> None:  # noqa: F811
    write_settings(tmp_path, features={"embedding": "vector", "vector_dim": 2})
    rows = [{"features": [i, 1.5], "arm": "small", "reward": True} for i in range(3)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    imported(call, "rows.json")
    with open_log(tmp_path / "log") as log:
        assert log.pieces[0].read().x.tolist() == [[1, 0, 1.5], [1, 1, 1.5], [1, 2, 1.5]]


# -- labels with gaps -----------------------------------------------------------------------------


def test_labels_with_gaps_are_refused_with_the_option_that_uses_them() -> None:
    with pytest.raises(
        ConfigError, match=r"no result for 'large' \(use what is there with .*--allow-missing"
    ):
        load_dataset(HERE / "tables_gaps.csv")
    data = load_dataset(HERE / "tables_gaps.csv", allow_missing=True)
    assert np.isnan(data.quality).sum(axis=0).tolist() == [20, 0]


def test_labels_with_gaps_warm_start_simulate_and_train(call: Run) -> None:  # noqa: F811
    data = ("--data", "tables_gaps.csv", "--allow-missing")
    assert "trusted for 60 queries" in call("warm-start", *data).out
    done = call("simulate", *data, "--seeds", "2", "--jobs", "1", "--json")
    assert done.code == 0, done.err
    trained = call("train-classifier", *data, "--cheap", "small", "--expensive", "large", "--json")
    assert trained.code == 0, trained.err


def test_tasks_are_numbered_as_a_router_would(call: Run, tmp_path: Path) -> None:  # noqa: F811
    rows = [("2026-01-02", "b"), ("2026-01-01", " a "), ("2026-01-03", ""), ("2026-01-04", "a")]
    lines = [f"query {i},small,1,{time},{task}" for i, (time, task) in enumerate(rows)]
    (tmp_path / "log.csv").write_text("\n".join(["text,arm,reward,time,feature", *lines]), encoding="utf-8")
    imported(call, "log.csv", "--columns", "task=feature")
    with open_log(tmp_path / "log") as log:
        assert log.tasks == ("a", "b")
        assert [task for piece in log.pieces for task in piece.read().tasks().tolist()] == [0, 1, -1, 0]


def test_a_task_that_is_no_name_is_named_by_its_line(call: Run, tmp_path: Path) -> None:  # noqa: F811
    lines = ["text,arm,reward,task", "one,small,1,a", f"two,small,0,{'x' * 201}"]
    (tmp_path / "log.csv").write_text("\n".join(lines), encoding="utf-8")
    error = call("import-log", "log.csv", "log").error
    assert "line 3" in error
    assert "task: has 201 characters" in error
    assert "1 with a reward" in imported(call, "log.csv", "--skip-bad")
