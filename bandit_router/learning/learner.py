"""The learner: folds pending feedback into the next snapshot, in one transaction, from any worker.

:mod:`bandit_router.learning.accumulate` sees to it that every value is counted once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bandit_router.errors import SnapshotCorrupt
from bandit_router.learning.accumulate import apply_observations, make_accumulators
from bandit_router.learning.drift import NEWEST, RewardGap, calibrate, find_most_drifted_arm
from bandit_router.posterior.arm_priors import make_arm_prior, make_hyperprior
from bandit_router.posterior.confidence import empty_calibrators, make_calibrator_prior
from bandit_router.posterior.cost import make_cost_prior
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import (
    ModelState,
    align_warm_start,
    apply_warm_start,
    decode_state,
    empty_costs,
    empty_latencies,
    encode_state,
)
from bandit_router.posterior.warm_start import WarmStartEvidence
from bandit_router.settings import Settings
from bandit_router.store.arm_reset import record_arm_reset
from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.recent_predictions import read_recent_rewards
from bandit_router.store.store import Store
from bandit_router.types import Arm

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """The settings of learning. It keeps no state of its own: everything learned is in the store."""

    store: Store
    priors: Callable[[Arm], Prior]
    dim: int
    noise_variance: float
    half_life_s: float | None
    hyperprior: Hyperprior | None
    weights: Mapping[str, float]
    schema_id: str
    batch: int
    keep_snapshots: int
    cascades: bool = False

    def fold(self, *, wait: bool = False) -> int | None:
        """Fold one batch of pending feedback and publish; how many decisions it had.

        While another learner is at work: None, or with ``wait`` the pending feedback it left.
        """
        if not self.store.has_pending():
            return 0
        with self.store.learner_transaction(wait=wait) as transaction:
            if transaction is None:
                return None
            state = _read_newest_state(transaction)
            if state is None:
                return self.rebuild(transaction)
            observations = transaction.take_pending(self.batch)
            if any(apply_observations(transaction, state, observations, transaction.reward_weights).values()):
                self.publish(transaction, state)
            return len(observations)

    def fold_all(self, *, wait: bool = False) -> int:
        """Fold until nothing is pending; how many decisions. ``wait`` as for :meth:`fold`."""
        total, full = 0, True
        while full:  # a batch that is not full emptied the queue; later feedback is for the next call
            folded = self.fold(wait=wait) or 0
            total += folded
            full = folded >= self.batch
        return total

    def rebuild(self, transaction: LearnerTransaction) -> int:
        """Publish a model state made from nothing but the log; how many rewards it counts."""
        state = self.empty(transaction.read_arms())
        _apply_warm_start(transaction, state)
        counted = 0
        for observations in transaction.restart_from_log():
            counted += apply_observations(transaction, state, observations, self.weights)["reward"]
        transaction.publish(encode_state(state), self.weights, keep=self.keep_snapshots)
        return counted

    def reset(self, transaction: LearnerTransaction, arm: str, at: float) -> None:
        """Publish a model state that knows nothing of what ``arm`` did before ``at`` (Unix time).

        The younger rewards are counted anew, rather than the older ones subtracted, so that no rounding
        residue of these remains. The arm's warm start goes, too, unless it was loaded since.
        """
        still_counted = record_arm_reset(transaction, arm, at)
        _remove_arm_from_warm_start(transaction, arm, at)
        state = _read_newest_state(transaction)
        if state is None:
            self.rebuild(transaction)
            return
        for accumulator in make_accumulators(state, transaction.reward_weights):
            accumulator.statistics.forget(arm)
            accumulator.recount(still_counted)
        _apply_warm_start(transaction, state)
        self.publish(transaction, state)

    def reset_drifted(self) -> tuple[str, RewardGap] | None:
        """Reset the arm that drifted most, if any drifted so far; its name and its gap.

        The newest quarter of the gap's window stays counted. None, too, while another learner is at work.
        """
        with self.store.learner_transaction(wait=False) as transaction:
            if transaction is None:
                return None
            posterior = decode_state(transaction.snapshot()).rewards
            counts = dict(zip(posterior.arms, posterior.count.tolist(), strict=True))
            rewards = read_recent_rewards(transaction.connection, transaction.router, NEWEST)
            drifted = find_most_drifted_arm(calibrate(rewards, [], counts))
            if drifted is not None:
                arm, gap = drifted
                self.reset(transaction, arm, gap.late_since)
            return drifted

    def align_with_settings(self, transaction: LearnerTransaction) -> None:
        """Publish a model state that fits the settings and the arms, unless the newest one does."""
        state = _read_newest_state(transaction)
        if state is None:
            self.rebuild(transaction)
            return
        arms = transaction.read_arms()
        if not self._matches_settings(state.rewards, arms) or transaction.reward_weights != self.weights:
            log.warning("the settings of the posterior or the reward changed: rebuilding from the log")
            self.rebuild(transaction)
            return
        if self.cascades and state.calibrators is None:
            log.warning("cascades were switched on: learning from the log how confidence predicts reward")
            self.rebuild(transaction)
            return
        self.add_arms(transaction, state, arms)

    def add_arms(self, transaction: LearnerTransaction, state: ModelState, arms: Iterable[Arm]) -> None:
        """Give its prior to each of these arms that ``state`` lacks; publish when there is one."""
        new_arms = [arm for arm in arms if arm.name not in state.rewards]
        for arm in new_arms:
            prior, calibrators = self.priors(arm), state.calibrators
            state = ModelState(
                rewards=state.rewards.with_arm(arm.name, prior),
                costs=state.costs.with_arm(arm.name, make_cost_prior(self.dim)),
                latencies=state.latencies.with_arm(arm.name),
                calibrators=calibrators and calibrators.with_arm(arm.name, make_calibrator_prior(prior.mean)),
            )
        if new_arms:
            self.publish(transaction, state)

    def warm_start(
        self,
        transaction: LearnerTransaction,
        evidence: WarmStartEvidence | None,
        trust: float | None,
        now: float,
    ) -> int:
        """Publish the model state with this evidence as its warm start, replacing any other; the version."""
        state = apply_warm_start(decode_state(transaction.snapshot()), evidence, trust, now)
        stored = None
        if evidence is not None:
            stored = encode_state(state._replace(calibrators=None).without_evidence())
        source = "" if evidence is None else evidence.source
        transaction.insert_warm_start(stored, source=source, trust=trust, now=now)
        return self.publish(transaction, state)

    def empty(self, arms: Iterable[Arm]) -> ModelState:
        """The model state of these arms without any evidence: their priors."""
        rewards = Posterior.empty(
            {arm.name: self.priors(arm) for arm in arms},
            schema_id=self.schema_id,
            noise_variance=self.noise_variance,
            half_life_s=self.half_life_s,
            hyperprior=self.hyperprior,
            dim=self.dim,
        )
        calibrators = empty_calibrators(rewards) if self.cascades else None
        return ModelState(rewards, empty_costs(rewards), empty_latencies(rewards), calibrators)

    def publish(self, transaction: LearnerTransaction, state: ModelState) -> int:
        """Publish a model state that counts rewards with the weights on record; the version."""
        return transaction.publish(encode_state(state), transaction.reward_weights, keep=self.keep_snapshots)

    def _matches_settings(self, posterior: Posterior, arms: Iterable[Arm]) -> bool:
        """Whether the posterior has the priors, the noise and the forgetting of the settings."""
        by_name = {arm.name: self.priors(arm) for arm in arms}
        priors = [by_name[arm] for arm in posterior.arms]
        return (
            posterior.noise_variance == self.noise_variance
            and posterior.half_life_s == self.half_life_s
            and posterior.hyperprior == self.hyperprior
            and posterior.dim == self.dim
            and all(np.array_equal(p.mean, m) for p, m in zip(priors, posterior.prior_mean, strict=True))
            and all(
                np.array_equal(p.precision, m) for p, m in zip(priors, posterior.prior_precision, strict=True)
            )
        )


def _apply_warm_start(transaction: LearnerTransaction, state: ModelState) -> None:
    """Put the warm start in force behind the posteriors of ``state``, in place."""
    record = transaction.warm_start()
    if record is not None:
        evidence = decode_state(record.evidence)
        state.rewards.warm, state.costs.warm = align_warm_start(evidence, state.rewards.arms)


def _remove_arm_from_warm_start(transaction: LearnerTransaction, arm: str, at: float) -> None:
    """Take the arm out of the warm start in force, if that was loaded before ``at`` (Unix time)."""
    record = transaction.warm_start()
    if record is None or record.loaded_at >= at:
        return
    evidence = decode_state(record.evidence)
    if arm not in evidence.rewards:
        return
    for statistics in evidence.components:
        statistics.forget(arm)
    transaction.insert_warm_start(
        encode_state(evidence), source=record.source, trust=record.trust, now=record.loaded_at
    )


def _read_newest_state(transaction: LearnerTransaction) -> ModelState | None:
    """The model state of the newest snapshot; None when it is unusable and must be rebuilt from the log."""
    try:
        return decode_state(transaction.snapshot())
    except SnapshotCorrupt:
        log.exception("snapshot %d is unusable: rebuilding from the log", transaction.version)
        return None


def make_learner(store: Store, settings: Settings, schema_id: str, dim: int) -> Learner:
    """A learner with the priors, the noise, the forgetting and the reward of the settings."""
    section = settings.posterior
    expected = {arm.name: arm.expected_quality for arm in settings.arms}
    return Learner(
        store=store,
        priors=lambda arm: make_arm_prior(section, dim, arm, expected.get(arm.name)),
        dim=dim,
        noise_variance=section.noise_std**2,
        half_life_s=section.half_life_s,
        hyperprior=make_hyperprior(section),
        weights=settings.reward.weights,
        schema_id=schema_id,
        batch=settings.learner.batch,
        keep_snapshots=settings.store.keep_snapshots,
        cascades=settings.cascade.enabled,
    )
