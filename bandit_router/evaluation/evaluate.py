"""From a log and some policies to a table: two passes over the log, and a third for blind baselines.

Everything that is gathered on a pass is a sum over pieces of the log, so a log larger than memory takes no
more than a small one, and :mod:`bandit_router.evaluation.parallel` may spread the pieces anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.blind import mix_at_cost, tilt_to_cost
from bandit_router.evaluation.diagnostics import NEEDS, Diagnostics, DiagnosticSums, diagnose, examine
from bandit_router.evaluation.estimators import ESTIMATORS, Estimate, Estimator, Evidence, prepare
from bandit_router.evaluation.estimators.evidence import Grouping, LogSums, Nuisance
from bandit_router.evaluation.gate import Refusal, gate
from bandit_router.evaluation.logs.block import BlockSource
from bandit_router.evaluation.parallel import total
from bandit_router.evaluation.targets import FoldPosteriors, Mix, believe, is_blind, learn_folds, target_pmf
from bandit_router.policies import Policy
from bandit_router.policies.bandit import Fixed, Uniform
from bandit_router.posterior import Posterior
from bandit_router.types import FloatArray

BLOCKS = 20
"""Blocks of time in which the shares of the arms are shown."""

PASSES = 3
"""How often a log is read."""

Role = Literal["logged", "policy", "fixed", "uniform", "blind mix", "shuffled"]


class Question(NamedTuple):
    """A policy to be evaluated: its name in the table, what it is there, the policy it is compared to.

    ``policy`` is None for what was logged.
    """

    name: str
    role: Role
    policy: Policy | None
    of: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the log says of one policy. ``shares`` (BLOCKS, K) of the arms over time."""

    question: Question
    estimates: Mapping[str, Estimate]
    diagnostics: Diagnostics
    refusals: Sequence[Refusal]
    shares: FloatArray

    def refused(self, estimator: str, outcome: str) -> list[Refusal]:
        """Why not to believe this figure; empty when nothing speaks against it."""
        return [refusal for refusal in self.refusals if refusal.concerns(estimator, outcome)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The answers, and the number of ``rows`` they rest on. ``cost_weight`` is the λ of utility, in 1/USD."""

    arms: tuple[str, ...]
    rows: int
    cost_weight: float
    answers: tuple[Answer, ...]

    def value(self, answer: Answer, estimator: str) -> float | None:
        """Utility: reward − λ · cost; None where either is unknown."""
        found = answer.estimates[estimator]
        reward, cost = found["reward"], found["cost_usd"]
        if reward is None or (cost is None and self.cost_weight > 0):
            return None
        return reward.value - (self.cost_weight * cost.value if cost else 0.0)

    def best_fixed(self, estimator: str) -> Answer | None:
        """The fixed model of the highest utility among those the log can answer for."""
        known = [
            (value, answer)
            for answer in self.answers
            if answer.question.role == "fixed"
            and (value := self.value(answer, estimator)) is not None
            and not answer.refused(estimator, "reward")
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else None


def evaluate(
    pieces: Sequence[BlockSource],
    arms: Sequence[str],
    policies: Mapping[str, Policy],
    *,
    rows: int,
    prior: Posterior | None,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    headline: str = "dr",
    cost_weight: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Evaluate policies on a log of ``rows`` rows, beside what was logged, every fixed model and the blind.

    ``prior`` is the router's posterior before any reward, which learning policies start from; None when
    there are none. ``cost_weight`` replaces the logged one, 1/USD. ``headline`` is the estimator whose costs
    the blind baselines are made to match. Under :func:`bandit_router.evaluation.parallel.workers` the work
    is spread.

    Raises InvalidInput for an empty log, or a learning policy without a prior.
    """
    _require_arms(policies, arms)
    policies = {name: policy for name, policy in policies.items() if not _always_there(policy)}
    chosen = {name: ESTIMATORS[name]() for name in {headline: None, **dict.fromkeys(estimators)}}
    needs: set[Grouping] = {*NEEDS, *(need for estimator in chosen.values() for need in estimator.needs)}
    scored = any(map(learns, policies.values()))
    if scored and prior is None:
        raise InvalidInput("log", "has no posterior to score policies with", "export it with one")
    first = total(
        partial(_first, needs, prior.without_evidence() if prior and scored else None), pieces, progress
    )
    second = partial(
        _answers,
        pieces,
        estimators=chosen,
        nuisance=first.log.fit(),
        held_out=first.folds.held_out() if first.folds else None,
        rows=rows,
        cost_weight=cost_weight,
        progress=progress,
    )
    questions = [
        Question("logged", "logged", None),
        *(Question(name, "policy", policy) for name, policy in policies.items()),
        *(Question(f"fixed:{arm}", "fixed", Fixed(arm)) for arm in arms),
        Question("uniform", "uniform", Uniform()),
    ]
    answers = second(questions)
    answers += second(blind) if (blind := _blind(answers, arms, headline)) else []
    mean_weight = first.cost_weight / rows if cost_weight is None else cost_weight
    return Evaluation(arms=tuple(arms), rows=rows, cost_weight=mean_weight, answers=tuple(answers))


def learns(policy: Policy) -> bool:
    """Whether what the policy does depends on rewards."""
    return not is_blind(policy)


def _always_there(policy: Policy) -> bool:
    """Whether the policy is in every table anyway."""
    return isinstance(policy, Uniform) or (isinstance(policy, Fixed) and policy.epsilon == 0.0)


def _require_arms(policies: Mapping[str, Policy], arms: Sequence[str]) -> None:
    for name, policy in policies.items():
        if isinstance(policy, Fixed) and policy.arm not in arms:
            known = ", ".join(arms)
            raise InvalidInput(f"policy {name}", f"{policy.arm!r} is not an arm", f"use one of {known}")


# -- the first pass: what does not depend on a policy ---------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _First:
    log: LogSums
    folds: FoldPosteriors | None
    cost_weight: float

    def __add__(self, other: _First) -> _First:
        return _First(
            log=self.log + other.log,
            folds=self.folds + other.folds if self.folds and other.folds else None,
            cost_weight=self.cost_weight + other.cost_weight,
        )


def _first(needs: set[Grouping], prior: Posterior | None, piece: BlockSource) -> _First:
    block = piece.read()
    return _First(
        log=prepare(block.partition(block.logged), needs),
        folds=None if prior is None else learn_folds(block, prior),
        cost_weight=float(block.cost_weight.sum()),
    )


# -- the second: each policy beside the log -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TargetSums:
    estimators: Mapping[str, Any]
    diagnostics: DiagnosticSums
    shares: FloatArray

    def __add__(self, other: _TargetSums) -> _TargetSums:
        estimators = {name: sums + other.estimators[name] for name, sums in self.estimators.items()}
        return _TargetSums(estimators, self.diagnostics + other.diagnostics, self.shares + other.shares)


@dataclass(frozen=True, slots=True)
class _Second:
    targets: tuple[_TargetSums, ...]

    def __add__(self, other: _Second) -> _Second:
        return _Second(tuple(a + b for a, b in zip(self.targets, other.targets, strict=True)))


def _second(
    questions: Sequence[Question],
    estimators: Mapping[str, Estimator[Any]],
    nuisance: Nuisance,
    held_out: tuple[Posterior, ...] | None,
    rows: int,
    cost_weight: float | None,
    piece: BlockSource,
) -> _Second:
    block = piece.read()
    scored = any(q.policy is not None and learns(q.policy) for q in questions)
    beliefs = believe(block, held_out) if scored and held_out is not None else None
    when = block.order * BLOCKS // rows
    sums = []
    for question in questions:
        policy = question.policy
        pmf = block.logged if policy is None else target_pmf(block, policy, beliefs, cost_weight)
        evidence = Evidence(block.partition(pmf), nuisance)
        shares = np.zeros((BLOCKS, len(block.arms)))
        np.add.at(shares, when, pmf)
        collected = {name: estimator.collect(evidence) for name, estimator in estimators.items()}
        sums.append(_TargetSums(collected, examine(evidence), shares))
    return _Second(tuple(sums))


def _answers(
    pieces: Sequence[BlockSource],
    questions: Sequence[Question],
    *,
    estimators: Mapping[str, Estimator[Any]],
    nuisance: Nuisance,
    held_out: tuple[Posterior, ...] | None,
    rows: int,
    cost_weight: float | None,
    progress: Callable[[int], None],
) -> list[Answer]:
    task = partial(_second, questions, estimators, nuisance, held_out, rows, cost_weight)
    made = []
    for question, sums in zip(questions, total(task, pieces, progress).targets, strict=True):
        diagnostics = diagnose(sums.diagnostics, nuisance)
        made.append(
            Answer(
                question=question,
                estimates={name: estimators[name].estimate(sums.estimators[name]) for name in estimators},
                diagnostics=diagnostics,
                refusals=gate(diagnostics),
                shares=sums.shares / np.maximum(sums.shares.sum(axis=1, keepdims=True), 1.0),
            )
        )
    return made


# -- the third: as dear as a policy, but blind ----------------------------------------------------


def _blind(answers: Sequence[Answer], arms: Sequence[str], headline: str) -> list[Question]:
    """The blind mix and the shuffled version of each policy, at the cost the log estimates for it.

    None when the log cannot say what every arm earns and costs.
    """
    fixed = {a.question.name: a.estimates[headline] for a in answers if a.question.name.startswith("fixed:")}
    both = [(fixed[f"fixed:{arm}"]["reward"], fixed[f"fixed:{arm}"]["cost_usd"]) for arm in arms]
    known = [(reward.value, cost.value) for reward, cost in both if reward and cost]
    made: list[Question] = []
    for answer in answers if len(known) == len(arms) else ():
        budget = answer.estimates[headline]["cost_usd"]
        if answer.question.role != "policy" or budget is None:
            continue
        value, cost = np.array(known).T
        shares = answer.shares.mean(axis=0, keepdims=True)
        weights = {
            "blind mix": mix_at_cost(value, cost, budget.value),
            "shuffled": tilt_to_cost(shares, cost[None, :], budget.value)[0],
        }
        labels = {"blind mix": "blind mix at the cost of {}", "shuffled": "{}, queries shuffled"}
        for role, label in labels.items():
            mix = Mix(dict(zip(arms, weights[role].tolist(), strict=True)))
            name = answer.question.name
            made.append(Question(label.format(name), role, mix, name))  # type: ignore[arg-type]
    return made
