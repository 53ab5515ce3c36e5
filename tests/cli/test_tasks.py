"""`tasks`, and the task of `route` and `explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _settings(config: Path) -> None:
    del config


def test_a_task_is_named_listed_explained_and_renamed(call: Run) -> None:
    routed = json.loads(call("route", "Is 91 prime?", "--task", "primes", "--json").out)
    assert "task: primes" in call("explain", routed["decision_id"]).out
    listed = json.loads(call("tasks", "list", "--json").out)
    assert [(task["number"], task["name"], task["named_by_prompt"]) for task in listed] == [
        (0, "primes", False)
    ]
    call("tasks", "rename", "primes", "number theory")
    assert "number theory" in call("tasks", "list").out
    assert "task: number theory" in call("explain", routed["decision_id"]).out
    assert "task_renamed" in call("audit").out


def test_a_wrong_name_is_one_line(call: Run) -> None:
    call("route", "Is 91 prime?")
    assert call("tasks", "rename", "none", "other").error
    assert "task" in call("route", "Is 91 prime?", "--task", "x" * 201).error
