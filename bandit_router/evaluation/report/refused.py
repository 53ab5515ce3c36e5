"""Which figures are not to be believed, why, and what would cure it: every reason once."""

from __future__ import annotations

from typing import NamedTuple

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators import Figure
from bandit_router.evaluation.report.words import clean, listed

FORCED = "Figures marked ! are refused, and shown because of --force:"


class Refused(NamedTuple):
    """One reason, and the figures it speaks against: these outcomes of these policies."""

    policies: tuple[str, ...]
    outcomes: tuple[str, ...]
    reason: str
    cure: str
    of_all: bool

    @property
    def figures(self) -> str:
        """Whose figures they are, in words."""
        whose = "every policy" if self.of_all else listed([clean(name) for name in self.policies])
        return f"{whose}, {listed(list(self.outcomes))}"


def all_refused(evaluation: Evaluation, estimator: str) -> list[Refused]:
    """What is refused of this estimator's figures: a reason that several share is given once."""
    outcomes: dict[tuple[str, str, str], list[str]] = {}
    for answer in evaluation.answers:
        for outcome in OUTCOMES:
            for refusal in answer.refused(estimator, outcome):
                key = (clean(refusal.reason), clean(refusal.cure), answer.question.name)
                outcomes.setdefault(key, []).append(outcome)
    policies: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (reason, cure, policy), concerned in outcomes.items():
        policies.setdefault((reason, cure, tuple(dict.fromkeys(concerned))), []).append(policy)
    return [
        Refused(tuple(names), concerned, reason, cure, len(names) == len(evaluation.answers) > 1)
        for (reason, cure, concerned), names in policies.items()
    ]


def believed(answer: Answer, estimator: str, outcome: str) -> Figure | None:
    """The figure, unless it is refused or there is none."""
    return None if answer.refused(estimator, outcome) else answer.estimates[estimator][outcome]


def require_estimator(evaluation: Evaluation, estimator: str) -> None:
    """InvalidInput names the estimators there are, unless this is one of them."""
    known = list(evaluation.answers[0].estimates)
    if estimator not in known:
        raise InvalidInput("estimator", f"{estimator!r} was not asked for", f"use one of {', '.join(known)}")
