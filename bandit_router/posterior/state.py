"""All that is learned, as one: made empty, warmed, read from a snapshot and written to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.posterior.codec import decode, decode_latencies, encode, encode_latencies
from bandit_router.posterior.cost import HYPERPRIOR, prior_of_costs
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.warm_start import Evidence, Warm, aligned
from bandit_router.types import Snapshot


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


def encode_snapshot(learned: Learned) -> Snapshot:
    """The inverse of :func:`read_snapshot`."""
    latencies = encode_latencies(learned.latencies) if learned.latencies.count.any() else None
    calibrators = None if learned.calibrators is None else encode(learned.calibrators)
    return Snapshot(encode(learned.rewards), encode(learned.costs), latencies, calibrators)
