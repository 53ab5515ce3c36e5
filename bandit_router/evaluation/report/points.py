"""Where policies and baselines lie in the plane of cost and quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.estimators import Figure
from bandit_router.evaluation.report.paired import mean_of
from bandit_router.evaluation.report.refused import believed
from bandit_router.evaluation.simulation.simulate import Simulation
from bandit_router.types import FloatArray


class Span(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class Point(NamedTuple):
    """One policy or baseline; ``cost`` in USD per 1,000 queries, ``of`` the policy it is compared to."""

    name: str
    role: str
    of: str | None
    cost: Span
    quality: Span


def estimated_points(evaluation: Evaluation, estimator: str, outcome: str) -> tuple[list[Point], list[str]]:
    """The points whose cost and ``outcome`` are believed, and the names of the others."""
    points, missing = [], []
    for answer in evaluation.answers:
        q = answer.question
        cost, quality = (believed(answer, estimator, o) for o in ("cost_usd", outcome))
        if cost is None or quality is None:
            missing.append(q.name)
        else:
            points.append(Point(q.name, q.role, q.of, _of_figure(cost, 1000.0), _of_figure(quality, 1.0)))
    return points, missing


def played_points(simulation: Simulation) -> list[Point]:
    """The points of a simulation, with intervals of the mean over seeds."""
    return [
        Point(
            one.name,
            one.role,
            None if one.role == "policy" else one.policy,
            _of_seeds(1000.0 * one.values("cost_usd")),
            _of_seeds(one.values("quality")),
        )
        for one in simulation.contenders
        if one.role != "best fixed"
    ]


def hull(points: Sequence[Point]) -> list[Point]:
    """The fixed models that query-blind mixes are made of: the upper concave hull, from cheap to dear.

    No mix of fixed models has more quality at its cost than the line through these.
    """
    fixed = sorted((p for p in points if p.role == "fixed"), key=lambda p: (p.cost.value, -p.quality.value))
    corners: list[Point] = []
    for point in fixed:
        if corners and point.quality.value <= corners[-1].quality.value:
            continue
        while len(corners) > 1 and _slope(corners[-2], point) >= _slope(corners[-2], corners[-1]):
            corners.pop()
        corners.append(point)
    return corners


def _slope(one: Point, other: Point) -> float:
    run = other.cost.value - one.cost.value
    return (other.quality.value - one.quality.value) / run if run > 0 else float("inf")


def _of_figure(found: Figure, scale: float) -> Span:
    return Span(scale * found.value, scale * found.low, scale * found.high)


def _of_seeds(values: FloatArray) -> Span:
    found = mean_of(values)
    reach = found.reach or 0.0
    return Span(found.mean, found.mean - reach, found.mean + reach)
