"""Results for programs: plain JSON types, every number finite or null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators import Figure
from bandit_router.evaluation.report.charts.over_time import curve_query_numbers, gap_curve
from bandit_router.evaluation.report.contenders import best_fixed_contender
from bandit_router.evaluation.report.statistics import Difference, standard_deviation
from bandit_router.evaluation.report.verdicts import utility_differences
from bandit_router.evaluation.simulation.simulate import Contender, Simulation

PER_SEED = ("quality", "cost_usd", "utility", "last", "gap")


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON: every estimator's figures with their refusals, diagnostics, shares over time.

    Costs are USD per query. ``shares`` has a row for each block of time and a column for each of ``arms``.
    """
    estimators = list(evaluation.answers[0].estimates)
    best = {name: evaluation.best_fixed(name) for name in estimators}
    return {
        "kind": "evaluation",
        "arms": list(evaluation.arms),
        "rows": evaluation.rows,
        "cost_weight": json_value(evaluation.cost_weight),
        "best_fixed": {name: answer.question.name if answer else None for name, answer in best.items()},
        "policies": [_answer_json(evaluation, answer) for answer in evaluation.answers],
    }


def _answer_json(evaluation: Evaluation, answer: Answer) -> dict[str, Any]:
    question = answer.question
    return {
        "name": question.name,
        "role": question.role,
        "of": question.of,
        "estimates": {
            name: {outcome: _figure_json(answer, name, outcome) for outcome in OUTCOMES}
            for name in answer.estimates
        },
        "utility": {name: json_value(evaluation.value(answer, name)) for name in answer.estimates},
        "diagnostics": json_value(answer.diagnostics),
        "shares": json_value(answer.shares),
    }


def _figure_json(answer: Answer, estimator: str, outcome: str) -> dict[str, Any]:
    figure = answer.estimates[estimator][outcome]
    refusals = [
        {"code": refusal.code, "reason": refusal.reason, "cure": refusal.cure}
        for refusal in answer.refused(estimator, outcome)
    ]
    return {
        **{name: json_value(getattr(figure, name, None)) for name in Figure._fields},
        "refusals": refusals,
    }


def simulation_json(simulation: Simulation) -> dict[str, Any]:
    """A simulation as JSON: every contender by seed and over seeds, curves, shares, paired differences.

    Costs are USD per query; curves are of the cumulative gap at the query numbers ``curve.query``.
    """
    return {
        "kind": "simulation",
        "name": simulation.name,
        "arms": list(simulation.arms),
        "queries": simulation.queries,
        "seeds": simulation.seeds,
        "cost_weight": json_value(simulation.cost_weight),
        "best_fixed": best_fixed_contender(simulation).name,
        "policies": [_contender_json(simulation, contender) for contender in simulation.contenders],
    }


def _contender_json(simulation: Simulation, contender: Contender) -> dict[str, Any]:
    values = {name: contender.values(name) for name in PER_SEED}
    curve = gap_curve(contender)
    facts = {
        "name": contender.name,
        "role": contender.role,
        "of": contender.policy if contender.policy != contender.name else None,
        "by_seed": json_value(values),
        "mean": {name: json_value(v.mean()) for name, v in values.items()},
        "standard_deviation": {name: json_value(standard_deviation(v)) for name, v in values.items()},
        "worst_seed": {
            "utility": json_value(values["utility"].min()),
            "gap": json_value(values["gap"].max()),
        },
        "curve": {"query": json_value(curve_query_numbers(simulation.queries)), **json_value(curve)},
        "shares": json_value(contender.values("shares").mean(axis=0)),
    }
    if contender.role == "policy":
        against = utility_differences(simulation, contender)
        facts["utility_less"] = {role: _difference_json(d) for role, d in against.items()}
    return facts


def _difference_json(difference: Difference) -> dict[str, Any]:
    reach = difference.reach
    return {
        "mean": json_value(difference.mean),
        "low": None if reach is None else json_value(difference.mean - reach),
        "high": None if reach is None else json_value(difference.mean + reach),
        "seeds": difference.seeds,
    }


def json_value(value: Any) -> Any:
    """The value in JSON types: records become objects, arrays lists, numbers that are not finite null."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if is_dataclass(value):
        return {field.name: json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return json_value(value._asdict())
    if isinstance(value, Mapping):
        return {f"{key:g}" if isinstance(key, float) else str(key): json_value(v) for key, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(v) for v in value]
    return value
