"""Beside every policy: what would cost as much without looking at the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bandit_router.evaluation.answers import Answer, Question
from bandit_router.evaluation.blind import mix_at_cost, tilt_to_cost
from bandit_router.evaluation.partition import BoolArray
from bandit_router.evaluation.targets import Mix
from bandit_router.types import FloatArray

BySet = Mapping[tuple[bool, ...], FloatArray]
"""For every set of eligible arms, what a policy does there: summed probabilities, then rows, (K + 1,)."""


def blind_questions(
    answers: Sequence[Answer],
    by_set: Mapping[str, BySet],
    arms: Sequence[str],
    headline: str,
) -> list[Question]:
    """The blind mix and the shuffled version of each policy, at the cost the log estimates for it.

    None when the log cannot say what every arm earns and costs.
    """
    known = _arm_means(answers, by_set, arms, headline)
    if known is None:
        return []
    value, cost = known
    made: list[Question] = []
    for answer in answers:
        budget, name = answer.estimates[headline]["cost_usd"], answer.question.name
        if answer.question.role != "policy" or budget is None:
            continue
        sets = np.array(list(by_set[name]))
        sums = np.array(list(by_set[name].values()))
        weight = sums[:, -1] / sums[:, -1].sum()
        values, costs = (np.broadcast_to(mean, sets.shape) for mean in (value, cost))
        mix = mix_at_cost(values, costs, budget.value, sets, weight)
        dealt = tilt_to_cost(sums[:, :-1] / sums[:, -1:], costs, budget.value, weight, costs)
        made += [
            Question(f"blind mix at the cost of {name}", "blind mix", _mix(arms, sets, mix), name),
            Question(f"{name}, queries shuffled", "shuffled", _mix(arms, sets, dealt), name),
        ]
    return made


def _mix(arms: Sequence[str], sets: BoolArray, probabilities: FloatArray) -> Mix:
    names = np.array(arms, dtype=object)
    return Mix(
        {
            tuple(names[there]): tuple(row[there].tolist())
            for there, row in zip(sets, probabilities, strict=True)
        }
    )


def _arm_means(
    answers: Sequence[Answer],
    by_set: Mapping[str, BySet],
    arms: Sequence[str],
    headline: str,
) -> tuple[FloatArray, FloatArray] | None:
    """Mean reward and cost of every arm (K,), None when unknown.

    A fixed model is replaced by any eligible arm where it is not eligible, so its value V_k is a known
    average of the means v of several: V = A v, with A_k the shares that it takes of the arms.
    """
    fixed = {a.question.name: a.estimates[headline] for a in answers if a.question.role == "fixed"}
    both = [(fixed[f"fixed:{arm}"]["reward"], fixed[f"fixed:{arm}"]["cost_usd"]) for arm in arms]
    known = [(reward.value, cost.value) for reward, cost in both if reward and cost]
    if len(known) < len(arms):
        return None
    taken = np.array([sum(by_set[f"fixed:{arm}"].values()) for arm in arms])
    means = np.linalg.lstsq(taken[:, :-1] / taken[:, -1:], np.array(known), rcond=None)[0]
    return means[:, 0], np.maximum(means[:, 1], 0.0)
