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
from bandit_router.evaluation.report.curves import curve_of, queries_at
from bandit_router.evaluation.report.paired import Difference
from bandit_router.evaluation.report.played import best_overall, sd
from bandit_router.evaluation.report.verdicts import differences
from bandit_router.evaluation.simulation.simulate import Contender, Simulation

PER_SEED = ("quality", "cost_usd", "utility", "last", "gap")


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Every figure of every estimator with what speaks against it, the diagnostics, and shares over time.

    Costs are USD per query. ``shares`` has a row for each block of time and a column for each of ``arms``.
    """
    estimators = list(evaluation.answers[0].estimates)
    best = {name: evaluation.best_fixed(name) for name in estimators}
    return {
        "kind": "evaluation",
        "arms": list(evaluation.arms),
        "rows": evaluation.rows,
        "cost_weight": plain(evaluation.cost_weight),
        "best_fixed": {name: one.question.name if one else None for name, one in best.items()},
        "policies": [_answer(evaluation, answer) for answer in evaluation.answers],
    }


def _answer(evaluation: Evaluation, answer: Answer) -> dict[str, Any]:
    question = answer.question
    return {
        "name": question.name,
        "role": question.role,
        "of": question.of,
        "estimates": {
            name: {outcome: _figure(answer, name, outcome) for outcome in OUTCOMES}
            for name in answer.estimates
        },
        "utility": {name: plain(evaluation.value(answer, name)) for name in answer.estimates},
        "diagnostics": plain(answer.diagnostics),
        "shares": plain(answer.shares),
    }


def _figure(answer: Answer, estimator: str, outcome: str) -> dict[str, Any]:
    found = answer.estimates[estimator][outcome]
    refusals = [
        {"code": one.code, "reason": one.reason, "cure": one.cure}
        for one in answer.refused(estimator, outcome)
    ]
    return {**{name: plain(getattr(found, name, None)) for name in Figure._fields}, "refusals": refusals}


def simulation_json(simulation: Simulation) -> dict[str, Any]:
    """Every contender, seed by seed and over the seeds, with learning curves, shares and paired differences.

    Costs are USD per query; curves are of the cumulative gap at the query numbers ``curve.query``.
    """
    return {
        "kind": "simulation",
        "name": simulation.name,
        "arms": list(simulation.arms),
        "queries": simulation.queries,
        "seeds": simulation.seeds,
        "cost_weight": plain(simulation.cost_weight),
        "best_fixed": best_overall(simulation).name,
        "policies": [_contender(simulation, one) for one in simulation.contenders],
    }


def _contender(simulation: Simulation, one: Contender) -> dict[str, Any]:
    values = {name: one.values(name) for name in PER_SEED}
    curve = curve_of(one)
    found = {
        "name": one.name,
        "role": one.role,
        "of": one.policy if one.policy != one.name else None,
        "by_seed": plain(values),
        "mean": {name: plain(v.mean()) for name, v in values.items()},
        "standard_deviation": {name: plain(sd(v)) for name, v in values.items()},
        "worst_seed": {"utility": plain(values["utility"].min()), "gap": plain(values["gap"].max())},
        "curve": {"query": plain(queries_at(simulation.queries)), **plain(curve)},
        "shares": plain(one.values("shares").mean(axis=0)),
    }
    if one.role == "policy":
        against = differences(simulation, one)
        found["utility_less"] = {role: _difference(d) for role, d in against.items()}
    return found


def _difference(found: Difference) -> dict[str, Any]:
    reach = found.reach
    return {
        "mean": plain(found.mean),
        "low": None if reach is None else plain(found.mean - reach),
        "high": None if reach is None else plain(found.mean + reach),
        "seeds": found.seeds,
    }


def plain(value: Any) -> Any:
    """The value in JSON types: records become objects, arrays lists, and what is not finite null."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {f"{key:g}" if isinstance(key, float) else str(key): plain(v) for key, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    return value
