"""The model state: posteriors of reward, cost and confidence, and latencies; from and to a snapshot."""

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
    """The posterior of rewards, that of cost roots, latencies, and the calibrators, all of the same arms.

    ``calibrators`` are None if no cascade is on.
    """

    rewards: Posterior
    costs: Posterior
    latencies: Latencies
    calibrators: Posterior | None = None

    @property
    def components(self) -> tuple[Posterior | Latencies, ...]:
        """Its components, without calibrators if there are none."""
        return tuple(component for component in self if component is not None)

    def copy(self) -> ModelState:
        """An independent copy."""
        calibrators = self.calibrators and self.calibrators.copy()
        return ModelState(self.rewards.copy(), self.costs.copy(), self.latencies.copy(), calibrators)

    def without_evidence(self) -> ModelState:
        """The same arms and priors without evidence."""
        return ModelState(
            self.rewards.without_evidence(),
            self.costs.without_evidence(),
            self.latencies.without_evidence(),
            self.calibrators and self.calibrators.without_evidence(),
        )


def empty_costs(rewards: Posterior) -> Posterior:
    """The posterior of cost roots of the same arms, without evidence."""
    return Posterior.empty(
        dict.fromkeys(rewards.arms, make_cost_prior(rewards.dim)),
        schema_id=rewards.schema_id,
        noise_variance=COST_HYPERPRIOR.noise_std**2,
        half_life_s=rewards.half_life_s,
        hyperprior=COST_HYPERPRIOR,
        dim=rewards.dim,
    )


def empty_latencies(rewards: Posterior) -> Latencies:
    """The latencies of the same arms, without evidence."""
    return Latencies.empty(rewards.arms, rewards.half_life_s)


def apply_warm_start(
    state: ModelState, evidence: WarmStartEvidence | None, trust: float | None, since: float
) -> ModelState:
    """A copy whose warm start is this evidence, or none; ``since`` is Unix time, seconds."""
    warmed = state.copy()
    warmed.rewards.warm = warmed.costs.warm = None
    if evidence is not None:
        weight, theirs, ours = evidence.weight(trust), evidence.arms, warmed.rewards.arms
        warmed.rewards.warm = WarmStart(align_sums(evidence.rewards, theirs, ours), weight, since)
        warmed.costs.warm = WarmStart(align_sums(evidence.costs, theirs, ours), weight, since)
    return warmed


def align_warm_start(source: ModelState, arms: Sequence[str]) -> tuple[WarmStart | None, WarmStart | None]:
    """The warm starts of rewards and of costs, aligned to these arms."""
    rewards, costs = (p.warm and p.warm.align(p.arms, arms) for p in (source.rewards, source.costs))
    return rewards, costs


def decode_state(snapshot: Snapshot) -> ModelState:
    """The model state of a snapshot. Raises SnapshotCorrupt."""
    rewards = decode_posterior(snapshot.posterior)
    return ModelState(
        rewards,
        empty_costs(rewards) if snapshot.costs is None else decode_posterior(snapshot.costs),
        empty_latencies(rewards) if snapshot.latencies is None else decode_latencies(snapshot.latencies),
        None if snapshot.calibrators is None else decode_posterior(snapshot.calibrators),
    )


def encode_state(state: ModelState) -> Snapshot:
    """The snapshot of a model state; the inverse of :func:`decode_state`."""
    latencies = encode_latencies(state.latencies) if state.latencies.count.any() else None
    calibrators = None if state.calibrators is None else encode_posterior(state.calibrators)
    return Snapshot(encode_posterior(state.rewards), encode_posterior(state.costs), latencies, calibrators)
