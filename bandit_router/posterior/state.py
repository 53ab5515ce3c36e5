"""All that is learned, as one: made empty, warmed, read from a snapshot and written to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.posterior.codec import (
    decode_latencies,
    decode_posterior,
    encode_latencies,
    encode_posterior,
)
from bandit_router.posterior.cost import COST_HYPERPRIOR, make_cost_prior
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.regression_sums import align_sums
from bandit_router.posterior.warm_start import WarmStart, WarmStartEvidence
from bandit_router.types import Snapshot


class ModelState(NamedTuple):
    """A snapshot, of the same arms throughout: the posterior of rewards, that of the roots of cost over list
    cost, latencies, and the posterior of rewards given a confidence, which is None where no cascade is on."""

    rewards: Posterior
    costs: Posterior
    latencies: Latencies
    calibrators: Posterior | None = None

    @property
    def components(self) -> tuple[Posterior | Latencies, ...]:
        """All that there is."""
        return tuple(part for part in self if part is not None)

    def copy(self) -> ModelState:
        """The same, to be changed apart."""
        calibrators = self.calibrators and self.calibrators.copy()
        return ModelState(self.rewards.copy(), self.costs.copy(), self.latencies.copy(), calibrators)

    def without_evidence(self) -> ModelState:
        """The same arms and priors, having seen nothing."""
        return ModelState(
            self.rewards.without_evidence(),
            self.costs.without_evidence(),
            self.latencies.without_evidence(),
            self.calibrators and self.calibrators.without_evidence(),
        )


def empty_costs(rewards: Posterior) -> Posterior:
    """What is believed of the costs of the same arms before any was reported."""
    return Posterior.empty(
        dict.fromkeys(rewards.arms, make_cost_prior(rewards.dim)),
        schema_id=rewards.schema_id,
        noise_variance=COST_HYPERPRIOR.noise_std**2,
        half_life_s=rewards.half_life_s,
        hyperprior=COST_HYPERPRIOR,
        dim=rewards.dim,
    )


def empty_latencies(rewards: Posterior) -> Latencies:
    """The same arms before any was timed."""
    return Latencies.empty(rewards.arms, rewards.half_life_s)


def apply_warm_start(
    learned: ModelState, evidence: WarmStartEvidence | None, trust: float | None, since: float
) -> ModelState:
    """The same with this warm start and no other; None for without. ``since`` is Unix time, seconds."""
    found = learned.copy()
    found.rewards.warm = found.costs.warm = None
    if evidence is not None:
        weight, theirs, ours = evidence.weight(trust), evidence.arms, found.rewards.arms
        found.rewards.warm = WarmStart(align_sums(evidence.rewards, theirs, ours), weight, since)
        found.costs.warm = WarmStart(align_sums(evidence.costs, theirs, ours), weight, since)
    return found


def align_warm_start(source: ModelState, arms: Sequence[str]) -> tuple[WarmStart | None, WarmStart | None]:
    """The warm start of rewards and of costs, for these arms."""
    rewards, costs = (p.warm and p.warm.align(p.arms, arms) for p in (source.rewards, source.costs))
    return rewards, costs


def decode_state(snapshot: Snapshot) -> ModelState:
    """What a snapshot says. Raises SnapshotCorrupt."""
    rewards = decode_posterior(snapshot.posterior)
    return ModelState(
        rewards,
        empty_costs(rewards) if snapshot.costs is None else decode_posterior(snapshot.costs),
        empty_latencies(rewards) if snapshot.latencies is None else decode_latencies(snapshot.latencies),
        None if snapshot.calibrators is None else decode_posterior(snapshot.calibrators),
    )


def encode_state(learned: ModelState) -> Snapshot:
    """The inverse of :func:`decode_state`."""
    latencies = encode_latencies(learned.latencies) if learned.latencies.count.any() else None
    calibrators = None if learned.calibrators is None else encode_posterior(learned.calibrators)
    return Snapshot(
        encode_posterior(learned.rewards), encode_posterior(learned.costs), latencies, calibrators
    )
