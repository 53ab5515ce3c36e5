"""The model state: all that is learned of the same arms, a component per quantity; and its binary form.

    magic "BRMS" | u16 format | u32 header length | header | components

The header is JSON: the name and the length of each component, in order, and the share of answers that are
rated, unless all are. Each component has its own checksum
(:mod:`bandit_router.posterior.codec`). Equal states have equal bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bandit_router.errors import SnapshotCorrupt
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.codec import decode_component, encode_component
from bandit_router.posterior.cost import COST_HYPERPRIOR, make_cost_prior
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.regression_sums import align_sums
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStart, WarmStartEvidence

REWARD, COST, LATENCY, CONFIDENT_REWARD = "reward", "cost", "latency", "confident_reward"
"""Names of the components that decisions read."""

Component = SufficientStatistics | Latencies

_MAGIC, _FORMAT = b"BRMS", 1
_PREFIX = struct.Struct("<4sHI")


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is learned, by quantity: sums over the log, of the same arms throughout.

    ``rated_share`` is the share of answers that have a reward once they are old enough.
    """

    components: Mapping[str, Component]
    rated_share: float = 1.0

    @property
    def rewards(self) -> SufficientStatistics:
        """The statistics of rewards."""
        return self._statistics(REWARD)

    @property
    def costs(self) -> SufficientStatistics:
        """The statistics of the roots of reported over list cost."""
        return self._statistics(COST)

    @property
    def latencies(self) -> Latencies:
        """The latencies, as counts in bins."""
        latencies = self.components[LATENCY]
        assert isinstance(latencies, Latencies)
        return latencies

    @property
    def calibrators(self) -> SufficientStatistics | None:
        """The statistics of rewards given a confidence; None where no cascade is on."""
        return self._statistics(CONFIDENT_REWARD) if CONFIDENT_REWARD in self.components else None

    def _statistics(self, name: str) -> SufficientStatistics:
        statistics = self.components[name]
        assert isinstance(statistics, SufficientStatistics)
        return statistics

    def solve(self) -> SolvedState:
        """What decisions read of this state; it does not change with it."""
        return SolvedState(
            rewards=self.rewards.solve(),
            costs=self.costs.solve(),
            latencies=self.latencies.copy(),
            calibrators=None if self.calibrators is None else self.calibrators.solve(),
            rated_share=self.rated_share,
        )

    def copy(self) -> ModelState:
        """The same, to be changed apart."""
        return replace(self, components={name: each.copy() for name, each in self.components.items()})

    def without_evidence(self) -> ModelState:
        """The same arms and priors, having seen nothing."""
        return ModelState({name: c.without_evidence() for name, c in self.components.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class SolvedState:
    """A model state as decisions read it: the posteriors of its quantities, its latencies, its rated share.

    ``costs`` is of the roots of reported over list cost; ``calibrators``, of rewards given a confidence, is
    None where no cascade is on.
    """

    rewards: Posterior
    costs: Posterior
    latencies: Latencies
    calibrators: Posterior | None = None
    rated_share: float = 1.0


def empty_costs(rewards: SufficientStatistics) -> SufficientStatistics:
    """The statistics of cost roots of the same arms, without evidence."""
    return SufficientStatistics.empty(
        dict.fromkeys(rewards.arms, make_cost_prior(rewards.dim)),
        schema_id=rewards.schema_id,
        noise_variance=COST_HYPERPRIOR.noise_std**2,
        half_life_s=rewards.half_life_s,
        hyperprior=COST_HYPERPRIOR,
        dim=rewards.dim,
    )


def empty_latencies(rewards: SufficientStatistics) -> Latencies:
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


def encode_state(state: ModelState) -> bytes:
    """The binary form of a model state; latencies of which none was timed are left out."""
    blobs = {
        name: encode_component(component)
        for name, component in state.components.items()
        if isinstance(component, SufficientStatistics) or component.count.any()
    }
    return pack_components(blobs, state.rated_share)


def pack_components(blobs: Mapping[str, bytes], rated_share: float = 1.0) -> bytes:
    """Encoded components, one behind the other, with their names and lengths before them."""
    fields: dict[str, Any] = {"components": [[name, len(blob)] for name, blob in blobs.items()]}
    if rated_share != 1.0:
        fields["rated_share"] = rated_share
    header = json.dumps(fields).encode()
    return b"".join([_PREFIX.pack(_MAGIC, _FORMAT, len(header)), header, *blobs.values()])


def decode_state(blob: bytes) -> ModelState:
    """The state that :func:`encode_state` was given. Raises SnapshotCorrupt."""
    blobs, rated_share = _unpack_components(blob)
    components = {name: decode_component(part) for name, part in blobs.items()}
    rewards = components.get(REWARD)
    if not isinstance(rewards, SufficientStatistics):
        raise SnapshotCorrupt("the snapshot has no posterior of rewards; run `bandit-router rebuild`")
    components.setdefault(COST, empty_costs(rewards))
    components.setdefault(LATENCY, empty_latencies(rewards))
    return ModelState(components, rated_share)


def read_rated_share(blob: bytes) -> float:
    """The rated share of an encoded state, without the rest. Raises SnapshotCorrupt."""
    return _unpack_components(blob)[1]


def _unpack_components(blob: bytes) -> tuple[dict[str, memoryview], float]:
    try:
        magic, version, length = _PREFIX.unpack_from(blob)
        if (magic, version) != (_MAGIC, _FORMAT):
            raise SnapshotCorrupt(
                f"the snapshot has format {magic!r} {version}, this package reads {_MAGIC!r} {_FORMAT}; "
                "run `bandit-router rebuild`"
            )
        start = _PREFIX.size + length
        blobs, header = {}, json.loads(blob[_PREFIX.size : start])
        rated_share = float(header.get("rated_share", 1.0))
        for name, size in header["components"]:
            blobs[name] = memoryview(blob)[start : start + size]
            start += size
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise SnapshotCorrupt(f"the snapshot is malformed: {error!r}; run `bandit-router rebuild`") from error
    if start != len(blob):
        raise SnapshotCorrupt(
            f"the snapshot has {len(blob)} bytes, its header says {start}; run `bandit-router rebuild`"
        )
    return blobs, rated_share
