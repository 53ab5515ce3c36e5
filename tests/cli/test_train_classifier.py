"""`bandit-router train-classifier`, and what its file is good for afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandit_router.router import Router
from bandit_router.signals.classifier import load_classifier
from tests.classifiers import long_is_complex, saved
from tests.cli.conftest import Run
from tests.services import write_settings

DATA = Path(__file__).parents[3] / "shared" / "data" / "llm_confidence.parquet"
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")

PAIR = ("--cheap", "small", "--expensive", "large")
SPEC = "classifier:cheap=small,expensive=large,threshold=0.5,epsilon=0.1"
EASY, HARD = "What is {}?", "Prove step by step, and explain why, that {} is a prime number and derive it"


def words(i: int) -> str:
    return (HARD if i % 3 == 0 else EASY).format(i)


@pytest.fixture
def labels(config: Path, tmp_path: Path) -> str:
    """A file of 300 labelled queries beside the settings: the small model fails on two of three hard ones."""
    assert config.exists()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(300):
        small = 0.1 if rng.random() < (0.67 if i % 3 == 0 else 0.1) else 0.9
        made = (("small", small, 1e-4), ("large", 0.95, 1e-3))
        rows += [{"text": words(i), "model": m, "quality": q, "cost_usd": c} for m, q, c in made]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return "labels.jsonl"


@pytest.fixture
def logged(tmp_path: Path) -> str:
    """A database of 400 decisions of the same queries by a uniform policy, with feedback."""
    config = write_settings(tmp_path, policy={"name": "uniform"})
    rng = np.random.default_rng(1)
    with Router.open(config, rng=rng) as router:
        for i in range(400):
            made = router.route(words(i))
            fails = rng.random() < (0.67 if i % 3 == 0 else 0.1)
            quality = 0.95 if made.arm == "large" else 0.1 if fails else 0.9
            router.feedback(made.id, quality=quality, cost_usd=made.expected_cost_usd)
        router.learn()
    return f"sqlite:///{tmp_path}/router.db"


def trained(call: Run, *arguments: str) -> Any:
    done = call("train-classifier", *PAIR, *arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def policies(call: Run, *arguments: str) -> dict[str, Any]:
    done = call(*arguments, "--json", "--jobs", "1")
    assert done.code == 0, done.err
    return {one["name"]: one for one in json.loads(done.out)["policies"]}


def test_from_labels(call: Run, labels: str, tmp_path: Path) -> None:
    found = trained(call, "--data", labels, "--quality", "0.95", "--report", "page.html")
    classifier = load_classifier(tmp_path / found["file"])
    assert found["classifier"] == classifier.digest
    assert (classifier.cheap, classifier.expensive, classifier.source) == (
        "small",
        "large",
        "labels: 300 queries",
    )
    assert "keeps 95.0% of the expensive model's quality" in classifier.threshold_why
    accuracy = classifier.metrics["cross_validated"]["accuracy"]
    assert accuracy["value"] > accuracy["baseline"]
    assert "Calibration" in (tmp_path / "page.html").read_text("utf-8")


def test_what_it_prints(call: Run, labels: str) -> None:
    done = call("train-classifier", *PAIR, "--data", labels, "--out", "mine.json")
    assert done.code == 0, done.err
    for said in ("accuracy", "base rate", "calibration error", "the majority class (right on",
                 'artifact = "mine.json"', "threshold = 0.7"):  # fmt: skip
        assert said in done.out


def test_from_a_log_then_live_then_evaluated(run: Run, call: Run, logged: str, tmp_path: Path) -> None:
    found = trained(call, "--log", logged)
    assert found["metrics"]["labelled"] == pytest.approx(200, abs=50)
    assert ":///" in found["source"]
    refused = call("evaluate", "--log", logged, "-p", SPEC).error
    assert "has rows without the signal 'p_complex'" in refused
    assert "give --classifier FILE" in refused
    as_target = policies(call, "evaluate", "--log", logged, "-p", SPEC, "--classifier", "classifier.json")
    reward = as_target[SPEC]["estimates"]["dr"]["reward"]["value"]
    assert as_target["fixed:small"]["estimates"]["dr"]["reward"]["value"] < reward

    live = {"name": "classifier", "cheap": "small", "expensive": "large", "threshold": 0.5, "epsilon": 0.1}
    write_settings(tmp_path, policy=live, classifier={"artifact": "classifier.json"})
    assert call("apply").code == 0
    hard, easy = (json.loads(call("route", words(i), "--json").out) for i in (0, 1))
    assert (hard["pmf"]["large"], easy["pmf"]["large"]) == (pytest.approx(0.95), pytest.approx(0.05))
    assert run("verify").code == 0


def test_a_live_classifier_is_evaluated_without_its_file(call: Run, logged: str, tmp_path: Path) -> None:
    """The log of a live classifier is evaluated without its file, and others on it."""
    live = {"name": "classifier", "cheap": "small", "expensive": "large", "threshold": 0.5, "epsilon": 0.5}
    path = saved(long_is_complex(), tmp_path)
    config = write_settings(
        tmp_path, policy=live, router={"name": "second"}, classifier={"artifact": str(path)}
    )
    with Router.open(config, rng=np.random.default_rng(0)) as router:
        for i in range(300):
            made = router.route(words(i))
            router.feedback(made.id, quality=float(made.arm == "large"), cost_usd=made.expected_cost_usd)
    url, spec = logged, "classifier:cheap=small,expensive=large,threshold=0.5,epsilon=0.5"
    found = policies(call, "evaluate", "--log", url, "--router", "second", "-p", spec)
    ours, logs = (found[name]["estimates"]["dr"]["reward"]["value"] for name in (spec, "logged"))
    assert ours == pytest.approx(logs, abs=1e-9)


def test_a_classifier_is_simulated(call: Run, labels: str, tmp_path: Path) -> None:
    write_settings(tmp_path, features={"embedding": "wordllama"})
    trained(call, "--data", labels)
    asked = ("simulate", "--data", labels, "--seeds", "2", "-p", SPEC)
    assert "needs a classifier; give --classifier FILE" in call(*asked).error
    found = policies(call, *asked, "--classifier", "classifier.json")
    assert found[SPEC]["role"] == "policy"
    write_settings(tmp_path)
    trained(call, "--data", labels, "--force")
    said = call(*asked, "--classifier", "classifier.json").error
    assert "classifier.json reads contexts" in said


def test_an_existing_file_is_kept(call: Run, labels: str, tmp_path: Path) -> None:
    before = saved(long_is_complex(), tmp_path).read_bytes()
    asked = ("train-classifier", *PAIR, "--data", labels)
    assert "classifier.json already exists; use --force" in call(*asked).error
    assert (tmp_path / "classifier.json").read_bytes() == before
    assert call(*asked, "--force").code == 0
    assert (tmp_path / "classifier.json").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "data: or log is needed, not both; give exactly one"),
        (("--data", "labels.jsonl", "--log", "x"), "give exactly one"),
        (("--data", "labels.jsonl", "--quality", "1.5"), "quality: is 1.5; give a share in (0, 1]"),
        (("--data", "labels.jsonl", "--quality", "0.9", "--usd-per-request", "1"), "exclude each other"),
        (("--data", "labels.jsonl", "--usd-per-request", "1e-6"), "usd_per_request: is 1e-06; give at least"),
        (("--data", "labels.jsonl", "--low", "0.05"), "low: of 0.05 makes 0 of the 300 answers of small bad"),
        (("--data", "labels.jsonl", "--report", "no/page.html"), "report: no is not a folder"),
        (("--data", "labels.jsonl", "--out", "no/c.json"), "no/c.json cannot be written"),
        (
            ("--data", "labels.jsonl", "--config", "router.toml", "--expensive", "huge"),
            "'huge' is not an arm",
        ),
        (("--log", "nowhere"), "nowhere"),
    ],
)
@pytest.mark.usefixtures("labels")
def test_what_is_refused(arguments: tuple[str, ...], said: str, call: Run, tmp_path: Path) -> None:
    assert said in call("train-classifier", *PAIR, *arguments).error
    assert not (tmp_path / "classifier.json").exists()


@needs_data
def test_real_queries(call: Run, tmp_path: Path) -> None:
    """Llama-3.1-8B or gpt-4o by WordLlama contexts: the figures were looked at, and are what is promised."""
    write_settings(tmp_path, features={"embedding": "wordllama"})
    models = ("--cheap", "Meta-Llama-3.1-8B-Instruct", "--expensive", "gpt-4o")
    done = call("train-classifier", *models, "--data", str(DATA), "--quality", "0.97", "--json")
    assert done.code == 0, done.err
    figures = json.loads(done.out)["metrics"]
    held_out = figures["cross_validated"]
    assert held_out["AUC"]["value"] == pytest.approx(0.659, abs=0.02)
    assert held_out["accuracy"]["difference"] == pytest.approx(0.021, abs=0.01)
    assert held_out["log loss"]["difference"] < -0.03
    assert held_out["calibration error"]["value"] < 0.06
    assert 0.6 < figures["share_expensive"] < 0.8
    assert figures["quality_beside_blind_mix"]["difference"] > 0.01
