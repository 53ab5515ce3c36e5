"""Results as JSON: all of them, and nothing that JSON has no word for."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.estimators import ESTIMATORS
from bandit_router.evaluation.report.as_json import evaluation_json, json_value, simulation_json
from bandit_router.evaluation.report.statistics import paired_difference
from tests.evaluation.reports import a_simulation, an_evaluation, with_utility


def there_and_back(found: dict[str, Any]) -> dict[str, Any]:
    """As another program reads it."""
    back: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    assert back == found
    return back


@pytest.mark.parametrize("missing", [(), ("quality",), ("reward", "quality", "cost_usd")])
@pytest.mark.parametrize("rows", [160, 2000])
def test_every_figure_of_an_evaluation_is_there(rows: int, missing: tuple[str, ...]) -> None:
    evaluation = an_evaluation(rows, missing=missing)
    found = there_and_back(evaluation_json(evaluation))
    assert found["kind"] == "evaluation"
    assert found["rows"] == rows
    assert found["cost_weight"] == pytest.approx(20.0)
    for answer, mine in zip(evaluation.answers, found["policies"], strict=True):
        assert (mine["name"], mine["role"], mine["of"]) == (
            answer.question.name, answer.question.role, answer.question.of,
        )  # fmt: skip
        assert mine["estimates"].keys() == ESTIMATORS.keys() == mine["utility"].keys()
        for name in ESTIMATORS:
            assert mine["utility"][name] == evaluation.value(answer, name)
            for outcome, figure in answer.estimates[name].items():
                entry = mine["estimates"][name][outcome]
                refusals = entry.pop("refusals")
                expected = dict.fromkeys(entry) if figure is None else figure._asdict()
                assert list(entry) == ["value", "standard_error", "low", "high", "rows"]
                assert entry == expected
                told = [(r["code"], r["reason"], r["cure"]) for r in refusals]
                assert told == [(r.code, r.reason, r.cure) for r in answer.refused(name, outcome)]
        assert mine["shares"] == answer.shares.tolist()


def test_diagnostics_are_there_in_full() -> None:
    evaluation = an_evaluation()
    found = there_and_back(evaluation_json(evaluation))["policies"][1]["diagnostics"]
    real = evaluation.answers[1].diagnostics
    assert found["misfit"] == real.misfit
    assert found["arms"]["huge"] == real.arms["huge"]._asdict()
    outcome = found["outcomes"]["cost_usd"]
    assert outcome["ess"] == real.outcomes["cost_usd"].ess
    figure = real.outcomes["cost_usd"].clipped[10.0]
    assert figure is not None
    assert outcome["clipped"]["10"] == figure._asdict()
    bias = real.outcomes["cost_usd"].model_bias
    assert bias is not None
    assert outcome["model_bias"] == bias._asdict()


def test_the_best_fixed_model_is_named_or_null() -> None:
    assert evaluation_json(an_evaluation())["best_fixed"]["dr"] == "fixed:medium"
    assert evaluation_json(an_evaluation(160))["best_fixed"]["dr"] is None


def test_every_seed_of_a_simulation_is_there() -> None:
    simulation = a_simulation()
    found = there_and_back(simulation_json(simulation))
    assert (found["kind"], found["seeds"], found["queries"]) == ("simulation", 3, 250)
    for one, mine in zip(simulation.contenders, found["policies"], strict=True):
        assert (mine["name"], mine["role"]) == (one.name, one.role)
        for name in ("quality", "cost_usd", "utility", "last", "gap"):
            values = one.values(name)
            assert mine["by_seed"][name] == values.tolist()
            assert mine["mean"][name] == values.mean()
            assert mine["standard_deviation"][name] == values.std(ddof=1)
        assert mine["worst_seed"] == {"utility": one.values("utility").min(), "gap": one.values("gap").max()}
        curve, curves = mine["curve"], one.values("curve")
        assert curve["query"][0] == 1
        assert curve["query"][-1] == 250
        assert curve["mean"] == curves.mean(axis=0).tolist()
        assert curve["low"] == curves.min(axis=0).tolist()
        assert curve["high"] == curves.max(axis=0).tolist()
        assert len(mine["shares"][0]) == 3


def test_paired_differences_are_there() -> None:
    simulation = a_simulation()
    mine = {one["name"]: one for one in simulation_json(simulation)["policies"]}
    less = mine["thompson"]["utility_less"]
    assert set(less) == {"best fixed", "uniform", "blind mix", "shuffled"}
    found = paired_difference(
        simulation.named("thompson").values("utility"),
        simulation.named("thompson, queries shuffled").values("utility"),
    )
    assert found.reach is not None
    assert less["shuffled"] == {
        "mean": found.mean, "low": found.mean - found.reach, "high": found.mean + found.reach, "seeds": 3,
    }  # fmt: skip
    assert "utility_less" not in mine["uniform"]


def test_one_seed_has_no_spread() -> None:
    found = there_and_back(simulation_json(a_simulation(seeds=1)))
    thompson = next(one for one in found["policies"] if one["name"] == "thompson")
    assert thompson["standard_deviation"]["utility"] is None
    assert thompson["utility_less"]["uniform"]["low"] is None


def test_what_is_not_finite_is_null() -> None:
    odd = {
        "a": math.nan,
        2.5: np.array([math.inf, 1.0]),
        "b": (np.int64(3), np.float64(0.5), None, "text", True),
    }
    assert json_value(odd) == {"a": None, "2.5": [None, 1.0], "b": [3, 0.5, None, "text", True]}
    broken = with_utility(a_simulation(), "thompson", [math.nan, math.inf, 0.0])
    there_and_back(simulation_json(broken))
    there_and_back(evaluation_json(replace(an_evaluation(), cost_weight=math.inf)))
