"""The alert rules and the Grafana dashboard in docs/ ask for what is exported, and for labels that it has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bandit_router.server.metrics.log import render_log
from bandit_router.server.metrics.process import ProcessFigures
from bandit_router.store.rollups.measures import MEASURES
from bandit_router.store.rollups.reader import RollupRow

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
_SELECTOR = re.compile(r"(bandit_router_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_BY = re.compile(r"by \(([^)]*)\)")


def exported() -> dict[str, set[str]]:
    """The labels of each sample that /metrics can have, by its name."""
    figures = ProcessFigures()
    figures.count_request("POST", "/v1/route", 200, 0.1)
    figures.set_cooling(["a"], [])
    text = figures.render() + render_log(
        [RollupRow(hour=0, arm="a", reason="policy", measure=each, count=1) for each in MEASURES]
    )
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def expressions() -> Iterator[str]:
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    board: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_asks_for_what_is_exported(expression: str) -> None:
    check_expression(expression)


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(bandit_router_requests)",
        'bandit_router_decisions{model="a"}',
        "sum by (key) (bandit_router_decisions)",
    ],
)
def test_a_name_or_a_label_that_is_not_exported_is_found(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_expression(wrong)


def check_expression(expression: str) -> None:
    """Every metric in it is exported, with the labels that it selects and groups by."""
    names = exported()
    selectors = _SELECTOR.findall(expression)
    assert selectors
    grouped = {label.strip() for labels in _BY.findall(expression) for label in labels.split(",")}
    for name, matchers in selectors:
        assert name in names
        assert {*_LABEL.findall(matchers), *grouped} <= names[name]
