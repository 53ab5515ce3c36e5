"""Replays policies that learn: their choices on the rows of a log that agree with them.

A policy that learns from its own choices has no fixed PMF to weigh a log by. Replay walks through the log
in order of time. At each row with context x the policy, knowing only the rows retained so far, gives a
PMF π; the logged row, whose action a was drawn from the PMF e, is retained with probability

    π(a|x) / (M e(a|x)),      M ≥ max π/e over the whole log

Retained rows have contexts as they come and actions as π would have drawn them, so their mean reward is an
unbiased estimate of what the policy earns over its first so many decisions (rejection sampling; Mandel, Liu,
Brunskill & Popović, Offline evaluation of online reinforcement learning algorithms, AAAI 2016). With e
uniform over K arms and M = K it is the replay of Li, Chu, Langford & Wang (Unbiased offline evaluation of
contextual-bandit-based news article recommendation algorithms, WSDM 2011). About 1 row in M is retained, and
M is 1 over the smallest logged probability: far from uniform too few are left, and the result is refused.

A row without feedback is retained or dropped like any other, and teaches nothing. The rows of its arm that
have feedback stand for it: with ρ(a) the share of arm a's rows that have feedback, the figure is, over the
retained rows with feedback,

    V = Σ y/ρ(a) / Σ 1/ρ(a)

which is right when feedback is missing at random given the arm, as in
:mod:`bandit_router.evaluation.estimators.inputs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.block import OUTCOMES, REWARD, Block, BlockSource
from bandit_router.evaluation.estimators.inputs import empty_log_error, prepare
from bandit_router.evaluation.estimators.sums import Figure, RatioSums
from bandit_router.evaluation.gate import ESS, Refusal
from bandit_router.evaluation.parallel import run_tasks
from bandit_router.evaluation.targets import add_missing_arms
from bandit_router.policies import Policy
from bandit_router.posterior.online import OnlinePosterior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.routing.decide import score_arms
from bandit_router.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSurvey:
    """Quantities of the whole log for a replay: M, the ``bound``, and ρ, the ``feedback_share`` (K, M).

    ρ is the share of an arm's rows that have feedback on an outcome; 0 for an arm never chosen.
    """

    arms: tuple[str, ...]
    bound: float
    feedback_share: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayResult:
    """The figures of one replay.

    ``rows`` were read and ``retained`` of them kept; ``bound`` is M. By outcome: ``feedback`` counts the
    retained rows with feedback, and ``figures`` are their means weighed by 1/ρ, None for fewer than two rows
    and where the log has no feedback on a retained arm. The standard errors (delta method) take the rows as
    independent, which those of a policy that learns nearly are. ``refusals`` are reasons not to believe the
    figures. ``shares`` (K,) of the arms among the retained rows.
    """

    rows: int
    retained: int
    bound: float
    feedback: dict[str, int]
    figures: dict[str, Figure | None]
    refusals: tuple[Refusal, ...]
    shares: FloatArray

    def refused(self, outcome: str) -> list[Refusal]:
        """The reasons not to believe the figure of this outcome; empty when there are none."""
        return [refusal for refusal in self.refusals if refusal.outcome in (None, outcome)]


def survey_log(blocks: Iterable[Block]) -> LogSurvey:
    """Survey a log in one pass. Raises InvalidInput when it is empty.

    The bound is the smallest M that is right for every policy: 1 over the smallest probability in the log,
    infinite where an eligible arm had probability 0: then no policy that may take it can be replayed.
    """
    smallest, sums = 1.0, None
    for block in blocks:
        smallest = min(smallest, float(block.logged[block.eligible].min(initial=1.0)))
        # Where a propensity contradicts the PMF the gate refuses the figures; it need not stop the replay.
        smallest = min(smallest, float(block.propensity.min(initial=1.0)))
        block_sums = prepare(block, ())
        sums = block_sums if sums is None else sums + block_sums
    if sums is None:
        raise empty_log_error()
    bound = 1.0 / smallest if smallest > 0 else math.inf
    return LogSurvey(arms=sums.arms, bound=bound, feedback_share=sums.fit().feedback_share)


def log_refusals(evaluation: Evaluation) -> list[Refusal]:
    """The refusals of the log as such, whatever the outcome and the method."""
    (logged,) = (answer for answer in evaluation.answers if answer.question.role == "logged")
    return [refusal for refusal in logged.refusals if refusal.outcome is None and refusal.estimators is None]


def replay(
    blocks: Iterable[Block],
    policy: Policy,
    prior: SufficientStatistics,
    *,
    survey: LogSurvey,
    rng: np.random.Generator,
    cost_weight: float | None = None,
    refusals: Sequence[Refusal] = (),
) -> ReplayResult:
    """Replay a policy that starts from ``prior`` on a log in order of time.

    Args:
        blocks: The log, in order.
        survey: Of the whole log, from :func:`survey_log`.
        cost_weight: Replaces the logged one, 1/USD.
        refusals: Of the log as such, from :func:`log_refusals`.

    Raises InvalidInput when M is infinite or some row shows that it is too small, or ``prior`` has no arm.
    """
    if not 1.0 <= survey.bound < math.inf:
        raise InvalidInput(
            "bound", f"is {survey.bound:g}", "log with a floor (epsilon > 0) to replay a policy"
        )
    learned = OnlinePosterior(add_missing_arms(prior.without_evidence(), survey.arms))
    learner = _Learner(policy, learned, cost_weight)
    retained, rows = _Retained(survey), 0
    for block in blocks:
        rows += len(block)
        retained.add(block, _retain(block, learner, survey.bound, rng))
    return retained.result(rows, refusals)


def replay_policies(
    pieces: Sequence[BlockSource],
    policies: Mapping[str, Policy],
    prior: SufficientStatistics | None,
    *,
    seeds: int,
    cost_weight: float | None = None,
    refusals: Sequence[Refusal] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, list[ReplayResult]]:
    """Replay each policy ``seeds`` times in parallel tasks; nothing when ``seeds`` is 0.

    ``refusals`` are those of the log as such, from :func:`log_refusals`.
    """
    if not (seeds and policies):
        return {}
    if prior is None:
        raise InvalidInput("log", "has no posterior to start from", "export it with one")
    survey = survey_log(piece.read() for piece in pieces)
    tasks = [
        partial(_replay_pieces, pieces, policy, prior, survey, seed, cost_weight, tuple(refusals))
        for policy in policies.values()
        for seed in range(seeds)
    ]
    results = []
    for result in run_tasks(tasks):
        results.append(result)
        progress(1)
    return {name: results[i * seeds : (i + 1) * seeds] for i, name in enumerate(policies)}


def _replay_pieces(
    pieces: Sequence[BlockSource],
    policy: Policy,
    prior: SufficientStatistics,
    survey: LogSurvey,
    seed: int,
    cost_weight: float | None,
    refusals: tuple[Refusal, ...],
) -> ReplayResult:
    blocks: Iterator[Block] = (piece.read() for piece in pieces)
    rng = np.random.default_rng(seed)
    return replay(blocks, policy, prior, survey=survey, rng=rng, cost_weight=cost_weight, refusals=refusals)


# -- the walk -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Learner:
    """A policy and the posterior that it decides by and learns."""

    policy: Policy
    learned: OnlinePosterior
    cost_weight: float | None

    def ratio(self, block: Block, i: int) -> float:
        """π(a|x) / e(a|x) at the logged action of row i."""
        k = np.flatnonzero(block.eligible[i])
        weight = float(block.cost_weight[i]) if self.cost_weight is None else self.cost_weight
        names = [block.arms[j] for j in k]
        costs = block.expected_cost_usd[i, k].tolist()
        pmf = self.policy.pmf(
            score_arms(
                self.learned.posterior,
                names,
                block.x[i],
                costs,
                weight,
                block.signals_at(i),
                block.task_at(i),
            )
        )
        return pmf[int(np.searchsorted(k, block.action[i]))] / float(block.propensity[i])

    def learn(self, block: Block, i: int, weight: float) -> None:
        """Count the reward of row i with its weight, if it has one."""
        reward = float(block.outcomes[i, REWARD])
        if not math.isnan(reward):
            arm, at = block.arms[block.action[i]], float(block.decided_at[i])
            self.learned.observe(arm, block.x[i], reward, at, weight, block.task_at(i))


def _retain(block: Block, learner: _Learner, bound: float, rng: np.random.Generator) -> IntArray:
    """The rows of a block that agree with the policy, which learns from them."""
    coins, weights, kept = rng.random(len(block)), block.reward_weights(), []
    for i in range(len(block)):
        chance = learner.ratio(block, i) / bound
        if chance > 1.0 + 1e-9:
            raise InvalidInput("bound", f"is {bound:g}, a row has π/e {chance * bound:g}", "raise it")
        if coins[i] < chance:
            kept.append(i)
            learner.learn(block, i, float(weights[i]))
    return np.array(kept, dtype=np.int64)


# -- the figures ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Retained:
    """The actions (n,), outcomes and their weights (n, M) of the retained rows."""

    survey: LogSurvey
    actions: list[IntArray] = field(default_factory=list)
    outcomes: list[FloatArray] = field(default_factory=list)
    weights: list[FloatArray] = field(default_factory=list)

    def add(self, block: Block, kept: IntArray) -> None:
        self.actions.append(block.action[kept])
        self.outcomes.append(block.outcomes[kept])
        self.weights.append(block.outcome_weights()[kept])

    def result(self, rows: int, refusals: Sequence[Refusal]) -> ReplayResult:
        """The figures, V = Σ ω y/ρ / Σ ω/ρ, and their refusals besides those given."""
        action = np.concatenate([np.zeros(0, np.int64), *self.actions])
        nothing = np.zeros((0, len(OUTCOMES)))
        outcomes, heard = np.concatenate([nothing, *self.outcomes]), np.concatenate([nothing, *self.weights])
        observed = heard > 0.0
        share = self.survey.feedback_share
        weight = np.divide(heard, share[action], out=np.zeros_like(outcomes), where=observed)
        figures = RatioSums.of(weight * np.where(observed, outcomes, 0.0), weight, observed).estimate()
        feedback = dict(zip(OUTCOMES, observed.sum(axis=0).tolist(), strict=True))
        counts = np.bincount(action, minlength=len(share))
        own = {o: _refuse_replay(self.survey, o, counts, weight[:, m]) for m, o in enumerate(OUTCOMES)}
        silent = {o for o, refusal in own.items() if refusal is not None and refusal.code != "few-rows"}
        return ReplayResult(
            rows=rows,
            retained=len(action),
            bound=self.survey.bound,
            feedback=feedback,
            figures={o: None if o in silent or feedback[o] < 2 else figures[o] for o in OUTCOMES},
            refusals=(*refusals, *(refusal for refusal in own.values() if refusal is not None)),
            shares=counts / max(1, len(action)),
        )


def _refuse_replay(survey: LogSurvey, outcome: str, counts: IntArray, weight: FloatArray) -> Refusal | None:
    """The refusal of one outcome, from retained rows by arm, ``counts`` (K,), and ``weight`` ω/ρ (n,)."""
    has_feedback = survey.feedback_share[:, OUTCOMES.index(outcome)] > 0
    if not has_feedback.any():
        return Refusal("no-feedback", f"no row has {outcome}", f"send {outcome} as feedback", outcome)
    silent = [survey.arms[k] for k in np.flatnonzero((counts > 0) & ~has_feedback)]
    if silent:
        return Refusal(
            "no-support",
            f"the policy took an arm of which the log has no {outcome}: {', '.join(silent)}",
            f"send {outcome} as feedback on it",
            outcome,
        )
    squares = float((weight**2).sum())
    effective = float(weight.sum()) ** 2 / squares if squares > 0 else 0.0
    return (
        None
        if effective >= ESS
        else _refuse_short_replay(survey, outcome, int((weight > 0).sum()), effective)
    )


def _refuse_short_replay(survey: LogSurvey, outcome: str, rows: int, effective: float) -> Refusal:
    times = math.ceil(10.0 * ESS / max(effective, 1.0)) / 10.0
    more = f"about {times:.1f} times as many rows" if effective > 1.0 else "many more rows"
    return Refusal(
        "few-rows",
        f"the retained rows with feedback, {rows}, count as {effective:.1f} ({ESS:g} are needed)",
        f"log {more} like these, or raise the floor (epsilon): about 1 in {survey.bound:.3g} is retained",
        outcome,
    )
