"""`bandit-router warm-start`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.services import write_settings

LABELS = "query_id,text,model,quality,cost_usd\n" + "".join(
    f"{i},question {i},{model},{quality},{usd}\n"
    for i in range(50)
    for model, quality, usd in (("gpt-4o", 0.9 + 0.001 * i, 0.004), ("gpt-4o-mini", 0.1, 0.0003))
)
ARMS = ("--arms", "gpt-4o=large,gpt-4o-mini=small")


@pytest.fixture
def labels(config: Path, tmp_path: Path) -> str:
    """A file of labelled queries beside the settings."""
    assert config.exists()
    (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
    return "labels.csv"


def large(call: Run) -> float:
    """The probability of "large" for a query."""
    share: float = json.loads(call("route", "question", "--json").out)["pmf"]["large"]
    return share


def test_from_labels(run: Run, call: Run, labels: str) -> None:
    ran = run("warm-start", "--data", labels, *ARMS)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "warm start from 50 labelled queries of labels, trusted for 50 queries: snapshot 3"
    ]
    assert large(call) > 0.95
    assert "by these rewards, the warm start is evidence of these models" in call("calibration").out
    assert json.loads(call("calibration", "--json").out)["warm_start"] == "these models"
    assert run("verify").code == 0


def test_a_trust_that_is_more_than_there_is_is_said(call: Run, labels: str) -> None:
    ran = call("warm-start", "--data", labels, *ARMS, "--trust", "80")
    assert "trusted for 50 queries" in ran.out
    assert ran.err == "--trust 80 is more than the 50 queries that it is of\n"


def test_models_are_known_by_the_settings(call: Run, tmp_path: Path) -> None:
    models = {"small": "gpt-4o-mini", "large": "gpt-4o"}
    prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    arms = [{"name": name, "provider": "openai", "model": model, **prices} for name, model in models.items()]
    write_settings(tmp_path, arms=tuple(arms))
    (tmp_path / "labels.csv").write_text(LABELS.replace("gpt-4o,", "openai/gpt-4o,"), encoding="utf-8")
    assert call("warm-start", "--data", "labels.csv").code == 0
    assert large(call) > 0.95


@pytest.mark.usefixtures("config")
def test_a_warm_start_from_a_log_or_a_router_repeats_what_it_learned(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        made = json.loads(call("route", f"question {i}", "--json").out)
        call("feedback", made["decision_id"], f"quality={float(made['arm'] == 'large')}")
    taught = large(call)
    call("export", "log")
    url = f"sqlite:///{tmp_path}/router.db"
    monkeypatch.setenv("BANDIT_ROUTER_ROUTER__NAME", "new")
    for source in (("--log", "log"), ("--log", url), ("--snapshot", url)):
        ran = call("warm-start", *source, "--json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["evidence"]["queries"] == pytest.approx(20.0)
        assert large(call) == pytest.approx(taught, abs=1e-6)


def test_a_warm_start_can_be_trusted_less_and_removed(call: Run, labels: str) -> None:
    call("warm-start", "--data", labels, *ARMS)
    sure = large(call)
    assert "trusted for 2 queries" in call("warm-start", "--data", labels, *ARMS, "--trust", "2").out
    assert 0.5 < large(call) < sure
    assert call("warm-start", "--clear").out.startswith("removed the warm start: snapshot ")
    assert large(call) == pytest.approx(0.5)


def test_verify_sees_a_warm_start_that_was_tampered_with(call: Run, labels: str, tmp_path: Path) -> None:
    call("warm-start", "--data", labels, *ARMS)
    call("warm-start", "--data", labels, *ARMS, "--trust", "2")
    with closing(sqlite3.connect(tmp_path / "router.db")) as connection, connection:
        connection.execute("DELETE FROM warm_starts WHERE id = 2")
    ran = call("verify")
    assert ran.code == 1
    assert "problem: the posterior has another warm start than the one on record" in ran.out
    call("rebuild")
    assert call("verify").code == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "source: is not exactly one; give one of --data, --log, --snapshot and --clear"),
        (("--data", "labels.csv", "--clear"), "source: is not exactly one"),
        (
            ("--data", "labels.csv"),
            "arm: none of gpt-4o, gpt-4o-mini is an arm; say which",
        ),
        (
            ("--data", "labels.csv", "--arms", "gpt-4o"),
            "arms: 'gpt-4o' is not NAME=VALUE; write gpt",
        ),
        (("--data", "labels.csv", *ARMS, "--trust", "nan"), "trust: is nan"),
        (("--data", "nowhere.csv"), "nowhere.csv"),
        (("--snapshot", "sqlite:///nowhere.db"), "there is no database"),
        (("--log", "nowhere"), "nowhere"),
    ],
)
@pytest.mark.usefixtures("labels")
def test_what_is_wrong_is_named(call: Run, options: tuple[str, ...], error: str) -> None:
    assert error in call("warm-start", *options).error
