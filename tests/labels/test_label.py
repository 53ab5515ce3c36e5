"""`label` asks each arm each query once, whatever happens between, and pays no more than its budget."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bandit_router import cli
from bandit_router.cli.data_options import DataOptions
from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.store.own_calls import OwnCall
from bandit_router.store.store import Store
from bandit_router.types import CallOutcome, Usage
from tests.cli.conftest import Run
from tests.gateway.conftest import arms_to
from tests.processes import PROCESSES
from tests.providers.upstream import wait_until
from tests.services import clean_environment

USD = (10 * 1.0 + 5 * 2.0) / 1e6
"""What an answer of "a" costs; one of "b" costs ten times that."""

HANGS = 3_600.0


@dataclass
class Oracle:
    """Answers sums: "b" all, "a" those up to 4 + 1. After ``hangs_from`` answers it hangs."""

    broken: str | None = None
    hangs_from: int = 10**9
    refusals: Counter[str] = field(default_factory=Counter)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __call__(self, request: ScriptedRequest) -> Scene:
        text = request.fields()["messages"][0]["content"]
        if self.refusals[text] > 0:
            self.refusals[text] -= 1
            return Scene(status=429, headers={"retry-after": "0.01"})
        if request.model == self.broken:
            return Scene(status=400)
        self.asked[request.model, text] += 1
        hangs = self.asked.total() > self.hangs_from
        right = request.model == "b-model" or text < "5"
        return Scene(
            pieces=(str(int(text[0]) + 1) if right else "no idea",),
            usage=Usage(input_tokens=10, output_tokens=5),
            first_token_s=HANGS if hangs else 0.0,
        )


@dataclass(frozen=True)
class World:
    folder: Path
    oracle: Oracle
    url: str

    def read_calls(self) -> list[OwnCall]:
        run = json.loads((self.folder / "labels.answers.jsonl").read_bytes().splitlines()[0])["run"]
        store = Store.open(self.url, "default")
        try:
            return store.own_calls(run)
        finally:
            store.close()

    def read_labels(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "labels.jsonl").read_bytes().splitlines()]


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    """Nine sums to ask two arms, on each kind of database."""
    oracle = Oracle()
    with arms_to(tmp_path, {"a": oracle, "b": oracle}) as (settings, _):
        settings.write_text(settings.read_text().replace(f"sqlite:///{tmp_path}/router.db", url))
        rows = [f"{i} + 1?,{i + 1}" for i in range(9)]
        (tmp_path / "queries.csv").write_text("\n".join(["query,reference", *rows]) + "\n")
        yield World(tmp_path, oracle, url)


LABEL = ("label", "--queries", "queries.csv", "--arms", "a,b", "--json")


def label(call: Run, *options: str, budget: float = 1.0) -> dict[str, Any]:
    done = call(*LABEL, "--budget", str(budget), *options)
    assert done.code == 0, done.err
    facts: dict[str, Any] = json.loads(done.out)
    return facts


def test_every_arm_is_asked_once_and_the_labels_can_be_loaded(world: World, call: Run) -> None:
    assert label(call)["labels"] == 18
    facts = label(call)
    assert (facts["answered_now"], facts["missing"], facts["lost"]) == (0, 0, 0)
    assert facts["spent_usd"] == pytest.approx(9 * 11 * USD)
    assert set(world.oracle.asked.values()) == {1}
    dataset = DataOptions().load(str(world.folder / "labels.jsonl"))
    assert dataset.models == ("a", "b")
    assert dataset.quality.mean(axis=0).tolist() == pytest.approx([5 / 9, 1.0])
    assert dataset.cost_usd.mean(axis=0).tolist() == pytest.approx([USD, 10 * USD])
    assert dataset.output_tokens is not None
    assert {call.result and call.result.outcome for call in world.read_calls()} == {CallOutcome.ANSWERED}


def test_a_pick_goes_on_to_all(world: World, call: Run) -> None:
    assert label(call, "--pick", "4")["labels"] == 8
    assert label(call)["answered_now"] == 10
    assert set(world.oracle.asked.values()) == {1}


def test_a_budget_is_exceeded_by_no_more_than_a_call(world: World, call: Run) -> None:
    budget = 30 * USD
    facts = label(call, "--max-output-tokens", "5", budget=budget)
    assert facts["budget_spent"]
    worst_usd = max(each.counted_usd for each in world.read_calls())
    assert facts["spent_usd"] < budget + worst_usd
    spent_usd = facts["spent_usd"]
    assert spent_usd == pytest.approx(sum(each.counted_usd for each in world.read_calls()))
    asked = world.oracle.asked.total()
    assert label(call, "--max-output-tokens", "5", budget=budget)["answered_now"] == 0
    assert world.oracle.asked.total() == asked
    assert label(call)["missing"] == 0
    assert set(world.oracle.asked.values()) == {1}


@pytest.mark.usefixtures("world")
def test_the_worst_cases_of_calls_under_way_stop_nothing_for_good(call: Run) -> None:
    worst_usd = 4096 * 20.0 / 1e6
    facts = label(call, "--concurrency", "8", budget=1.5 * worst_usd)
    assert (facts["missing"], facts["budget_spent"]) == (0, False)


def test_what_upstream_refuses_for_now_is_asked_again(world: World, call: Run) -> None:
    world.oracle.refusals.update({"3 + 1?": 2})
    facts = label(call)
    assert (facts["missing"], facts["failures"]) == (0, [])
    assert facts["spent_usd"] == pytest.approx(9 * 11 * USD)


def test_an_arm_that_always_fails_is_given_up(world: World, call: Run) -> None:
    world.oracle.broken = "b-model"
    facts = label(call, "--concurrency", "1")
    [failure] = facts["failures"]
    assert (failure["arm"], failure["questions"], facts["missing"]) == ("b", 5, 9)
    assert facts["spent_usd"] == pytest.approx(9 * USD)
    world.oracle.broken = None
    assert label(call)["answered_now"] == 9


def run_label(folder: Path) -> None:
    """`bandit-router label`, in this process."""
    os.chdir(folder)
    os.environ.update(clean_environment())
    sys.argv = ["bandit-router", *LABEL, "--budget", "1"]
    cli.main()


def test_killed_and_started_again_it_pays_for_nothing_twice(world: World, call: Run) -> None:
    world.oracle.hangs_from = 7
    process = PROCESSES.Process(target=run_label, args=(world.folder,), daemon=True)
    process.start()
    try:
        wait_until(lambda: world.oracle.asked.total() == 11)  # four of them hang
        wait_until(lambda: len((world.folder / "labels.answers.jsonl").read_bytes().splitlines()) == 1 + 7)
    finally:
        process.kill()
        process.join(60.0)
    assert sum(each.result is None for each in world.read_calls()) == 4
    world.oracle.hangs_from = 10**9

    facts = label(call)
    assert (facts["lost"], facts["missing"], facts["answered_now"]) == (4, 4, 7)
    assert set(world.oracle.asked.values()) == {1}
    outcomes = Counter(each.result.outcome for each in world.read_calls() if each.result)
    assert outcomes == {CallOutcome.ANSWERED: 14, CallOutcome.LOST: 4}

    facts = label(call, "--retry-lost")
    assert (facts["lost"], facts["missing"], facts["answered_now"]) == (0, 0, 4)
    assert Counter(world.oracle.asked.values()) == {1: 14, 2: 4}
    assert len(world.read_labels()) == 18


def test_an_answer_on_disk_whose_call_did_not_end_is_not_asked_again(world: World, call: Run) -> None:
    label(call)
    [*_, last] = world.read_calls()
    store = Store.open(world.url, "default")
    with store._writing() as connection:
        connection.exec_driver_sql("UPDATE own_calls SET outcome = NULL, cost_usd = NULL")
    store.close()
    facts = label(call)
    assert (facts["lost"], facts["answered_now"]) == (0, 0)
    [*_, again] = world.read_calls()
    assert again == last


def test_options_that_cannot_be_are_refused_before_anything_is_asked(world: World, call: Run) -> None:
    assert "has 'c', which is no arm; use a, b" in call(*LABEL[:3], "--arms", "a,c", "--budget", "1").error
    assert "budget" in call(*LABEL, "--budget", "0").error
    assert ".jsonl" in call(*LABEL, "--budget", "1", "--out", "labels.csv").error
    (world.folder / "labels.jsonl").write_text("mine")
    assert "labels.answers.jsonl is not beside it" in call(*LABEL, "--budget", "1").error
    assert world.oracle.asked.total() == 0
