"""What a client hands out, read from the JSON of the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.router.explain import Alternative, ChainLink
from bandit_router.types import Arm, Conversation, Outcome, Reason


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedDecision:
    """Why a decision has its arm, and what followed, as :meth:`Router.explain` says it, without contexts."""

    decision: RoutedDecision
    why: str
    alternatives: tuple[Alternative, ...]
    standing: Conversation | None
    parents: tuple[ChainLink, ...]
    children: tuple[ChainLink, ...]
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutedChain:
    """The calls of a query in order, by the ids of their decisions, and their sums."""

    decision_ids: tuple[str, ...]
    expected_cost_usd: float
    cost_usd: float | None
    latency_s: float | None


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


def read_safety_status(content: Mapping[str, Any]) -> SafetyStatus:
    """How the policy stands towards its baseline."""
    return SafetyStatus(**{name: content[name] for name in _same_names(SafetyStatus, content)})


def read_explanation(content: Mapping[str, Any]) -> ExplainedDecision:
    """Why a decision has its arm."""
    standing = content["standing"]
    return ExplainedDecision(
        decision=read_decision(content),
        why=content["why"],
        alternatives=tuple(
            Alternative(*(score[name] for name in Alternative._fields)) for score in content["eligible"]
        ),
        standing=standing
        and Conversation(**{name: standing[name] for name in _same_names(Conversation, standing)}),
        parents=tuple(map(_read_link, content["parents"])),
        children=tuple(map(_read_link, content["children"])),
        metrics=content["metrics"],
    )


def read_chain(content: Mapping[str, Any]) -> RoutedChain:
    """The calls of a query."""
    told = {name: content[name] for name in _same_names(RoutedChain, content)}
    return RoutedChain(**told | {"decision_ids": tuple(content["decision_ids"])})


def read_arms(content: Iterable[Mapping[str, Any]]) -> tuple[Arm, ...]:
    """Every arm."""
    return tuple(
        Arm(
            **{name: arm[name] for name in _same_names(Arm, arm)}
            | {"capabilities": frozenset(arm["capabilities"])}
        )
        for arm in content
    )


def _read_link(link: Mapping[str, Any]) -> ChainLink:
    return ChainLink(link["decision_id"], link["arm"], Reason(link["reason"]))


def _same_names(kind: Any, content: Mapping[str, Any]) -> list[str]:
    """The fields of the kind that the answer has; a newer service may say more."""
    return [field.name for field in fields(kind) if field.name in content]
