"""From a log and some policies to a table: two passes over the log, and a third for blind baselines.

Everything that is gathered on a pass is a sum over pieces of the log, so a log larger than memory takes no
more than a small one, and :mod:`bandit_router.evaluation.parallel` may spread the pieces anywhere.
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
from bandit_router.evaluation.diagnostics import NEEDS, DiagnosticSums, collect_diagnostics, diagnose
from bandit_router.evaluation.estimators import ESTIMATORS, Estimate, Estimator, EstimatorInputs, prepare
from bandit_router.evaluation.estimators.inputs import Grouping, LogSums, Nuisance
from bandit_router.evaluation.estimators.sums import Largest
from bandit_router.evaluation.gate import refuse_estimates
from bandit_router.evaluation.parallel import sum_pieces
from bandit_router.evaluation.targets import (
    FoldPosteriors,
    add_missing_arms,
    believe,
    group_by_eligible,
    learn_folds,
    target_pmf,
)
from bandit_router.policies import Policy, check_arms, learns
from bandit_router.policies.bandit import Fixed, Uniform
from bandit_router.posterior.linear import Posterior
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
    check_arms(policies, arms)
    policies = {name: policy for name, policy in policies.items() if not _is_always_shown(policy)}
    chosen = {name: ESTIMATORS[name]() for name in {headline: None, **dict.fromkeys(estimators)}}
    needs: set[Grouping] = {*NEEDS, *(need for estimator in chosen.values() for need in estimator.needs)}
    scored = any(map(learns, policies.values()))
    if scored and prior is None:
        raise InvalidInput("log", "has no posterior to score policies with", "export it with one")
    if prior is not None:
        prior = add_missing_arms(prior.without_evidence(), arms)
    first = sum_pieces(partial(_run_log_pass, needs, prior if scored else None), pieces, progress)
    second = partial(
        _answer_questions,
        pieces,
        estimators=chosen,
        nuisance=first.log.fit(),
        held_out=first.folds.held_out() if first.folds else None,
        rows=rows,
        price=_CostWeights(cost_weight, one=first.one_cost_weight if cost_weight is None else cost_weight),
        progress=progress,
    )
    questions = [
        Question("logged", "logged", None),
        *(Question(name, "policy", policy) for name, policy in policies.items()),
        *(Question(f"fixed:{arm}", "fixed", Fixed(arm)) for arm in arms),
        Question("uniform", "uniform", Uniform()),
    ]
    answers, policies_by_set = second(questions)
    blind = make_baseline_questions(answers, policies_by_set, arms, headline)
    answers += second(blind)[0] if blind else []
    mean_weight = first.cost_weight / rows if cost_weight is None else cost_weight
    return Evaluation(arms=tuple(arms), rows=rows, cost_weight=mean_weight, answers=tuple(answers))


def _is_always_shown(policy: Policy) -> bool:
    """Whether the policy is in every table anyway."""
    return isinstance(policy, Uniform) or (isinstance(policy, Fixed) and policy.epsilon == 0.0)


# -- the first pass: what does not depend on a policy ---------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _LogPass:
    log: LogSums
    folds: FoldPosteriors | None
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
    def one_cost_weight(self) -> float | None:
        """The λ of all rows; None when it differs between them."""
        most, least = self.extremes.value[0], -self.extremes.value[1]
        return float(most) if most == least else None


def _run_log_pass(needs: set[Grouping], prior: Posterior | None, piece: BlockSource) -> _LogPass:
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
    """λ: ``given`` in place of the logged ones, and ``one`` for all rows where there is only one."""

    given: float | None
    one: float | None


@dataclass(frozen=True, slots=True)
class _TargetSums:
    """``priced`` are the estimators' sums with every cost times the λ of its row; none where there is one λ.

    ``by_set`` are the summed probabilities (K,), and the rows, of every set of eligible arms.
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


def _add_by_key(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> dict[Any, Any]:
    both = dict(one)
    for key, value in other.items():
        both[key] = both[key] + value if key in both else value
    return both


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
    price: _CostWeights,
    piece: BlockSource,
) -> _TargetPass:
    block = piece.read()
    scored = any(q.policy is not None and learns(q.policy) for q in questions)
    beliefs = believe(block, held_out) if scored and held_out is not None else None
    when = block.order * BLOCKS // rows
    sums = []
    for question in questions:
        policy = question.policy
        pmf = block.logged if policy is None else target_pmf(block, policy, beliefs, price.given)
        targeted = block.with_target(pmf)
        inputs = EstimatorInputs(targeted, nuisance)
        shares = np.zeros((BLOCKS, len(block.arms)))
        np.add.at(shares, when, pmf)
        sums.append(
            _TargetSums(
                estimators={name: one.collect(inputs) for name, one in estimators.items()},
                priced=_collect_priced(targeted, estimators, nuisance) if price.one is None else {},
                diagnostics=collect_diagnostics(inputs),
                shares=shares,
                by_set={
                    tuple(there.tolist()): np.append(pmf[some].sum(axis=0), len(some))
                    for some, there in group_by_eligible(block)
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
    return {name: one.collect(inputs) for name, one in estimators.items()}


def _answer_questions(
    pieces: Sequence[BlockSource],
    questions: Sequence[Question],
    *,
    estimators: Mapping[str, Estimator[Any]],
    nuisance: Nuisance,
    held_out: tuple[Posterior, ...] | None,
    rows: int,
    price: _CostWeights,
    progress: Callable[[int], None],
) -> tuple[list[Answer], dict[str, BySet]]:
    task = partial(_run_target_pass, questions, estimators, nuisance, held_out, rows, price)
    made, by_set = [], {}
    for question, sums in zip(questions, sum_pieces(task, pieces, progress).targets, strict=True):
        diagnostics = diagnose(sums.diagnostics, nuisance)
        estimates = {name: estimators[name].estimate(sums.estimators[name]) for name in estimators}
        made.append(
            Answer(
                question=question,
                estimates=estimates,
                spend={
                    name: _estimate_spend(estimates[name], one, sums.priced.get(name), price.one)
                    for name, one in estimators.items()
                },
                diagnostics=diagnostics,
                refusals=refuse_estimates(diagnostics),
                shares=sums.shares / np.maximum(sums.shares.sum(axis=1, keepdims=True), 1.0),
            )
        )
        by_set[question.name] = sums.by_set
    return made, by_set


def _estimate_spend(
    estimate: Estimate, estimator: Estimator[Any], priced: Any, one: float | None
) -> float | None:
    """λ · cost: exactly for one λ, else as estimated with the λ of each row."""
    if one == 0.0:
        return 0.0
    found = estimate["cost_usd"] if one is not None else estimator.estimate(priced)["cost_usd"]
    if found is None:
        return None
    return found.value if one is None else one * found.value
