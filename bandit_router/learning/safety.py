"""Safety: how much a policy may decide, so that what it has lost to a baseline stays within bounds.

With u(a) the utility of arm a on a query, b the baseline and m the logged PMF, a router has lost::

    L = Σ (u(b) − Σ_a m(a) u(a)),    and L ≤ at_most · Σ u(b) shall hold at all times

L is linear in the effects θ: the sums of a query's context, weighted by b's probability less m(a), say what
posterior it has, whoever rated what. Its mean and variance follow from the newest posterior and these sums,
so that what is learned today corrects what is believed of yesterday. The noise of answers is in the variance.

The share w of the next decisions is the largest whose bound holds with them, if their policy is that of the
recent ones, q::

    E[L + w ΔL] + z_k · std[L + w ΔL] ≤ at_most · Σ u(b),    Φ(−z_k) = δ / (k (k + 1))

k counts the doublings of decisions so far: the bound is looked at all the time, and between two doublings it
hardly turns. δ is 1 − ``probability``. A twentieth of ``at_most`` is always given: it takes up that part of
what may be lost, and keeps other policies estimable.

Conservative bandits: Kazerouni, Ghavamzadeh, Abbasi-Yadkori & Van Roy (NeurIPS 2017); Garcelon, Ghavamzadeh,
Lazaric & Pirotta (AAAI 2020). They decide query by query whether to explore; a mixture has a propensity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bandit_router.objective.safety import SafetyGoal
from bandit_router.posterior.base import Posterior
from bandit_router.types import NO_TASK, OTHER_TASKS, SAFETY_SHARE, Decision, FloatArray

_RECENT = 100.0  # decisions that the policy of the next ones is told from
_LEAST_AHEAD, _SHARE_AHEAD = 16.0, 0.01  # decisions that a share is for: at least, and of those so far
_STEPS = 20  # halvings of the interval that the share is in
_TASKS = OTHER_TASKS + 1


class Exposure(NamedTuple):
    """Sums over decisions of the baseline's probability less another PMF's, for K arms.

    ``x`` (K, d) are those of contexts and ``by_task`` (K, T) those of queries by task, ``squares`` (K,) the
    sums of squares of the probabilities. ``cost`` is the priced cost that the baseline has more.
    """

    x: FloatArray
    by_task: FloatArray
    squares: FloatArray
    cost: float

    @classmethod
    def zeros(cls, arms: int, dim: int) -> Exposure:
        """No decision."""
        return cls(np.zeros((arms, dim)), np.zeros((arms, _TASKS)), np.zeros(arms), 0.0)

    def plus(self, other: Exposure, times: float = 1.0) -> Exposure:
        """The sums of both, the other's counted ``times``."""
        return Exposure(
            self.x + times * other.x,
            self.by_task + times * other.by_task,
            self.squares + times * other.squares,
            self.cost + times * other.cost,
        )

    def scaled(self, factor: float) -> Exposure:
        """The sums times ``factor``."""
        return Exposure(factor * self.x, factor * self.by_task, factor * self.squares, factor * self.cost)


class Loss(NamedTuple):
    """What is believed of a loss of utility: its mean and standard deviation."""

    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class SafetyBook:
    """What a router's decisions were towards a baseline, for all workers together.

    ``past`` are their sums and ``earned`` is what the baseline would have earned, as expected then.
    ``recent`` are the sums of what the policy by itself would have done on the newest, which are forgotten
    over some hundred; ``recent_weight`` is their number and ``recent_earned`` what the baseline earned
    on them. ``settled`` is the loss that was put down for good.
    """

    arms: tuple[str, ...]
    past: Exposure
    recent: Exposure
    decisions: int = 0
    earned: float = 0.0
    recent_weight: float = 0.0
    recent_earned: float = 0.0
    settled: float = 0.0

    @classmethod
    def empty(cls, arms: tuple[str, ...], dim: int) -> SafetyBook:
        """The book of a router that has not decided anything."""
        return cls(arms=arms, past=Exposure.zeros(len(arms), dim), recent=Exposure.zeros(len(arms), dim))

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each arm."""
        return {arm: k for k, arm in enumerate(self.arms)}


def add_decisions(
    book: SafetyBook, decisions: Iterable[Decision], posterior: Posterior, goal: SafetyGoal
) -> SafetyBook:
    """The book with these decisions, of arms that it has; those for which the baseline was no choice are not
    compared.
    """
    for decision in decisions:
        if goal.baseline in decision.eligible:
            book = _add_decision(book, decision, posterior, goal)
    return book


def _add_decision(book: SafetyBook, decision: Decision, posterior: Posterior, goal: SafetyGoal) -> SafetyBook:
    rows = [book.row[arm] for arm in decision.eligible]
    at = decision.eligible.index(goal.baseline)
    pmf = np.array(decision.pmf)
    apart = -pmf
    apart[at] += 1.0
    mean, _ = posterior.predict(decision.x, decision.task)
    priced = decision.cost_weight * decision.expected_costs_usd[at]
    earned = float(mean[posterior.index(goal.baseline)]) - priced
    book = replace(
        book,
        past=book.past.plus(_expose(book, decision, rows, apart)),
        decisions=book.decisions + 1,
        earned=book.earned + earned,
    )
    share = float(decision.signals.get(SAFETY_SHARE, 0.0))
    if share == 0.0:  # something else decided, such as a conversation that keeps its arm
        return book
    keep = 1.0 - 1.0 / _RECENT
    return replace(
        book,
        recent=book.recent.scaled(keep).plus(_expose(book, decision, rows, apart / share)),
        recent_weight=keep * book.recent_weight + 1.0,
        recent_earned=keep * book.recent_earned + earned,
    )


def _expose(book: SafetyBook, decision: Decision, rows: list[int], apart: FloatArray) -> Exposure:
    """The sums of one decision, given the difference of the PMFs of its eligible arms."""
    one = Exposure.zeros(len(book.arms), book.past.x.shape[1])
    one.x[rows] = apart[:, None] * decision.x
    if decision.task != NO_TASK:
        one.by_task[rows, decision.task] = apart
    one.squares[rows] = apart * apart
    priced = decision.cost_weight * np.array(decision.expected_costs_usd)
    return one._replace(cost=-float(apart @ priced))


def predict_loss(book: SafetyBook, posterior: Posterior) -> Loss:
    """What the decisions of the book have lost; its arms are the posterior's."""
    return _predict_loss(book.past, book.settled, posterior)


def _predict_loss(exposure: Exposure, settled: float, posterior: Posterior) -> Loss:
    total, std = posterior.predict_sum(exposure.x, exposure.by_task)
    noise = float(exposure.squares @ posterior.residual_variance)
    return Loss(settled + float(total.sum()) + exposure.cost, math.sqrt(std * std + noise))


def bound_loss(loss: Loss, decisions: int, goal: SafetyGoal) -> float:
    """What the loss exceeds at no time, with the goal's probability."""
    return loss.mean + goal.count_deviations(decisions) * loss.std


def find_share(book: SafetyBook, posterior: Posterior, goal: SafetyGoal, ahead: float = 0.0) -> float:
    """The largest share whose bound holds for the next decisions, ``ahead`` of them or more."""
    ahead = max(ahead, _LEAST_AHEAD, _SHARE_AHEAD * book.decisions)
    recent, earned = _mean_recent(book, posterior, goal)
    allowed = goal.at_most * max(0.0, book.earned + ahead * earned)

    def is_allowed(share: float) -> bool:
        both = book.past.plus(recent._replace(squares=share * recent.squares), share * ahead)
        loss = _predict_loss(both, book.settled, posterior)
        return bound_loss(loss, book.decisions, goal) <= allowed

    if is_allowed(1.0):
        return 1.0
    low, high = goal.least_share, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if is_allowed(middle) else (low, middle)
    return low


def _mean_recent(book: SafetyBook, posterior: Posterior, goal: SafetyGoal) -> tuple[Exposure, float]:
    """The sums of a decision of the policy by itself, and what the baseline earns on it."""
    if book.recent_weight:
        scale = 1.0 / book.recent_weight
        return book.recent.scaled(scale), scale * book.recent_earned
    at, others = book.row[goal.baseline], max(len(book.arms) - 1, 1)
    first = Exposure.zeros(len(book.arms), book.past.x.shape[1])
    first.x[:, 0] = -1.0 / others  # as if it played all arms but the baseline alike, on the mean query
    first.x[at, 0] = 1.0
    first.squares[:] = first.x[:, 0] ** 2
    mean, _ = posterior.predict(first.x[at])
    return first, float(mean[at])


def settle_loss(book: SafetyBook, lost: float) -> SafetyBook:
    """The book with what was lost so far put down for good, since the posterior forgets what it was of."""
    none = Exposure.zeros(len(book.arms), book.past.x.shape[1])
    return replace(book, past=none, recent=none, recent_weight=0.0, recent_earned=0.0, settled=lost)
