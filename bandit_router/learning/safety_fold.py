"""The fold of safety: books decisions, finds the share that the policy may have, and tells all workers.

A share is for the decisions until the next one is found, twice as many as came in the time that a worker
takes to follow::

    ahead = max(2 · folded · max(1, interval / elapsed), ahead before / 2^(elapsed / interval))

interval / elapsed is MOST_FOLDS at most: so many workers may fold within an interval.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from bandit_router.errors import SnapshotCorrupt
from bandit_router.learning.learner import Learner
from bandit_router.learning.safety import (
    Exposure,
    SafetyBook,
    add_decisions,
    bound_loss,
    find_share,
    predict_loss,
    settle_loss,
)
from bandit_router.learning.safety_codec import decode_book, encode_book
from bandit_router.objective.safety import SafetyGoal
from bandit_router.policies import Rollout, parse_policy
from bandit_router.policies.bandit import Fixed
from bandit_router.posterior.base import Posterior
from bandit_router.routing.decide import PublishedModel
from bandit_router.store.learner_transaction import StaleRead
from bandit_router.store.safety import SafetyBatch, SafetyRecord, write_fold
from bandit_router.types import SAFETY_SHARE, Decision, FloatArray

log = logging.getLogger(__name__)

MOST_FOLDS = 50.0


def fold_safety(
    learner: Learner, model: PublishedModel, *, interval_s: float, wait: bool = False
) -> float | None:
    """Book what no learner has booked, each decision once; the share of traffic found for the policy.

    ``interval_s`` are the seconds within which workers follow. None if there is nothing to do, or another
    worker was faster, with ``wait`` unless that one left something. Raises StoreError.
    """
    store, limit = learner.store, learner.batch
    share, folded, begun_at = None, 0, None
    while (batch := store.safety_batch(model.version, limit)) is not None and _is_due(batch, model):
        begun_at = batch.record.folded_at if begun_at is None else begun_at
        intervals = max(0.0, store.clock.reference() - begun_at) / interval_s
        ahead = _count_ahead(batch.record, folded + len(batch.marks), intervals)
        try:
            share = book_batch(learner, batch, model, ahead)
        except StaleRead:
            if not wait:
                break
        else:
            folded += len(batch.marks)
    return share


def _is_due(batch: SafetyBatch, model: PublishedModel) -> bool:
    """Whether there is something to book, or to predict anew; not by a model that is older than the book."""
    record, version = batch.record, model.version
    is_older = version < max(record.snapshot, record.newest_reset)
    if is_older or record.goal.baseline not in model.state.rewards.arms:
        return False
    return bool(batch.marks) or version > record.snapshot


def _count_ahead(record: SafetyRecord, folded: int, intervals: float) -> float:
    """How many decisions the next share is for, if these are the folded ones of so many intervals."""
    folds = 1.0 / min(1.0, max(intervals, 1.0 / MOST_FOLDS))
    kept = record.ahead * math.exp2(-intervals)
    return max(2.0 * folded * folds, kept)


def book_batch(learner: Learner, batch: SafetyBatch, model: PublishedModel, ahead: float) -> float:
    """Write the book with the batch in it, and the share that follows; the share. Raises StaleRead."""
    record, posterior = batch.record, model.state.rewards

    def find_name(arm: str) -> str:
        return arm if arm in posterior.arms else batch.renamed.get(arm, arm)

    goal = record.goal
    book = _align(_read_book(record, posterior, learner.prior.dim), posterior, find_name)
    if record.newest_reset > record.reset_snapshot:  # the posterior has forgotten what the past was worth
        book = settle_loss(book, record.lost_high)
    decisions = [_hide_share(_rename_arms(d, find_name), goal.baseline) for d in batch.decisions]
    book = add_decisions(book, decisions, posterior, goal)
    loss = predict_loss(book, posterior)
    share = find_share(book, posterior, goal, ahead)
    values = {
        "decisions": book.decisions,
        "earned": book.earned,
        "lost_mean": loss.mean,
        "lost_high": bound_loss(loss, book.decisions, goal),
        "book": encode_book(book),
        "snapshot": model.version,
        "folded_at": learner.store.clock.reference(),
        "ahead": ahead,
    }
    with learner.store.learner_transaction() as transaction:
        write_fold(transaction, batch, share, values)
    _log_turn(goal, record.share, share)
    return share


def _read_book(record: SafetyRecord, posterior: Posterior, dim: int) -> SafetyBook:
    """The stored book; of one that is damaged, the most that was lost, put down for good."""
    blank = SafetyBook.empty(posterior.arms, dim)
    if record.book is None:
        return blank
    try:
        return decode_book(record.book)
    except SnapshotCorrupt:
        log.error("the book of safety is damaged: it goes on from the most that was lost so far")
        return replace(blank, decisions=record.decisions, earned=record.earned, settled=record.lost_high)


def _align(book: SafetyBook, posterior: Posterior, find_name: Callable[[str], str]) -> SafetyBook:
    """The book with the rows of the posterior's arms; those of a renamed arm count for its new name."""
    if book.arms == posterior.arms:
        return book
    names = [find_name(arm) for arm in book.arms]
    rows = np.array([[arm == name for name in names] for arm in posterior.arms], dtype=float)
    past, recent = _combine(rows, book.past), _combine(rows, book.recent)
    return replace(book, arms=posterior.arms, past=past, recent=recent)


def _combine(rows: FloatArray, sums: Exposure) -> Exposure:
    return Exposure(rows @ sums.x, rows @ sums.by_task, rows @ sums.squares, sums.cost)


def _rename_arms(decision: Decision, find_name: Callable[[str], str]) -> Decision:
    """The decision with the names that its arms have now; one of both names has their probabilities' sum."""
    names = tuple(map(find_name, decision.eligible))
    if names == decision.eligible:
        return decision
    pmf: dict[str, float] = {}
    for name, p in zip(names, decision.pmf, strict=True):
        pmf[name] = pmf.get(name, 0.0) + p
    costs = dict(zip(names, decision.expected_costs_usd, strict=True))
    return replace(
        decision,
        eligible=tuple(pmf),
        pmf=tuple(pmf.values()),
        expected_costs_usd=tuple(costs[name] for name in pmf),
    )


def _hide_share(decision: Decision, baseline: str) -> Decision:
    """The decision without the share of the policy, where its PMF does not tell what that would have done."""
    if _tells_policy(decision.policy, baseline):
        return decision
    rest = {name: value for name, value in decision.signals.items() if name != SAFETY_SHARE}
    return replace(decision, signals=rest)


@lru_cache(maxsize=8)
def _tells_policy(spec: str, baseline: str) -> bool:
    """Whether a PMF of this policy tells what the bound one would have done.

    It does not while the incumbent of a rollout, which decides most, is another than the baseline.
    """
    if not spec.startswith(f"{Rollout.name}:"):
        return True
    policy = parse_policy(spec)
    return not isinstance(policy, Rollout) or policy.share == 1.0 or policy.incumbent == Fixed(baseline)


def _log_turn(goal: SafetyGoal, before: float, share: float) -> None:
    """Say when the bound begins to bind, and when it does not any more."""
    if before == 1.0 > share:
        log.info(
            "the policy is bound to baseline %r: it decides %.2f%% of the traffic",
            goal.baseline,
            100.0 * share,
        )
    elif before < 1.0 == share:
        log.info("the policy is free: %r was not lost to by more than is allowed", goal.baseline)
