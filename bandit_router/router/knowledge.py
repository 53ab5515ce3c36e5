"""What is known of each arm, for its owner: its level on a usual query, how sure that is, and from what; and
how the arms compare for each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bandit_router.posterior.state import decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start_verdict import WarmStartVerdict
from bandit_router.routing.decide import PublishedModel, score_arms
from bandit_router.store.store import Store
from bandit_router.store.tasks import OTHER_NAME
from bandit_router.types import OTHER_TASKS, Arm, FloatArray, Scores


class ArmKnowledge(NamedTuple):
    """One arm: the mean and the standard deviation of its expected reward on the mean context of the rewarded
    queries, the rewards counted, and how many more the warm start is worth.
    """

    arm: Arm
    level: float
    width: float
    rewards: int
    warm_rewards: int


class Knowledge(NamedTuple):
    """All arms by name, as the snapshot ``version`` has them, and what the warm start turned out to be."""

    version: int
    arms: tuple[ArmKnowledge, ...]
    warm_start: WarmStartVerdict | None


def describe_knowledge(store: Store, in_use: PublishedModel) -> Knowledge:
    """What the newest snapshot knows; it is solved unless it is the one in use.

    Raises SnapshotCorrupt or StoreError.
    """
    version, _, snapshot, arms = store.published()
    rewards = decode_state(snapshot).rewards
    solved = in_use.state.rewards if version == in_use.version else rewards.solve()
    level, width = solved.predict(find_mean_context(rewards))
    described = []
    for arm in sorted(arms, key=lambda arm: arm.name):
        if arm.name in solved:
            k = solved.index(arm.name)
            counted = int(solved.count[k])
            warm = int(solved.reward_counts[k]) - counted
            described.append(ArmKnowledge(arm, float(level[k]), float(width[k]), counted, warm))
    return Knowledge(version, tuple(described), solved.warm_start_verdict)


def find_mean_context(rewards: SufficientStatistics) -> FloatArray:
    """The mean context (d,) of all counted rewards, by weight; the bias alone where there are none.

    The first feature is 1 in every context, so that the first row of S sums them.
    """
    summed = rewards.second[:, 0, :].sum(axis=0)
    bias = np.zeros(rewards.dim)
    bias[0] = 1.0
    return summed / summed[0] if summed[0] > 0.0 else bias


def score_tasks(
    store: Store, costs_usd: Mapping[str, Mapping[str, float]], cost_weight: float
) -> dict[str, Scores]:
    """The enabled arms on the mean context of the rewarded queries, for each task of these names.

    ``costs_usd`` has the cost of a call of each arm by task. Raises SnapshotCorrupt or StoreError.
    """
    _, _, snapshot, arms = store.published()
    rewards = decode_state(snapshot).rewards
    solved, x = rewards.solve(), find_mean_context(rewards)
    names = sorted(arm.name for arm in arms if arm.enabled and arm.name in solved)
    numbers = {OTHER_NAME: OTHER_TASKS, **{task.name: task.number for task in store.tasks()}}
    return {
        task: score_arms(
            solved, names, x, [usd.get(name, 0.0) for name in names], cost_weight, task=numbers[task]
        )
        for task, usd in costs_usd.items()
        if task in numbers and names
    }
