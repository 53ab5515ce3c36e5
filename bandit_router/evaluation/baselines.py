"""Query-blind baselines: policies that cost as much as a router without reading the query.

A router that reads queries and earns no more than these has learned nothing from them. A baseline may use the
set of eligible arms and the time. Arrays have B rows, each a set of eligible arms or a block of time, over K
arms; ``weight`` (B,) is each row's share of all queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import brentq, linprog

from bandit_router.evaluation.answers import Answer, Question
from bandit_router.evaluation.block import Block
from bandit_router.evaluation.targets import BlindMix, group_by_eligible
from bandit_router.types import BoolArray, FloatArray

_STEEPEST = 60.0  # e^60 between the dearest and the cheapest arm leaves nothing of the other
_TIE = 1e-9  # prefers the cheaper of two arms of equal value

BySet = Mapping[tuple[bool, ...], FloatArray]
"""For every set of eligible arms: a policy's summed probabilities, then the number of rows, (K + 1,)."""


def mix_at_cost(
    value: FloatArray, cost_usd: FloatArray, budget_usd: float, eligible: BoolArray, weight: FloatArray
) -> FloatArray:
    """The best query-blind probabilities (B, K) that cost at most ``budget_usd`` a query.

    max Σ_b weight_b Σ_k p_bk value_bk subject to Σ_b weight_b Σ_k p_bk cost_bk ≤ budget: a linear program,
    with ``value`` and ``cost_usd`` (B, K) the mean of each arm. The cheapest arms if nothing fits the budget.
    """
    rows, arms = value.shape
    cheapest = np.where(eligible, cost_usd, np.inf).argmin(axis=1)
    cheapest_mix = np.eye(arms)[cheapest]
    least_usd = float(weight @ (cheapest_mix * np.where(eligible, cost_usd, 0.0)).sum(axis=1))
    share, scale = weight[:, None], float(cost_usd[eligible].max()) or 1.0
    solution = linprog(
        -(share * (value - _TIE * cost_usd / scale)).ravel(),
        A_ub=(share * cost_usd / scale).reshape(1, -1),
        b_ub=[max(budget_usd, least_usd) / scale * (1.0 + 1e-12)],
        A_eq=np.kron(np.eye(rows), np.ones((1, arms))),
        b_eq=np.ones(rows),
        bounds=[(0.0, float(is_eligible)) for is_eligible in eligible.ravel()],
    )
    mix: FloatArray = cheapest_mix if solution.x is None else np.maximum(solution.x, 0.0).reshape(rows, arms)
    mix /= mix.sum(axis=1, keepdims=True)
    return mix


def tilt_to_cost(
    shares: FloatArray, price_usd: FloatArray, budget_usd: float, weight: FloatArray, cost_usd: FloatArray
) -> FloatArray:
    """Shares (B, K) moved towards cheap or dear arms until they cost ``budget_usd`` on average.

    p_bk ∝ shares_bk exp(−t price_bk / max price), with one t for all rows, such that
    Σ_b weight_b Σ_k p_bk cost_bk = budget, or as near as the arms allow. ``price_usd`` is an arm's price
    without the query, ``cost_usd`` its cost in that row. Dealing a router's choices to other queries changes
    their cost when the router looked at length or difficulty; the tilt undoes the change.
    """
    scale = float(price_usd.max()) or 1.0
    centred = (price_usd - price_usd.mean()) / scale

    def tilted(t: float) -> FloatArray:
        p: FloatArray = shares * np.exp(-t * centred)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def excess(t: float) -> float:
        return float(weight @ (tilted(t) * cost_usd).sum(axis=1)) - budget_usd

    if excess(-_STEEPEST) <= 0:
        return tilted(-_STEEPEST)
    if excess(_STEEPEST) >= 0:
        return tilted(_STEEPEST)
    return tilted(float(brentq(excess, -_STEEPEST, _STEEPEST)))


def make_baseline_questions(
    answers: Sequence[Answer], by_set: Mapping[str, BySet], arms: Sequence[str], headline: str
) -> list[Question]:
    """The blind mix and the shuffled version of each policy, at its cost as estimated by ``headline``.

    Empty when the log cannot say what every arm earns and costs.
    """
    means = _arm_means(answers, by_set, arms, headline)
    if means is None:
        return []
    questions: list[Question] = []
    for answer in answers:
        budget, name = answer.estimates[headline]["cost_usd"], answer.question.name
        if answer.question.role != "policy" or budget is None:
            continue
        sets = np.array(list(by_set[name]))
        sums = np.array(list(by_set[name].values()))
        weight = sums[:, -1] / sums[:, -1].sum()
        values, costs = (np.broadcast_to(mean, sets.shape) for mean in means)
        mix = mix_at_cost(values, costs, budget.value, sets, weight)
        dealt = tilt_to_cost(sums[:, :-1] / sums[:, -1:], costs, budget.value, weight, costs)
        questions += [
            Question(f"blind mix at the cost of {name}", "blind mix", _as_policy(arms, sets, mix), name),
            Question(f"{name}, queries shuffled", "shuffled", _as_policy(arms, sets, dealt), name),
        ]
    return questions


def mix_logged_shares(blocks: Sequence[Block], arms: Sequence[str]) -> BlindMix:
    """The mean logged PMF of every set of eligible arms: the router's own shares, whatever the query."""
    sums: defaultdict[tuple[bool, ...], FloatArray] = defaultdict(lambda: np.zeros(len(arms)))
    for block in blocks:
        for rows, eligible in group_by_eligible(block):
            sums[tuple(eligible.tolist())] += block.logged[rows].sum(axis=0)
    shares = np.array(list(sums.values()))
    return _as_policy(arms, np.array(list(sums)), shares / shares.sum(axis=1, keepdims=True))


def _as_policy(arms: Sequence[str], sets: BoolArray, probabilities: FloatArray) -> BlindMix:
    names = np.array(arms, dtype=object)
    return BlindMix(
        {
            tuple(names[eligible]): tuple(pmf[eligible].tolist())
            for eligible, pmf in zip(sets, probabilities, strict=True)
        }
    )


def _arm_means(
    answers: Sequence[Answer], by_set: Mapping[str, BySet], arms: Sequence[str], headline: str
) -> tuple[FloatArray, FloatArray] | None:
    """Mean reward and cost of every arm (K,); None unless the log can estimate all of them.

    A fixed model is replaced by any eligible arm where it is not eligible, so its value V_k is an average of
    the means v of several arms: V = A v, with A_k the shares of its rows that each arm gets.
    """
    fixed = {a.question.name: a.estimates[headline] for a in answers if a.question.role == "fixed"}
    figures = [(fixed[f"fixed:{arm}"]["reward"], fixed[f"fixed:{arm}"]["cost_usd"]) for arm in arms]
    values = [(reward.value, cost.value) for reward, cost in figures if reward and cost]
    if len(values) < len(arms):
        return None
    sums = np.array([sum(by_set[f"fixed:{arm}"].values()) for arm in arms])
    means = np.linalg.lstsq(sums[:, :-1] / sums[:, -1:], np.array(values), rcond=None)[0]
    return means[:, 0], np.maximum(means[:, 1], 0.0)
