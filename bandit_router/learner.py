"""Folds feedback into what is learned: each value once, whoever does it and however often.

What is now known of a decision is compared with what is on record as counted, and the difference is
added to the sums. So a retry adds nothing, a revision adds the difference, and what was counted can
always be told from the log.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from bandit_router.calibration import NEWEST, Gap, calibrate, most_drifted
from bandit_router.calibrators import no_calibrators, prior_of, with_confidence
from bandit_router.config import Settings
from bandit_router.costs import HYPERPRIOR, prior_of_costs, root_of
from bandit_router.errors import SnapshotCorrupt
from bandit_router.hierarchy import Hyperprior
from bandit_router.latency import Latencies
from bandit_router.posterior import Posterior, Prior
from bandit_router.priors import make_hyperprior, prior_of_arm
from bandit_router.reward import reward
from bandit_router.snapshot import decode, decode_latencies, encode, encode_latencies
from bandit_router.store.fold import Fold, Snapshot
from bandit_router.store.recent import rewarded
from bandit_router.store.records import Observation
from bandit_router.store.reset import forget
from bandit_router.store.store import Store
from bandit_router.types import CONFIDENCE, Arm, FloatArray, Reason
from bandit_router.warm import Evidence, Warm, aligned

log = logging.getLogger(__name__)


class Statistics(Protocol):
    """What values are added up in: one value at the context x (d,), or values (n,) at contexts (n, d)."""

    def observe_many(self, arm: str, x: FloatArray, values: FloatArray, at: FloatArray, /) -> None: ...

    def retract(self, arm: str, x: FloatArray, value: float, at: float, /) -> None: ...

    def revise(self, arm: str, x: FloatArray, old: float, new: float, at: float, /) -> None: ...


class Learned(NamedTuple):
    """A snapshot, of the same arms throughout: the posterior of rewards, that of the roots of cost over list
    cost, latencies, and the posterior of rewards given a confidence, which is None where no cascade is on."""

    rewards: Posterior
    costs: Posterior
    latencies: Latencies
    calibrators: Posterior | None = None

    @property
    def everything(self) -> tuple[Posterior | Latencies, ...]:
        """All that there is."""
        return tuple(part for part in self if part is not None)

    def copy(self) -> Learned:
        """The same, to be changed apart."""
        calibrators = self.calibrators and self.calibrators.copy()
        return Learned(self.rewards.copy(), self.costs.copy(), self.latencies.copy(), calibrators)

    def without_evidence(self) -> Learned:
        """The same arms and priors, having seen nothing."""
        return Learned(
            self.rewards.without_evidence(),
            self.costs.without_evidence(),
            self.latencies.without_evidence(),
            self.calibrators and self.calibrators.without_evidence(),
        )


class Term(NamedTuple):
    """What is counted of an observation, and what is on record as counted; None is nothing."""

    what: str
    now: Callable[[Observation], float | None]
    counted: Callable[[Observation], float | None]

    def due(self, seen: Observation) -> float | None:
        """What should be counted: what is known now, and nothing of an arm as it was before a reset."""
        return None if seen.forgotten else self.now(seen)


COST = Term(
    what="cost",
    now=lambda seen: root_of(seen.metrics.get("cost_usd"), seen.list_cost_usd),
    counted=lambda seen: seen.folded_root,
)
LATENCY = Term(
    what="latency",
    now=lambda seen: seen.metrics.get("latency_s"),
    counted=lambda seen: seen.folded_latency_s,
)


def reward_term(weights: Mapping[str, float]) -> Term:
    """The reward of these metric weights.

    Not that of a retry: only queries that an answer was unsure of are retried, which x does not tell.
    """
    return Term(
        what="reward",
        now=lambda seen: None if seen.reason == Reason.ESCALATION else reward(seen.metrics, weights),
        counted=lambda seen: seen.folded,
    )


def confident_term(weights: Mapping[str, float]) -> Term:
    """The reward of these metric weights, where there is a confidence to judge it by."""
    return Term(
        what="confident",
        now=lambda seen: reward(seen.metrics, weights) if CONFIDENCE in seen.metrics else None,
        counted=lambda seen: seen.folded_confident,
    )


class Part(NamedTuple):
    """One part of what is learned: what is counted in which statistics, and the posterior whose arms and
    contexts are theirs."""

    term: Term
    statistics: Posterior | Latencies
    posterior: Posterior

    def sees(self, seen: Iterable[Observation]) -> list[Observation]:
        """The observations that are of use to it, with the contexts that it knows them by."""
        if self.term.what != "confident":
            return list(seen)
        return [
            one._replace(x=with_confidence(one.x, one.metrics[CONFIDENCE]))
            for one in seen
            if CONFIDENCE in one.metrics
        ]

    def recount(self, seen: Iterable[Observation]) -> None:
        """Count what is on record as counted of these, as far as it can be learned from."""
        readable = [one for one in self.sees(seen) if obstacle(self.posterior, one) is None]
        count(
            self.statistics,
            [(one, value) for one in readable if (value := self.term.counted(one)) is not None],
        )


def parts(learned: Learned, weights: Mapping[str, float]) -> list[Part]:
    """All that is learned."""
    rewards, costs, latencies, calibrators = learned
    found = [
        Part(reward_term(weights), rewards, rewards),
        Part(COST, costs, costs),
        Part(LATENCY, latencies, rewards),
    ]
    if calibrators is not None:
        found.append(Part(confident_term(weights), calibrators, calibrators))
    return found


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
            if any(learn(fold, learned, seen, fold.reward_weights).values()):
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

    def rebuild(self, fold: Fold) -> int:
        """Publish a posterior made from nothing but the log; how many rewards it counts."""
        learned = self.empty(self.store.arms_in(fold))
        _start_warm(fold, learned)
        counted = 0
        for seen in fold.take_everything():
            counted += learn(fold, learned, seen, self.weights)["reward"]
        fold.publish(encode_snapshot(learned), self.weights, keep=self.keep_snapshots)
        return counted

    def reset(self, fold: Fold, arm: str, at: float) -> None:
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
        for part in parts(learned, fold.reward_weights):
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
            posterior = read_snapshot(fold.snapshot()).rewards
            counts = dict(zip(posterior.arms, posterior.count.tolist(), strict=True))
            rows = rewarded(fold.connection, fold.router, NEWEST)
            found = most_drifted(calibrate(rows, [], counts))
            if found is not None:
                arm, gap = found
                self.reset(fold, arm, gap.late_since)
            return found

    def adopt(self, fold: Fold) -> None:
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

    def include(self, fold: Fold, learned: Learned, arms: Iterable[Arm]) -> None:
        """Give each of these arms that the newest snapshot lacks its prior; publish if there is one."""
        new = [arm for arm in arms if arm.name not in learned.rewards]
        for arm in new:
            prior, calibrators = self.priors(arm), learned.calibrators
            learned = Learned(
                rewards=learned.rewards.with_arm(arm.name, prior),
                costs=learned.costs.with_arm(arm.name, prior_of_costs(self.dim)),
                latencies=learned.latencies.with_arm(arm.name),
                calibrators=calibrators and calibrators.with_arm(arm.name, prior_of(prior.mean)),
            )
        if new:
            self.publish(fold, learned)

    def warm_start(self, fold: Fold, evidence: Evidence | None, trust: float | None, now: float) -> int:
        """Publish what is learned on top of this evidence instead of any before; its version."""
        learned = warmed(read_snapshot(fold.snapshot()), evidence, trust, now)
        stored = None
        if evidence is not None:
            stored = encode_snapshot(learned._replace(calibrators=None).without_evidence())
        source = "" if evidence is None else evidence.source
        fold.put_warm_start(stored, source=source, trust=trust, now=now)
        return self.publish(fold, learned)

    def empty(self, arms: Iterable[Arm]) -> Learned:
        """What is believed of these arms before anything was seen."""
        rewards = Posterior.empty(
            {arm.name: self.priors(arm) for arm in arms},
            schema_id=self.schema_id,
            noise_variance=self.noise_variance,
            half_life_s=self.half_life_s,
            hyperprior=self.hyperprior,
            dim=self.dim,
        )
        calibrators = no_calibrators(rewards) if self.cascades else None
        return Learned(rewards, no_costs(rewards), no_latencies(rewards), calibrators)

    def publish(self, fold: Fold, learned: Learned) -> int:
        """Publish what was learned, all of it from rewards made with the weights on record."""
        return fold.publish(encode_snapshot(learned), fold.reward_weights, keep=self.keep_snapshots)

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


def no_costs(rewards: Posterior) -> Posterior:
    """What is believed of the costs of the same arms before any was reported."""
    return Posterior.empty(
        dict.fromkeys(rewards.arms, prior_of_costs(rewards.dim)),
        schema_id=rewards.schema_id,
        noise_variance=HYPERPRIOR.noise_std**2,
        half_life_s=rewards.half_life_s,
        hyperprior=HYPERPRIOR,
        dim=rewards.dim,
    )


def no_latencies(rewards: Posterior) -> Latencies:
    """The same arms before any was timed."""
    return Latencies.empty(rewards.arms, rewards.half_life_s)


def warmed(learned: Learned, evidence: Evidence | None, trust: float | None, since: float) -> Learned:
    """The same with this warm start and no other; None for without. ``since`` is Unix time, seconds."""
    found = learned.copy()
    found.rewards.warm = found.costs.warm = None
    if evidence is not None:
        weight, theirs, ours = evidence.weight(trust), evidence.arms, found.rewards.arms
        found.rewards.warm = Warm(aligned(evidence.rewards, theirs, ours), weight, since)
        found.costs.warm = Warm(aligned(evidence.costs, theirs, ours), weight, since)
    return found


def warm_of(source: Learned, arms: Sequence[str]) -> tuple[Warm | None, Warm | None]:
    """The warm start of rewards and of costs, for these arms."""
    rewards, costs = (p.warm and p.warm.aligned(p.arms, arms) for p in (source.rewards, source.costs))
    return rewards, costs


def read_snapshot(snapshot: Snapshot) -> Learned:
    """What a snapshot says. Raises SnapshotCorrupt."""
    rewards = decode(snapshot.posterior)
    return Learned(
        rewards,
        no_costs(rewards) if snapshot.costs is None else decode(snapshot.costs),
        no_latencies(rewards) if snapshot.latencies is None else decode_latencies(snapshot.latencies),
        None if snapshot.calibrators is None else decode(snapshot.calibrators),
    )


def _start_warm(fold: Fold, learned: Learned) -> None:
    """Put the evidence from elsewhere that is in force behind what is learned."""
    warm = fold.warm_start()
    if warm is not None:
        evidence = read_snapshot(warm.evidence)
        learned.rewards.warm, learned.costs.warm = warm_of(evidence, learned.rewards.arms)


def _forget_elsewhere(fold: Fold, arm: str, at: float) -> None:
    """Leave the arm out of the evidence from elsewhere, if that was loaded before ``at`` (Unix time)."""
    warm = fold.warm_start()
    if warm is None or warm.loaded_at >= at:
        return
    left = read_snapshot(warm.evidence)
    if arm not in left.rewards:
        return
    for part in left.everything:
        part.forget(arm)
    fold.put_warm_start(encode_snapshot(left), source=warm.source, trust=warm.trust, now=warm.loaded_at)


def _newest(fold: Fold) -> Learned | None:
    """What the newest snapshot says; None when it is unusable, so that the log has to be read again."""
    try:
        return read_snapshot(fold.snapshot())
    except SnapshotCorrupt:
        log.exception("snapshot %d is unusable: rebuilding from the log", fold.version)
        return None


def encode_snapshot(learned: Learned) -> Snapshot:
    """The inverse of :func:`read_snapshot`."""
    latencies = encode_latencies(learned.latencies) if learned.latencies.count.any() else None
    calibrators = None if learned.calibrators is None else encode(learned.calibrators)
    return Snapshot(encode(learned.rewards), encode(learned.costs), latencies, calibrators)


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


def learn(
    fold: Fold, learned: Learned, seen: Sequence[Observation], weights: Mapping[str, float]
) -> dict[str, int]:
    """Bring all that is learned up to date with what was seen, and the record; how many values changed."""
    changed = {}
    for part in parts(learned, weights):
        values = add(part.statistics, part.sees(seen), part.term, part.posterior)
        fold.count(part.term.what, values)
        changed[part.term.what] = len(values)
    return changed


def add(
    statistics: Statistics, seen: Iterable[Observation], term: Term, posterior: Posterior
) -> dict[str, float | None]:
    """Bring the sums up to date with what was seen, in place; the values that changed, by decision.

    A row that cannot be learned from, as :func:`obstacle` says of ``posterior``, is left out and named in
    the log: it must not stop the others.
    """
    changed: dict[str, float | None] = {}
    fresh: list[tuple[Observation, float]] = []
    for observation in seen:
        new, old = term.due(observation), term.counted(observation)
        if new == old:
            continue
        problem = obstacle(posterior, observation)
        if problem:
            log.error("decision %s is left out of learning: %s", observation.decision_id, problem)
            continue
        changed[observation.decision_id] = new
        where = observation.arm, observation.x
        if old is None:
            assert new is not None
            fresh.append((observation, new))
        elif new is None:
            statistics.retract(*where, old, observation.decided_at)
        else:
            statistics.revise(*where, old, new, observation.decided_at)
    count(statistics, fresh)
    return changed


def count(statistics: Statistics, values: Iterable[tuple[Observation, float]]) -> None:
    """Count values that are not in the sums yet, arm by arm, in place."""
    by_arm: dict[str, list[tuple[Observation, float]]] = defaultdict(list)
    for observation, value in values:
        by_arm[observation.arm].append((observation, value))
    for arm, rows in by_arm.items():
        statistics.observe_many(
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
