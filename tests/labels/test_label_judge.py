"""`label --judge`: a judge grades what nobody knows the right answer to, once, within the same budget."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bandit_router import Router
from bandit_router.cli.data_options import DataOptions
from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.store.own_calls import OwnCall
from bandit_router.store.store import Store
from bandit_router.types import Purpose, Usage
from tests.cli.conftest import Run
from tests.gateway.conftest import arms_to

TOKENS = Usage(input_tokens=10, output_tokens=5)
USD = (10 * 1.0 + 5 * 2.0) / 1e6
"""What an answer of "a" costs; one of "b" costs ten times that, a verdict a hundred times."""


@dataclass
class Panel:
    """Arms that answer everything, and a judge who finds answers of "b" good, of "a" bad."""

    asked: Counter[str] = field(default_factory=Counter)
    prompts: list[str] = field(default_factory=list)
    is_silent: bool = False

    def answer(self, request: ScriptedRequest) -> Scene:
        text = request.fields()["messages"][0]["content"]
        self.asked[f"{request.model}: {text}"] += 1
        return Scene(pieces=(f"{request.model} thinks of: {text}",), usage=TOKENS)

    def judge(self, request: ScriptedRequest) -> Scene:
        prompt = request.fields()["messages"][0]["content"]
        self.prompts.append(prompt)
        verdict = f"SCORE: {9 if 'b-model thinks' in prompt else 2}"
        return Scene(pieces=("Hm." if self.is_silent else verdict,), usage=TOKENS)


@dataclass(frozen=True)
class World:
    folder: Path
    settings: Path
    panel: Panel

    def open_store(self) -> Store:
        return Store.open(f"sqlite:///{self.folder}/router.db", "default")

    def read_calls(self) -> list[OwnCall]:
        run = json.loads((self.folder / "labels.answers.jsonl").read_bytes().splitlines()[0])["run"]
        store = self.open_store()
        try:
            return store.own_calls(run)
        finally:
            store.close()

    def read_labels(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "labels.jsonl").read_bytes().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Thirty questions to ask two arms beside a judge."""
    panel = Panel()
    arms = {"a": panel.answer, "b": panel.answer, "judge": panel.judge}
    with arms_to(tmp_path, arms, judge={"arm": "judge"}, router={"log_queries": True}) as (settings, _):
        rows = [f"what is {i}?" for i in range(30)]
        (tmp_path / "queries.csv").write_text("\n".join(["query", *rows]) + "\n")
        yield World(tmp_path, settings, panel)


LABEL = ("label", "--arms", "a,b", "--judge", "--json")


def label(call: Run, *options: str, budget: float = 10.0) -> dict[str, Any]:
    if "--from-log" not in options:
        options = ("--queries", "queries.csv", *options)
    done = call(*LABEL, "--budget", str(budget), *options)
    assert done.code == 0, done.err
    facts: dict[str, Any] = json.loads(done.out)
    return facts


def test_each_answer_is_judged_once_and_the_labels_can_be_loaded(world: World, call: Run) -> None:
    facts = label(call)
    assert (facts["labels"], facts["missing"], facts["judged_now"]) == (60, 0, 60)
    assert facts["spent_usd"] == pytest.approx((30 * 11 + 60 * 100) * USD)
    again = label(call)
    assert (again["answered_now"], again["judged_now"], again["labels"]) == (0, 0, 60)
    assert again["spent_usd"] == pytest.approx(facts["spent_usd"])
    assert set(world.panel.asked.values()) == {1}
    assert len(world.panel.prompts) == len(set(world.panel.prompts)) == 60
    dataset = DataOptions().load(str(world.folder / "labels.jsonl"))
    assert dataset.models == ("a", "b")
    assert dataset.quality.mean(axis=0).tolist() == pytest.approx([0.2, 0.9])
    assert dataset.cost_usd.mean(axis=0).tolist() == pytest.approx([USD, 10 * USD])
    calls = world.read_calls()
    assert Counter(call.arm for call in calls) == {"a": 30, "b": 30, "judge": 60}
    assert {call.purpose for call in calls} == {Purpose.LABEL}


def test_the_judge_sees_right_answers_where_there_are_some(world: World, call: Run) -> None:
    (world.folder / "queries.csv").write_text('query,reference\nwhat is 1?,"the first, one"\nwhat is 2?,\n')
    assert label(call)["labels"] == 4
    with_reference = [prompt for prompt in world.panel.prompts if "the first, one" in prompt]
    assert len(with_reference) == 2
    assert all("what is 1?" in prompt for prompt in with_reference)
    assert all("what is 2?" not in prompt for prompt in with_reference)


def test_answers_and_verdicts_have_one_budget_that_leaves_labels(world: World, call: Run) -> None:
    budget = 2_000 * USD
    options = ("--max-output-tokens", "5", "--concurrency", "1")
    facts = label(call, *options, budget=budget)
    assert facts["judge_stopped"] is not None
    worst_usd = 2_500 * 100 * 2.0 / 1e6
    assert budget <= facts["spent_usd"] < budget + worst_usd
    assert facts["spent_usd"] == pytest.approx(sum(call.counted_usd for call in world.read_calls()))
    assert facts["labels"] == facts["judged_now"] > 0
    assert world.panel.asked.total() == 50  # what one piece asks, of both arms: the rest was left
    asked = len(world.panel.prompts)
    assert label(call, *options, budget=budget)["judged_now"] == 0
    assert len(world.panel.prompts) == asked
    assert label(call)["missing"] == 0
    assert set(world.panel.asked.values()) == {1}
    assert len(world.panel.prompts) == 60


def test_a_verdict_that_was_lost_is_asked_for_again_only_on_demand(world: World, call: Run) -> None:
    label(call)
    verdicts = world.folder / "labels.verdicts.jsonl"
    *whole, last = verdicts.read_bytes().splitlines(keepends=True)
    verdicts.write_bytes(b"".join(whole) + last[:20])  # killed while it wrote
    store = world.open_store()
    with store._writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE own_calls SET outcome = NULL, cost_usd = NULL WHERE item = '{json.loads(last)['key']}'"
        )
    store.close()
    facts = label(call)
    assert (facts["lost"], facts["judged_now"], facts["missing"], facts["labels"]) == (1, 0, 1, 59)
    facts = label(call, "--retry-lost")
    assert (facts["lost"], facts["judged_now"], facts["missing"]) == (0, 1, 0)
    assert Counter(Counter(world.panel.prompts).values()) == {1: 59, 2: 1}


def test_an_answer_without_a_verdict_has_no_label_and_is_not_judged_again(world: World, call: Run) -> None:
    world.panel.is_silent = True
    facts = label(call, "--pick", "2")
    assert (facts["labels"], facts["missing"], facts["judged_now"]) == (0, 4, 4)
    assert label(call, "--pick", "2")["judged_now"] == 0


def test_queries_are_picked_from_the_log(world: World, call: Run) -> None:
    with Router.open(world.settings) as router:
        for i in (*range(20), *range(20)):
            router.route(f"logged {i}")
        router.route("a first turn", conversation="talk")
        router.route("and why?", conversation="talk")
        router.route("forced", override="a")
    assert label(call, "--from-log", "--pick", "5")["labels"] == 10
    few = {row["text"] for row in world.read_labels()}
    assert label(call, "--from-log", "--pick", "100")["labels"] == 42
    texts = {row["text"] for row in world.read_labels()}
    assert few < texts == {*(f"logged {i}" for i in range(20)), "a first turn"}
    assert set(world.panel.asked.values()) == {1}


def test_a_log_without_texts_says_what_logs_them(world: World, call: Run) -> None:
    world.settings.write_text(world.settings.read_text().replace("log_queries = true", ""))
    with Router.open(world.settings) as router:
        router.route("not kept")
    refused = call(*LABEL, "--budget", "1", "--from-log", "--pick", "5").error
    assert "set log_queries = true under [router]" in refused
    assert world.panel.asked.total() == 0


def test_what_cannot_be_is_refused_before_anything_is_asked(world: World, call: Run) -> None:
    budget = ("--budget", "1")
    asked = ("--queries", "queries.csv", *budget)
    assert "it judges the others" in call("label", "--arms", "a,judge", "--judge", *asked).error
    assert "--from-log is needed, not both" in call(*LABEL, *asked, "--from-log").error
    assert "--from-log is needed, not both" in call(*LABEL, *budget).error
    assert "how many queries" in call(*LABEL, *budget, "--from-log").error
    plain = ("label", "--arms", "a,b", *budget)
    assert "with --judge" in call(*plain, "--from-log", "--pick", "3").error
    assert "with --judge" in call(*plain, "--queries", "queries.csv").error
    world.settings.write_text(world.settings.read_text().replace('arm = "judge"', ""))
    assert "under [judge]" in call(*LABEL, *asked).error
    assert world.panel.asked.total() == 0
