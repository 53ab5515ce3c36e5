"""`rules test`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.services import write_settings

QUERIES = ["Hello", "Explain it.", "Debug ```f(x)```", "Debug ```g(x)```"]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path) -> Path:
    return write_settings(tmp_path)


@pytest.fixture
def queries(tmp_path: Path) -> str:
    path = tmp_path / "queries.txt"
    path.write_text("\n\n".join(QUERIES) + "\n", encoding="utf-8")
    return str(path)


def as_json(call: Run, *arguments: str) -> Any:
    done = call("rules", "test", *arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_it_says_which_rule_fired_for_which_query_and_how_often(call: Run, queries: str) -> None:
    found = as_json(call, queries)
    assert [one["text"] for one in found["judged"]] == QUERIES
    assert [one["fired"] for one in found["judged"]] == [
        [],
        ["keywords"],
        *[["keywords", "code-or-formula"]] * 2,
    ]
    assert {one["name"]: one["fired"] for one in found["rules"]} == {
        "long": 0,
        "keywords": 3,
        "premium": 0,
        "follow-up": 0,
        "code-or-formula": 2,
    }
    assert found["verdicts"] == {"simple": 1, "uncertain": 1, "complex": 2}
    assert (found["queries"], found["expensive_share"]) == (4, 0.5)


def test_the_tables_say_the_same(call: Run, queries: str) -> None:
    done = call("rules", "test", queries, "--show", "3")
    lines = [" ".join(line.replace("│", " ").split()) for line in done.out.splitlines()]
    assert "keywords 0.5 3 75.0% 1" in lines
    assert "complex > 0.8 expensive 2 50.0%" in lines
    assert "0.50 uncertain keywords Explain it." in lines
    assert lines[-1].startswith("and 1 more")


def test_the_rules_and_thresholds_of_the_settings_are_tried(call: Run, queries: str, tmp_path: Path) -> None:
    policy = {"name": "heuristic", "cheap": "small", "expensive": "large", "low": 0.1, "high": 0.3}
    config = write_settings(tmp_path, policy=policy)
    rule = '[[rules]]\nname = "greeting"\nweight = 0.4\nkeywords = ["hello"]\n'
    config.write_text(config.read_text("utf-8") + rule, "utf-8")
    found = as_json(call, queries)
    assert (found["low"], found["high"]) == (0.1, 0.3)
    assert found["rules"] == [{"name": "greeting", "weight": 0.4, "fired": 1}]
    assert [one["verdict"] for one in found["judged"]] == ["complex", *["simple"] * 3]


def test_a_sixth_rule_is_refused_with_the_reason(call: Run, queries: str, settings: Path) -> None:
    rules = (f'[[rules]]\nname = "r{i}"\nweight = 0.1\ntier = "t"\n' for i in range(6))
    settings.write_text(settings.read_text("utf-8") + "".join(rules), "utf-8")
    error = call("rules", "test", queries).error
    assert "there are 6 rules, allowed are 5" in error
    assert "routing creep" in error


def test_a_file_without_queries_is_refused(call: Run, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("\n \n", "utf-8")
    assert "has no query" in call("rules", "test", "none.txt").error
