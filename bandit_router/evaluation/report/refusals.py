"""Refused figures: each reason once, with the figures it concerns and its cure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators import Figure
from bandit_router.evaluation.gate import Refusal
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.formatting import join_names, printable

FORCED = "Figures marked ! are refused, and shown because of --force:"


class RefusedFigures(NamedTuple):
    """A reason and its cure, with the figures that it refuses: these outcomes of these policies."""

    policies: tuple[str, ...]
    outcomes: tuple[str, ...]
    reason: str
    cure: str
    of_all: bool

    @property
    def figures(self) -> str:
        """The refused figures in words: whose they are, and of which outcomes."""
        whose = "every policy" if self.of_all else join_names([printable(name) for name in self.policies])
        return f"{whose}, {join_names(list(self.outcomes))}"


def evaluation_refusals(evaluation: Evaluation, estimator: str) -> list[RefusedFigures]:
    """The refused figures of one estimator, each reason once."""
    refusals = (
        (answer.question.name, outcome, refusal)
        for answer in evaluation.answers
        for outcome in OUTCOMES
        for refusal in answer.refused(estimator, outcome)
    )
    return _group_by_reason(refusals, len(evaluation.answers))


def replay_refusals(replays: Mapping[str, Sequence[ReplayResult]]) -> list[RefusedFigures]:
    """The refused figures of the replays, each reason once."""
    refusals = (
        (name, outcome, refusal)
        for name, runs in replays.items()
        for outcome in OUTCOMES
        for refusal in refusals_over_replays(runs, outcome)
    )
    return _group_by_reason(refusals, len(replays))


def _group_by_reason(refusals: Iterable[tuple[str, str, Refusal]], policies: int) -> list[RefusedFigures]:
    """Each reason once, from (policy, outcome, refusal); ``policies`` is the number of all policies."""
    outcomes: dict[tuple[str, str, str], list[str]] = {}
    for policy, outcome, refusal in refusals:
        key = (printable(refusal.reason), printable(refusal.cure), policy)
        outcomes.setdefault(key, []).append(outcome)
    names: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (reason, cure, policy), refused in outcomes.items():
        names.setdefault((reason, cure, tuple(dict.fromkeys(refused))), []).append(policy)
    return [
        RefusedFigures(tuple(whose), refused, reason, cure, len(whose) == policies > 1)
        for (reason, cure, refused), whose in names.items()
    ]


def refusals_over_replays(runs: Sequence[ReplayResult], outcome: str) -> list[Refusal]:
    """The refusals of a policy's figure over its replays: a single refused replay refuses it.

    The reasons are those of the refused replay with the fewest rows with feedback.
    """
    refused = [run for run in runs if run.refused(outcome)]
    return min(refused, key=lambda run: run.feedback[outcome]).refused(outcome) if refused else []


def accepted_figure(answer: Answer, estimator: str, outcome: str) -> Figure | None:
    """The figure of an answer; None if it is refused or missing."""
    return None if answer.refused(estimator, outcome) else answer.estimates[estimator][outcome]


def require_estimator(evaluation: Evaluation, estimator: str) -> None:
    """Raise InvalidInput, which lists the estimators, unless the evaluation has this estimator."""
    estimators = list(evaluation.answers[0].estimates)
    if estimator not in estimators:
        fix = f"use one of {', '.join(estimators)}"
        raise InvalidInput("estimator", f"{estimator!r} was not asked for", fix)
