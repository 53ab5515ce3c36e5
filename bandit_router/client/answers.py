"""What a client hands out, read from the JSON of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bandit_router.objective.pacing import GoalStatus
from bandit_router.types import Outcome, Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutedDecision:
    """A logged decision, as a service tells of it: names and types are those of :class:`Decision`.

    ``provider`` and ``model`` are those of the arm. ``pmf`` has the order of ``eligible``. ``parent`` is the
    decision that a retry follows. Contexts and single costs stay with the service.
    """

    id: str
    arm: str
    provider: str
    model: str
    eligible: tuple[str, ...]
    pmf: tuple[float, ...]
    propensity: float
    reason: Reason
    policy: str
    snapshot: int
    expected_quality: float
    expected_cost_usd: float
    excluded: Mapping[str, str]
    parent: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedAnswer:
    """What became of the answer of the decision ``parent``: names are those of :class:`Escalation`.

    For a retry there is a ``decision``, whose arm gets the original query.
    """

    parent: str
    confidence: float
    p_good: float
    p_retry_good: float | None
    propensity: float
    why: str
    decision: RoutedDecision | None

    @property
    def accepted(self) -> bool:
        """Whether the answer is to be kept."""
        return self.decision is None


def read_decision(content: Mapping[str, Any]) -> RoutedDecision:
    """The decision of a route request, or of a retry. Raises KeyError or another error of its form."""
    told = {name: content[name] for name in _same_names(RoutedDecision, content)}
    return RoutedDecision(
        **told
        | {
            "id": content["decision_id"],
            "eligible": tuple(content["pmf"]),
            "pmf": tuple(content["pmf"].values()),
            "reason": Reason(content["reason"]),
        }
    )


def read_outcomes(content: Mapping[str, Any]) -> dict[str, Outcome]:
    """The outcome of each metric of feedback."""
    return {name: Outcome(outcome) for name, outcome in content["outcomes"].items()}


def read_judged_answer(content: Mapping[str, Any]) -> JudgedAnswer:
    """What became of an answer."""
    told = {name: content[name] for name in _same_names(JudgedAnswer, content)}
    retry = content["retry"]
    decision = None if retry is None else read_decision(retry)
    return JudgedAnswer(**told | {"parent": content["decision_id"], "decision": decision})


def read_goal_status(content: Mapping[str, Any]) -> GoalStatus:
    """The state of a goal."""
    return GoalStatus(**{name: content[name] for name in _same_names(GoalStatus, content)})


def _same_names(kind: Any, content: Mapping[str, Any]) -> list[str]:
    """The fields of the kind that the answer has; a newer service may say more."""
    return [field.name for field in fields(kind) if field.name in content]
