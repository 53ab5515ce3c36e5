"""Replay of policies that learn: what they would have chosen, on the part of a log that agrees with them.

A policy that learns from its own choices has no fixed PMF to weigh a log by. Replay walks through the log
in order of time. At each event with context x the policy, knowing only the events retained so far, gives a
PMF π; the logged event, whose action a was drawn from the PMF e, is retained with probability

    π(a|x) / (M e(a|x)),      M ≥ max π/e over the whole log

and dropped otherwise. Retained events have contexts as they come and actions as π would have drawn them,
whatever it learned, so their mean reward is an unbiased estimate of what the policy earns over its first
so many events (rejection sampling; Mandel, Liu, Brunskill & Popović, Offline evaluation of online
reinforcement learning algorithms, AAAI 2016). When e is uniform over K arms and M = K, this is the replay of
Li, Chu, Langford & Wang (Unbiased offline evaluation of contextual-bandit-based news article recommendation
algorithms, WSDM 2011) with its coin made explicit: an event is retained when a draw from π is the logged
action.

The price is the events that are dropped: about 1 in M is retained, and M is 1 over the smallest logged
probability. On a log that is far from uniform that is next to nothing, and the result says so. An event
whose reward never came is retained or dropped like any other, teaches nothing, and counts in no mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bandit_router.decide import score
from bandit_router.errors import InvalidInput
from bandit_router.evaluation.estimators.sums import Figure, figure
from bandit_router.evaluation.logs.block import Block, BlockSource
from bandit_router.evaluation.parallel import spread
from bandit_router.evaluation.partition import OUTCOMES
from bandit_router.policies import Policy
from bandit_router.posterior import Posterior
from bandit_router.types import FloatArray

_REWARD = OUTCOMES.index("reward")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay came to.

    ``events`` were read and ``retained`` of them kept; ``bound`` is M. ``figures`` are means over the
    retained events with feedback, by outcome, None where there are fewer than two; their intervals take the
    events as independent, which those of a policy that learns nearly are. ``shares`` (K,) of the arms.
    """

    events: int
    retained: int
    bound: float
    figures: dict[str, Figure | None]
    shares: FloatArray


def bound_of(blocks: Iterable[Block]) -> float:
    """The smallest M that is right for every policy: 1 over the smallest probability in the log.

    Infinite where an eligible arm had probability 0: then no policy that may take it can be replayed.
    """
    smallest = 1.0
    for block in blocks:
        smallest = min(smallest, float(block.logged[block.eligible].min(initial=1.0)))
    return 1.0 / smallest if smallest > 0 else math.inf


def replay(
    blocks: Iterable[Block],
    policy: Policy,
    prior: Posterior,
    *,
    bound: float,
    rng: np.random.Generator,
    cost_weight: float | None = None,
) -> Replayed:
    """Play a policy that starts from ``prior`` through a log in order of time.

    Args:
        blocks: The log, in order.
        bound: M, from :func:`bound_of`.
        cost_weight: Replaces the logged one, 1/USD.

    Raises InvalidInput when M is infinite or some event shows that it is too small.
    """
    if not 1.0 <= bound < math.inf:
        raise InvalidInput("bound", f"is {bound:g}", "log with a floor (epsilon > 0) to replay a policy")
    posterior, events = prior.without_evidence(), 0
    outcomes: list[FloatArray] = []
    shares = np.zeros(len(prior.arms))
    for block in blocks:
        events += len(block)
        coins = rng.random(len(block))
        for i in range(len(block)):
            chance = _ratio(block, i, policy, posterior, cost_weight) / bound
            if chance > 1.0 + 1e-9:
                raise InvalidInput("bound", f"is {bound:g}, an event has π/e {chance * bound:g}", "raise it")
            if coins[i] >= chance:
                continue
            outcomes.append(block.outcomes[i])
            shares[block.action[i]] += 1.0
            if not np.isnan(reward := float(block.outcomes[i, _REWARD])):
                arm = block.arms[block.action[i]]
                posterior.observe(arm, block.x[i], reward, at=float(block.decided_at[i]))
    found = np.array(outcomes).reshape(-1, len(OUTCOMES))
    return Replayed(
        events=events,
        retained=len(found),
        bound=bound,
        figures={outcome: _mean(found[:, m]) for m, outcome in enumerate(OUTCOMES)},
        shares=shares / max(1, len(found)),
    )


def replays(
    pieces: Sequence[BlockSource],
    policies: Mapping[str, Policy],
    prior: Posterior | None,
    *,
    seeds: int,
    cost_weight: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, list[Replayed]]:
    """Replay each policy ``seeds`` times, under ``workers``; nothing when ``seeds`` is 0."""
    if not (seeds and policies):
        return {}
    if prior is None:
        raise InvalidInput("log", "has no posterior to start from", "export it with one")
    bound = bound_of(piece.read() for piece in pieces)
    tasks = [
        partial(_replay_pieces, pieces, policy, prior, bound, seed, cost_weight)
        for policy in policies.values()
        for seed in range(seeds)
    ]
    found = []
    for one in spread(tasks):
        found.append(one)
        progress(1)
    return {name: found[i * seeds : (i + 1) * seeds] for i, name in enumerate(policies)}


def _replay_pieces(
    pieces: Sequence[BlockSource],
    policy: Policy,
    prior: Posterior,
    bound: float,
    seed: int,
    cost_weight: float | None,
) -> Replayed:
    blocks: Iterator[Block] = (piece.read() for piece in pieces)
    rng = np.random.default_rng(seed)
    return replay(blocks, policy, prior, bound=bound, rng=rng, cost_weight=cost_weight)


def _ratio(block: Block, i: int, policy: Policy, posterior: Posterior, cost_weight: float | None) -> float:
    """π(a|x) / e(a|x) at the logged action of row i."""
    k = np.flatnonzero(block.eligible[i])
    weight = float(block.cost_weight[i]) if cost_weight is None else cost_weight
    names = [block.arms[j] for j in k]
    costs = block.expected_cost_usd[i, k].tolist()
    pmf = policy.pmf(score(posterior, names, block.x[i], costs, weight))
    action = int(block.action[i])
    return pmf[int(np.searchsorted(k, action))] / float(block.propensity[i])


def _mean(values: FloatArray) -> Figure | None:
    seen = values[~np.isnan(values)]
    if len(seen) < 2:
        return None
    return figure(float(seen.mean()), float(seen.std(ddof=1)) / math.sqrt(len(seen)), len(seen))
