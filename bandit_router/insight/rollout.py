"""A rollout as its owner sees it: the stage under way, candidate against incumbent, and what to do next.

This module says what there is, and reads and writes its stored form;
:mod:`bandit_router.insight.rollout_estimate` computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from bandit_router.evaluation.rollout_sample import AnytimeInterval, BranchMeans, RolloutComparison
from bandit_router.router import Router

KIND = "rollout"
"""The kind of estimate that is stored."""

OUTCOMES = ("quality", "cost_usd", "utility")
"""What candidate and incumbent are compared on."""


class Action(StrEnum):
    """What is recommended."""

    ADVANCE = "advance"
    WAIT = "wait"
    ABORT = "abort"
    FINISH = "finish"


class Recommendation(NamedTuple):
    """What to do, and why, in words.

    ``requests`` is about how many more rated ones a verdict needs, and ``days`` the time until then at the
    present rate; None where that cannot be said.
    """

    action: Action
    why: str
    requests: int | None = None
    days: float | None = None


class Expectation(NamedTuple):
    """What is expected of the candidate before it has traffic, from what was learned; no evidence of it.

    ``agreement`` is the probability that it chooses what the incumbent chose, the others are its expected
    quality and cost (USD) less the incumbent's, over ``n`` requests.
    """

    n: int
    agreement: float
    quality: float
    cost_usd: float


class StageRecord(NamedTuple):
    """A stage: the candidate's share of traffic since a Unix time, and why it began."""

    id: int
    share: float
    since: float
    aborted: bool
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutStatus:
    """A rollout at ``made_at``, Unix time. ``stages`` has its history, the last is under way.

    ``at_stage`` compares by the stage under way, ``over_all`` by all stages. ``waiting`` requests of the
    stage are too young to be judged: feedback usually comes within ``usual_delay_s``, None while nobody
    knows.
    """

    made_at: float
    incumbent: str
    candidate: str
    unit: str
    stages: tuple[StageRecord, ...]
    usual_delay_s: float | None
    waiting: int
    expectation: Expectation | None
    at_stage: RolloutComparison
    over_all: RolloutComparison
    recommendation: Recommendation

    @property
    def stage(self) -> StageRecord:
        """The stage under way."""
        return self.stages[-1]


def rollout_facts(status: RolloutStatus) -> dict[str, Any]:
    """All of it as JSON has it: this is what is stored, and what programs read."""
    facts = asdict(status)
    facts["stages"] = [stage._asdict() for stage in status.stages]
    for name in ("expectation", "recommendation"):
        value = getattr(status, name)
        facts[name] = None if value is None else value._asdict()
    for name in ("at_stage", "over_all"):
        facts[name] = _comparison_facts(getattr(status, name))
    return facts


def read_rollout(facts: Mapping[str, Any]) -> RolloutStatus:
    """The status of :func:`rollout_facts`."""
    said = facts["recommendation"]
    expectation = facts["expectation"]
    return RolloutStatus(
        **{
            **facts,
            "stages": tuple(StageRecord(**stage) for stage in facts["stages"]),
            "expectation": None if expectation is None else Expectation(**expectation),
            "at_stage": _read_comparison(facts["at_stage"]),
            "over_all": _read_comparison(facts["over_all"]),
            "recommendation": Recommendation(**{**said, "action": Action(said["action"])}),
        }
    )


def find_rollout(router: Router) -> RolloutStatus | None:
    """The newest status that the router has; None if there is none yet. Raises StoreError."""
    stored = router.estimate(KIND)
    return None if stored is None else read_rollout(stored.body)


def _comparison_facts(comparison: RolloutComparison) -> dict[str, Any]:
    facts: dict[str, Any] = {"alpha": comparison.alpha}
    for name in ("incumbent", "candidate", *OUTCOMES):
        value = getattr(comparison, name)
        facts[name] = None if value is None else value._asdict()
    return facts


def _read_comparison(facts: Mapping[str, Any]) -> RolloutComparison:
    means = {name: BranchMeans(**facts[name]) for name in ("incumbent", "candidate")}
    intervals = {name: facts[name] and AnytimeInterval(**facts[name]) for name in OUTCOMES}
    return RolloutComparison(**{"alpha": facts["alpha"], **means, **intervals})
