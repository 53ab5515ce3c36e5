"""Evaluates policies on a log in two passes, and query-blind baselines in a third.

Each pass gathers sums over pieces of the log. Memory does not grow with the log, and
:mod:`bandit_router.evaluation.parallel` may spread the pieces over processes or a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.answers import BLOCKS, Answer, Evaluation, Question
from bandit_router.evaluation.baselines import BySet, make_baseline_questions
from bandit_router.evaluation.block import OUTCOMES, BlockSource, TargetBlock
from bandit_router.evaluation.diagnostics import (
    NEEDS,
    Diagnostics,
    DiagnosticSums,
    collect_diagnostics,
    diagnose,
)
from bandit_router.evaluation.estimators import ESTIMATORS, Estimate, Estimator, EstimatorInputs, prepare
from bandit_router.evaluation.estimators.inputs import Grouping, LogSums, Nuisance
from bandit_router.evaluation.estimators.sums import Largest
from bandit_router.evaluation.gate import Refusal, refuse_estimates, refuse_without_propensities
from bandit_router.evaluation.parallel import sum_pieces
from bandit_router.evaluation.targets import (
    FoldStatistics,
    add_missing_arms,
    believe,
    group_by_eligible,
    learn_folds,
    target_pmf,
)
from bandit_router.policies import Policy, check_named_arms
from bandit_router.policies.bandit import Fixed, Uniform
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import FloatArray

PASSES = 3
"""How often a log is read to be evaluated."""

_COST = OUTCOMES.index("cost_usd")


def evaluate(
    pieces: Sequence[BlockSource],
    arms: Sequence[str],
    policies: Mapping[str, Policy],
    *,
    rows: int,
    prior: SufficientStatistics | None,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    headline: str = "dr",
    cost_weight: float | None = None,
    propensities: str = "logged",
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Evaluate policies on a log of ``rows`` rows, beside the logged policy, fixed models and baselines.

    ``prior`` has the router's arms and their priors, which learning policies start from; None when
    there are none. ``cost_weight`` replaces the logged one, 1/USD. ``propensities`` are those of
    ``Log.propensities``. The query-blind baselines match the costs
    that the estimator ``headline`` gives. :func:`bandit_router.evaluation.parallel.workers` spreads the work.

    Raises InvalidInput for an empty log, or a learning policy without a prior.
    """
    check_named_arms(policies, arms)
    policies = {name: policy for name, policy in policies.items() if not _is_always_shown(policy)}
    chosen = {name: ESTIMATORS[name]() for name in {headline: None, **dict.fromkeys(estimators)}}
    needs: set[Grouping] = {*NEEDS, *(need for estimator in chosen.values() for need in estimator.needs)}
    scored = any(policy.learns for policy in policies.values())
    if scored and prior is None:
        raise InvalidInput("log", "has no posterior to score policies with", "export it with one")
    if prior is not None:
        prior = add_missing_arms(prior.without_evidence(), arms)
    first = sum_pieces(partial(_run_log_pass, needs, prior if scored else None), pieces, progress)
    shared = first.shared_cost_weight if cost_weight is None else cost_weight
    answer = partial(
        _answer_questions,
        pieces,
        estimators=chosen,
        nuisance=first.log.fit(),
        held_out=first.folds.held_out() if first.folds else None,
        rows=rows,
        cost_weights=_CostWeights(cost_weight, shared),
        refuse=refuse_estimates
        if propensities == "logged"
        else partial(refuse_without_propensities, propensities=propensities),
        progress=progress,
    )
    questions = [
        Question("logged", "logged", None),
        *(Question(name, "policy", policy) for name, policy in policies.items()),
        *(Question(f"fixed:{arm}", "fixed", Fixed(arm)) for arm in arms),
        Question("uniform", "uniform", Uniform()),
    ]
    answers, policies_by_set = answer(questions)
    baselines = make_baseline_questions(answers, policies_by_set, arms, headline)
    answers += answer(baselines)[0] if baselines else []
    mean_weight = first.cost_weight / rows if cost_weight is None else cost_weight
    return Evaluation(arms=tuple(arms), rows=rows, cost_weight=mean_weight, answers=tuple(answers))


def _is_always_shown(policy: Policy) -> bool:
    """Whether the policy is in every table without being asked for."""
    return isinstance(policy, Uniform) or (isinstance(policy, Fixed) and policy.epsilon == 0.0)


# -- the first pass: sums that do not depend on a policy ------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _LogPass:
    log: LogSums
    folds: FoldStatistics | None
    cost_weight: float
    extremes: Largest

    def __add__(self, other: _LogPass) -> _LogPass:
        return _LogPass(
            log=self.log + other.log,
            folds=self.folds + other.folds if self.folds and other.folds else None,
            cost_weight=self.cost_weight + other.cost_weight,
            extremes=self.extremes + other.extremes,
        )

    @property
    def shared_cost_weight(self) -> float | None:
        """The λ of all rows; None when it differs between them."""
        largest, smallest = self.extremes.value[0], -self.extremes.value[1]
        return float(largest) if largest == smallest else None


def _run_log_pass(needs: set[Grouping], prior: SufficientStatistics | None, piece: BlockSource) -> _LogPass:
    block = piece.read()
    return _LogPass(
        log=prepare(block, needs),
        folds=None if prior is None else learn_folds(block, prior),
        cost_weight=float(block.cost_weight.sum()),
        extremes=Largest(np.array([block.cost_weight.max(), -block.cost_weight.min()])),
    )


# -- the second: each policy beside the log -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _CostWeights:
    """λ: ``given`` in place of the logged ones, and ``shared`` by all rows; None where they differ."""

    given: float | None
    shared: float | None


@dataclass(frozen=True, slots=True)
class _TargetSums:
    """The sums of one policy over the log.

    ``priced`` are the estimators' sums with every cost times the λ of its row; empty when all rows share one.
    ``by_set`` has, for every set of eligible arms, the summed probabilities (K,) and the number of rows.
    """

    estimators: Mapping[str, Any]
    priced: Mapping[str, Any]
    diagnostics: DiagnosticSums
    shares: FloatArray
    by_set: BySet

    def __add__(self, other: _TargetSums) -> _TargetSums:
        return _TargetSums(
            estimators=_add_by_key(self.estimators, other.estimators),
            priced=_add_by_key(self.priced, other.priced),
            diagnostics=self.diagnostics + other.diagnostics,
            shares=self.shares + other.shares,
            by_set=_add_by_key(self.by_set, other.by_set),
        )


def _add_by_key(sums: Mapping[Any, Any], more: Mapping[Any, Any]) -> dict[Any, Any]:
    total = dict(sums)
    for key, value in more.items():
        total[key] = total[key] + value if key in total else value
    return total


@dataclass(frozen=True, slots=True)
class _TargetPass:
    targets: tuple[_TargetSums, ...]

    def __add__(self, other: _TargetPass) -> _TargetPass:
        return _TargetPass(tuple(a + b for a, b in zip(self.targets, other.targets, strict=True)))


def _run_target_pass(
    questions: Sequence[Question],
    estimators: Mapping[str, Estimator[Any]],
    nuisance: Nuisance,
    held_out: tuple[Posterior, ...] | None,
    rows: int,
    cost_weights: _CostWeights,
    piece: BlockSource,
) -> _TargetPass:
    block = piece.read()
    scored = any(q.policy is not None and q.policy.learns for q in questions)
    beliefs = believe(block, held_out) if scored and held_out is not None else None
    time_block = block.order * BLOCKS // rows
    sums = []
    for question in questions:
        policy = question.policy
        pmf = block.logged if policy is None else target_pmf(block, policy, beliefs, cost_weights.given)
        targeted = block.with_target(pmf)
        inputs = EstimatorInputs(targeted, nuisance)
        shares = np.zeros((BLOCKS, len(block.arms)))
        np.add.at(shares, time_block, pmf)
        sums.append(
            _TargetSums(
                estimators={name: estimator.collect(inputs) for name, estimator in estimators.items()},
                priced=_collect_priced(targeted, estimators, nuisance) if cost_weights.shared is None else {},
                diagnostics=collect_diagnostics(inputs),
                shares=shares,
                by_set={
                    tuple(eligible.tolist()): np.append(pmf[group].sum(axis=0), len(group))
                    for group, eligible in group_by_eligible(block)
                },
            )
        )
    return _TargetPass(tuple(sums))


def _collect_priced(
    block: TargetBlock, estimators: Mapping[str, Estimator[Any]], nuisance: Nuisance
) -> dict[str, Any]:
    """The sums of λ · cost where λ differs between rows."""
    scale = np.ones((len(block), len(OUTCOMES)))
    scale[:, _COST] = block.cost_weight
    inputs = EstimatorInputs(block, nuisance, scale)
    return {name: estimator.collect(inputs) for name, estimator in estimators.items()}


def _answer_questions(
    pieces: Sequence[BlockSource],
    questions: Sequence[Question],
    *,
    estimators: Mapping[str, Estimator[Any]],
    nuisance: Nuisance,
    held_out: tuple[Posterior, ...] | None,
    rows: int,
    cost_weights: _CostWeights,
    refuse: Callable[[Diagnostics], list[Refusal]],
    progress: Callable[[int], None],
) -> tuple[list[Answer], dict[str, BySet]]:
    task = partial(_run_target_pass, questions, estimators, nuisance, held_out, rows, cost_weights)
    answers, by_set = [], {}
    for question, sums in zip(questions, sum_pieces(task, pieces, progress).targets, strict=True):
        diagnostics = diagnose(sums.diagnostics, nuisance)
        estimates = {name: estimators[name].estimate(sums.estimators[name]) for name in estimators}
        answers.append(
            Answer(
                question=question,
                estimates=estimates,
                spend={
                    name: _estimate_spend(estimates[name], each, sums.priced.get(name), cost_weights.shared)
                    for name, each in estimators.items()
                },
                diagnostics=diagnostics,
                refusals=refuse(diagnostics),
                shares=sums.shares / np.maximum(sums.shares.sum(axis=1, keepdims=True), 1.0),
            )
        )
        by_set[question.name] = sums.by_set
    return answers, by_set


def _estimate_spend(
    estimate: Estimate, estimator: Estimator[Any], priced: Any, cost_weight: float | None
) -> float | None:
    """λ · cost: exact for one λ; for None, as estimated with the λ of each row."""
    if cost_weight == 0.0:
        return 0.0
    cost = estimate["cost_usd"] if cost_weight is not None else estimator.estimate(priced)["cost_usd"]
    if cost is None:
        return None
    return cost.value if cost_weight is None else cost_weight * cost.value
