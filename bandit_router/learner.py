"""Folds feedback into the posterior: each reward once, whoever does it and however often.

A decision's current reward is compared with the reward on record as counted, and the difference is
added to the sums. So a retry adds nothing, a revision adds the difference, and what was counted can
always be told from the log.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bandit_router.config import PosteriorSection, Settings
from bandit_router.errors import SnapshotCorrupt
from bandit_router.posterior import Posterior, Prior
from bandit_router.reward import reward
from bandit_router.snapshot import decode, encode
from bandit_router.store.fold import Fold
from bandit_router.store.records import Observation
from bandit_router.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """How rewards are made and learned. Stateless: everything it knows is in the store."""

    store: Store
    prior: Prior
    noise_variance: float
    half_life_s: float | None
    weights: Mapping[str, float]
    schema_id: str
    batch: int
    keep_snapshots: int

    def fold(self, *, wait: bool = False) -> int | None:
        """Fold pending feedback and publish; how many decisions.

        While another learner is at it: None, or with ``wait`` what that one left.
        """
        if not self.store.has_pending():
            return 0
        with self.store.folding(wait=wait) as fold:
            if fold is None:
                return None
            try:
                posterior = decode(fold.posterior())
            except SnapshotCorrupt:
                log.exception("snapshot %d is unusable: rebuilding from the log", fold.version)
                return self.rebuild(fold)
            seen = fold.take(self.batch)
            changed = add(posterior, seen, fold.reward_weights)
            if changed:
                fold.count(changed)
                self.publish(fold, posterior)
            return len(seen)

    def rebuild(self, fold: Fold) -> int:
        """Publish a posterior made from nothing but the log; how many rewards it counts."""
        posterior = self.empty(arm.name for arm in self.store.arms_in(fold))
        counted = 0
        for seen in fold.take_everything():
            rewards = add(posterior, seen, self.weights)
            fold.count(rewards)
            counted += len(rewards)
        fold.publish(encode(posterior), self.weights, keep=self.keep_snapshots)
        return counted

    def adopt(self, fold: Fold) -> None:
        """Make the newest snapshot fit the settings and the arms; publish only when it does not."""
        try:
            posterior = decode(fold.posterior())
        except SnapshotCorrupt:
            log.exception("snapshot %d is unusable: rebuilding from the log", fold.version)
            self.rebuild(fold)
            return
        if not self._agrees(posterior) or fold.reward_weights != self.weights:
            log.warning("the settings of the posterior or the reward changed: rebuilding from the log")
            self.rebuild(fold)
            return
        self.include(fold, posterior)

    def include(self, fold: Fold, posterior: Posterior) -> None:
        """Give every arm that the newest ``posterior`` does not know its prior; publish if there is one."""
        new = [arm.name for arm in self.store.arms_in(fold) if arm.name not in posterior]
        for arm in new:
            posterior = posterior.with_arm(arm, self.prior)
        if new:
            self.publish(fold, posterior)

    def empty(self, arms: Iterable[str]) -> Posterior:
        """A posterior of these arms that has seen nothing."""
        return Posterior.empty(
            dict.fromkeys(arms, self.prior),
            schema_id=self.schema_id,
            noise_variance=self.noise_variance,
            half_life_s=self.half_life_s,
            dim=self.prior.mean.size,
        )

    def publish(self, fold: Fold, posterior: Posterior) -> int:
        """Publish a posterior whose rewards were all made with the weights on record."""
        return fold.publish(encode(posterior), fold.reward_weights, keep=self.keep_snapshots)

    def _agrees(self, posterior: Posterior) -> bool:
        return (
            posterior.noise_variance == self.noise_variance
            and posterior.half_life_s == self.half_life_s
            and posterior.dim == self.prior.mean.size
            and bool((posterior.prior_mean == self.prior.mean).all())
            and bool((posterior.prior_precision == self.prior.precision).all())
        )


def make_learner(store: Store, settings: Settings, schema_id: str, dim: int) -> Learner:
    """A learner with the settings' prior, noise, forgetting and reward."""
    return Learner(
        store=store,
        prior=make_prior(settings.posterior, dim),
        noise_variance=settings.posterior.noise_std**2,
        half_life_s=settings.posterior.half_life_s,
        weights=settings.reward.weights,
        schema_id=schema_id,
        batch=settings.learner.batch,
        keep_snapshots=settings.store.keep_snapshots,
    )


def make_prior(section: PosteriorSection, dim: int) -> Prior:
    """Reward ``prior_mean`` whatever the query, give or take: x[0] is the bias, the rest features."""
    mean = np.zeros(dim)
    mean[0] = section.prior_mean
    precision = np.full(dim, section.weight_std**-2.0)
    precision[0] = section.prior_std**-2.0
    return Prior(mean=mean, precision=precision)


def add(
    posterior: Posterior, seen: Iterable[Observation], weights: Mapping[str, float]
) -> dict[str, float | None]:
    """Bring the sums up to date with what was seen, in place; the rewards that changed, by decision.

    A row that cannot be learned from is left out and named in the log: it must not stop the others.
    """
    changed: dict[str, float | None] = {}
    fresh: list[tuple[Observation, float]] = []
    for observation in seen:
        new = reward(observation.metrics, weights)
        if new == observation.folded:
            continue
        problem = obstacle(posterior, observation)
        if problem:
            log.error("decision %s is left out of learning: %s", observation.decision_id, problem)
            continue
        changed[observation.decision_id] = new
        where = observation.arm, observation.x
        if observation.folded is None:
            assert new is not None
            fresh.append((observation, new))
        elif new is None:
            posterior.retract(*where, observation.folded, observation.decided_at)
        else:
            posterior.revise(*where, observation.folded, new, observation.decided_at)
    count(posterior, fresh)
    return changed


def count(posterior: Posterior, rewards: Iterable[tuple[Observation, float]]) -> None:
    """Count rewards that are not in the sums yet, arm by arm, in place."""
    by_arm: dict[str, list[tuple[Observation, float]]] = defaultdict(list)
    for observation, value in rewards:
        by_arm[observation.arm].append((observation, value))
    for arm, rows in by_arm.items():
        posterior.observe_many(
            arm,
            np.array([observation.x for observation, _ in rows]),
            np.array([value for _, value in rows]),
            np.array([observation.decided_at for observation, _ in rows]),
        )


def obstacle(posterior: Posterior, observation: Observation) -> str | None:
    """Why this row cannot be learned from; None when it can."""
    if observation.arm not in posterior:
        return f"arm {observation.arm!r} is not in the posterior"
    if observation.schema_id != posterior.schema_id or observation.x.size != posterior.dim:
        return f"its context is of schema {observation.schema_id}, the posterior of {posterior.schema_id}"
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.square(observation.x).sum())
    if not (math.isfinite(square) and math.isfinite(observation.decided_at)):
        return "its context or time is not finite"
    return None
