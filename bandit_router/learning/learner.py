"""Folds feedback into the next snapshot, in one transaction, whoever does it and however often.

What is counted of an observation, and only once: :mod:`bandit_router.learning.accumulate`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bandit_router.errors import SnapshotCorrupt
from bandit_router.learning.accumulate import accumulators_of, apply_observations
from bandit_router.learning.drift import NEWEST, Gap, calibrate, most_drifted
from bandit_router.posterior.confidence import empty_calibrators, prior_of_calibrators
from bandit_router.posterior.cost import prior_of_costs
from bandit_router.posterior.hierarchical import Hyperprior
from bandit_router.posterior.linear import Posterior, Prior
from bandit_router.posterior.priors import make_hyperprior, prior_of_arm
from bandit_router.posterior.state import (
    ModelState,
    decode_state,
    empty_costs,
    empty_latencies,
    encode_state,
    warm_start_for,
    with_warm_start,
)
from bandit_router.posterior.warm_start import Evidence
from bandit_router.settings import Settings
from bandit_router.store.fold import LearnerTransaction
from bandit_router.store.recent import rewarded
from bandit_router.store.reset import forget
from bandit_router.store.store import Store
from bandit_router.types import Arm

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """How rewards are made and learned. Stateless: everything it knows is in the store."""

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
        """Fold pending feedback and publish; how many decisions.

        While another learner is at it: None, or with ``wait`` what that one left.
        """
        if not self.store.has_pending():
            return 0
        with self.store.folding(wait=wait) as fold:
            if fold is None:
                return None
            learned = _newest(fold)
            if learned is None:
                return self.rebuild(fold)
            seen = fold.take(self.batch)
            if any(apply_observations(fold, learned, seen, fold.reward_weights).values()):
                self.publish(fold, learned)
            return len(seen)

    def fold_all(self, *, wait: bool = False) -> int:
        """Fold until nothing is pending; how many decisions. ``wait`` as for :meth:`fold`."""
        touched, full = 0, True
        while full:  # a batch that is not full took all there was; later feedback is for the next call
            some = self.fold(wait=wait) or 0
            touched += some
            full = some >= self.batch
        return touched

    def rebuild(self, fold: LearnerTransaction) -> int:
        """Publish a posterior made from nothing but the log; how many rewards it counts."""
        learned = self.empty(self.store.arms_in(fold))
        _start_warm(fold, learned)
        counted = 0
        for seen in fold.take_everything():
            counted += apply_observations(fold, learned, seen, self.weights)["reward"]
        fold.publish(encode_state(learned), self.weights, keep=self.keep_snapshots)
        return counted

    def reset(self, fold: LearnerTransaction, arm: str, at: float) -> None:
        """Publish a posterior that knows nothing of what ``arm`` did before ``at`` (Unix time).

        Its younger rewards are counted anew rather than the older ones subtracted: nothing is left of these.
        What is known from elsewhere goes, too, unless it was loaded since.
        """
        kept = forget(fold, arm, at)
        _forget_elsewhere(fold, arm, at)
        learned = _newest(fold)
        if learned is None:
            self.rebuild(fold)
            return
        for part in accumulators_of(learned, fold.reward_weights):
            part.statistics.forget(arm)
            part.recount(kept)
        _start_warm(fold, learned)
        self.publish(fold, learned)

    def reset_drifted(self) -> tuple[str, Gap] | None:
        """Reset the arm that drifted most, to what is certainly new, if one did; which, and how far.

        None, too, while another learner is at it.
        """
        with self.store.folding(wait=False) as fold:
            if fold is None:
                return None
            posterior = decode_state(fold.snapshot()).rewards
            counts = dict(zip(posterior.arms, posterior.count.tolist(), strict=True))
            rows = rewarded(fold.connection, fold.router, NEWEST)
            found = most_drifted(calibrate(rows, [], counts))
            if found is not None:
                arm, gap = found
                self.reset(fold, arm, gap.late_since)
            return found

    def adopt(self, fold: LearnerTransaction) -> None:
        """Make the newest snapshot fit the settings and the arms; publish only when it does not."""
        learned = _newest(fold)
        if learned is None:
            self.rebuild(fold)
            return
        arms = self.store.arms_in(fold)
        if not self._agrees(learned.rewards, arms) or fold.reward_weights != self.weights:
            log.warning("the settings of the posterior or the reward changed: rebuilding from the log")
            self.rebuild(fold)
            return
        if self.cascades and learned.calibrators is None:
            log.warning("cascades are on: learning from the log what confidence is worth")
            self.rebuild(fold)
            return
        self.include(fold, learned, arms)

    def include(self, fold: LearnerTransaction, learned: ModelState, arms: Iterable[Arm]) -> None:
        """Give each of these arms that the newest snapshot lacks its prior; publish if there is one."""
        new = [arm for arm in arms if arm.name not in learned.rewards]
        for arm in new:
            prior, calibrators = self.priors(arm), learned.calibrators
            learned = ModelState(
                rewards=learned.rewards.with_arm(arm.name, prior),
                costs=learned.costs.with_arm(arm.name, prior_of_costs(self.dim)),
                latencies=learned.latencies.with_arm(arm.name),
                calibrators=calibrators and calibrators.with_arm(arm.name, prior_of_calibrators(prior.mean)),
            )
        if new:
            self.publish(fold, learned)

    def warm_start(
        self, fold: LearnerTransaction, evidence: Evidence | None, trust: float | None, now: float
    ) -> int:
        """Publish what is learned on top of this evidence instead of any before; its version."""
        learned = with_warm_start(decode_state(fold.snapshot()), evidence, trust, now)
        stored = None
        if evidence is not None:
            stored = encode_state(learned._replace(calibrators=None).without_evidence())
        source = "" if evidence is None else evidence.source
        fold.put_warm_start(stored, source=source, trust=trust, now=now)
        return self.publish(fold, learned)

    def empty(self, arms: Iterable[Arm]) -> ModelState:
        """What is believed of these arms before anything was seen."""
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

    def publish(self, fold: LearnerTransaction, learned: ModelState) -> int:
        """Publish what was learned, all of it from rewards made with the weights on record."""
        return fold.publish(encode_state(learned), fold.reward_weights, keep=self.keep_snapshots)

    def _agrees(self, posterior: Posterior, arms: Iterable[Arm]) -> bool:
        known = {arm.name: self.priors(arm) for arm in arms}
        priors = [known[arm] for arm in posterior.arms]
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


def _start_warm(fold: LearnerTransaction, learned: ModelState) -> None:
    """Put the evidence from elsewhere that is in force behind what is learned."""
    warm = fold.warm_start()
    if warm is not None:
        evidence = decode_state(warm.evidence)
        learned.rewards.warm, learned.costs.warm = warm_start_for(evidence, learned.rewards.arms)


def _forget_elsewhere(fold: LearnerTransaction, arm: str, at: float) -> None:
    """Leave the arm out of the evidence from elsewhere, if that was loaded before ``at`` (Unix time)."""
    warm = fold.warm_start()
    if warm is None or warm.loaded_at >= at:
        return
    left = decode_state(warm.evidence)
    if arm not in left.rewards:
        return
    for part in left.everything:
        part.forget(arm)
    fold.put_warm_start(encode_state(left), source=warm.source, trust=warm.trust, now=warm.loaded_at)


def _newest(fold: LearnerTransaction) -> ModelState | None:
    """What the newest snapshot says; None when it is unusable, so that the log has to be read again."""
    try:
        return decode_state(fold.snapshot())
    except SnapshotCorrupt:
        log.exception("snapshot %d is unusable: rebuilding from the log", fold.version)
        return None


def make_learner(store: Store, settings: Settings, schema_id: str, dim: int) -> Learner:
    """A learner with the settings' priors, noise, forgetting and reward."""
    section = settings.posterior
    expected = {arm.name: arm.expected_quality for arm in settings.arms}
    return Learner(
        store=store,
        priors=lambda arm: prior_of_arm(section, dim, arm, expected.get(arm.name)),
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
