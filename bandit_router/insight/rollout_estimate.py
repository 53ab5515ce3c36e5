"""Computes the status of a rollout from its log.

What has not had its usual time to be rated is not judged, rated or not: early ratings are not like the rest.
Where branches are those of users or conversations, a block is judged once its period is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bandit_router.evaluation.rollout_sample import RolloutComparison, RolloutSample, compare_branches
from bandit_router.insight.rollout import Expectation, RolloutStatus, StageRecord
from bandit_router.insight.rollout_advice import recommend
from bandit_router.objective.reward import compute_reward, list_weighted_metrics
from bandit_router.policies import Rollout, parse_policy
from bandit_router.policies.rollout import Branch
from bandit_router.router.rollout import missing_rollout_error
from bandit_router.settings.rollout import RolloutSection, RolloutUnit
from bandit_router.store.rollout_log import RolloutDecision
from bandit_router.store.rollouts import RolloutRecord
from bandit_router.store.store import Store
from bandit_router.types import FloatArray

ALPHA = 0.05
"""The probability that an interval of a rollout ever misses, over all its stages together."""


class _Judged(NamedTuple):
    """Decisions that are old enough to be judged, and how many of the stage under way are not."""

    decisions: Sequence[RolloutDecision]
    waiting: int


def observe_rollout(store: Store, section: RolloutSection) -> RolloutStatus:
    """The status of the rollout under way. Raises InvalidInput without one, or StoreError."""
    record, head = store.rollout(), store.head()
    if record is None or head is None:
        raise missing_rollout_error()
    now = store.clock.reference()
    policy = parse_policy(f"rollout:share=0.0,{record.contest}")
    assert isinstance(policy, Rollout)
    stages = tuple(map(_describe_stage, store.rollout_stages(record.contest)))
    delay_s = store.usual_delay_s(list_weighted_metrics(head.reward_weights))
    with store.read_log() as log:
        decisions = list(log.rollout_decisions(record.contest, stages[0].since))
    judged = _select_judged(decisions, record, section, delay_s, now)
    rewards = [compute_reward(decision.metrics, head.reward_weights) for decision in judged.decisions]
    mixed = [
        (decision, math.nan if reward is None else reward)
        for decision, reward in zip(judged.decisions, rewards, strict=True)
        if 0.0 < decision.share < 1.0
    ]
    by_block = section.unit is not RolloutUnit.REQUEST
    at_stage = [each for each in mixed if each[0].stage == record.stage.id]
    comparison = _compare(at_stage, section.unit, by_block, stage_alpha(stages))
    return RolloutStatus(
        made_at=now,
        incumbent=policy.incumbent.spec,
        candidate=policy.candidate.spec,
        unit=section.unit.value,
        stages=stages,
        usual_delay_s=delay_s,
        waiting=judged.waiting,
        expectation=_expect(decisions),
        at_stage=comparison,
        over_all=_compare(mixed, section.unit, by_block, ALPHA),
        recommendation=recommend(section, stages[-1], comparison, now - (delay_s or 0.0)),
    )


def stage_alpha(stages: Sequence[StageRecord]) -> float:
    """The error of the stage under way: α/(k(k + 1)) at the k-th stage that compares, α over all of them."""
    k = max(1, sum(0.0 < stage.share < 1.0 for stage in stages))
    return ALPHA / (k * (k + 1))


def _select_judged(
    decisions: Sequence[RolloutDecision],
    record: RolloutRecord,
    section: RolloutSection,
    delay_s: float | None,
    now: float,
) -> _Judged:
    """The decisions whose feedback has had its usual time to come; none while nobody knows that time."""
    latest = -math.inf if delay_s is None else now - delay_s
    period_s, stage = section.period_s, record.stage

    def is_judged(decision: RolloutDecision) -> bool:
        if decision.period is None or decision.stage != stage.id:
            return decision.decided_at <= latest
        return stage.since + (decision.period + 1) * period_s <= latest

    judged = [decision for decision in decisions if is_judged(decision)]
    of_stage = [sum(d.stage == stage.id for d in some) for some in (decisions, judged)]
    return _Judged(judged, of_stage[0] - of_stage[1])


def _compare(
    rewarded: Sequence[tuple[RolloutDecision, float]], unit: RolloutUnit, by_block: bool, alpha: float
) -> RolloutComparison:
    return compare_branches(make_sample(rewarded, unit), by_block=by_block, alpha=alpha)


def make_sample(rewarded: Sequence[tuple[RolloutDecision, float]], unit: RolloutUnit) -> RolloutSample:
    """Decisions with their rewards, NaN without one, as columns; a cost nobody reported is as expected."""
    decisions = [decision for decision, _ in rewarded]
    blocks: dict[tuple[object, ...], int] = {}
    block = [blocks.setdefault(_find_block(d, unit, i), len(blocks)) for i, d in enumerate(decisions)]
    return RolloutSample(
        share=_floats(d.share for d in decisions),
        block=np.array(block, dtype=np.int64),
        is_candidate=np.array([d.branch is Branch.CANDIDATE for d in decisions], dtype=bool),
        incumbent_p=_floats(d.incumbent.probability for d in decisions),
        candidate_p=_floats(d.candidate.probability for d in decisions),
        quality_gain=_floats(d.candidate.quality - d.incumbent.quality for d in decisions),
        cost_gain_usd=_floats(d.candidate.cost_usd - d.incumbent.cost_usd for d in decisions),
        expected_quality=np.clip(_floats(d.expected_quality for d in decisions), 0.0, 1.0),
        expected_cost_usd=_floats(d.expected_cost_usd for d in decisions),
        most_cost_usd=_floats(d.most_cost_usd for d in decisions),
        reward=_floats(reward for _, reward in rewarded),
        cost_usd=_floats(d.metrics.get("cost_usd", d.expected_cost_usd) for d in decisions),
        cost_weight=_floats(d.cost_weight for d in decisions),
    )


def _floats(values: Iterable[float]) -> FloatArray:
    return np.fromiter(values, dtype=np.float64)


def _find_block(decision: RolloutDecision, unit: RolloutUnit, i: int) -> tuple[object, ...]:
    """What a decision shares with the others of its block."""
    if decision.period is None:
        return (i,)
    name = decision.user if unit is RolloutUnit.USER else decision.conversation
    return decision.stage, decision.period, name


def _expect(decisions: Sequence[RolloutDecision]) -> Expectation | None:
    """What is expected of the candidate, by all decisions."""
    n = len(decisions)
    if n == 0:
        return None
    return Expectation(
        n,
        agreement=math.fsum(
            (d.candidate if d.branch is Branch.INCUMBENT else d.incumbent).probability for d in decisions
        )
        / n,
        quality=math.fsum(d.candidate.quality - d.incumbent.quality for d in decisions) / n,
        cost_usd=math.fsum(d.candidate.cost_usd - d.incumbent.cost_usd for d in decisions) / n,
    )


def _describe_stage(record: RolloutRecord) -> StageRecord:
    return StageRecord(**record.stage._asdict(), why=record.why)
