"""Pacing: the cost weight λ that keeps spending within a budget, or the mean reward just above a floor.

**Budget.** The allowance grows by b USD with every request, or by B USD over every day. The debt D is what
was spent beyond it and a small reserve, in requests' worth, D = (spent − allowance)/b, and::

    λ = exp(clip(q + kp · D)) / b        q ← clip(q + ki · D) with every request

This is online dual ascent in ln λ with a proportional term. The dual of "maximise reward subject to cost"
rises while more is spent than allowed (Agrawal & Devanur, NeurIPS 2016, sec. 3). It works in ln λ because the
λ of two budgets may differ a thousandfold (mirror descent: Balseiro, Lu & Mirrokni, ICML 2020), and needs kp
because the integral alone repays a debt by running up the next one.

An arm is too dear while one call may raise the debt above ``SLACK``, since no λ can undo a call that costs a
hundred requests' worth; routing excludes it, but never the arm that is expected to cost least. Allowance
unused for long is forgone: a budget is a ceiling. So an arm that may cost some hundred requests' worth is
never chosen.

**Floor.** "Minimise cost subject to reward" is the reverse: a reward of r is due with every request, D is
what was earned beyond that less the reserve, so λ rises while answers are better than needed, and b is the
mean cost of a request so far. A request counts with its expected reward until it is rated. The gains are
smaller, because rewards are mostly noise. A shortfall over ``MOST_REWARDS`` is written off; otherwise an
unreachable floor would never be repaid. A surplus over it is written off too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bandit_router.types import Budget, Floor, Goal

PROPORTIONAL = 0.1
INTEGRAL = 0.001
"""kp and ki, per request's worth of debt. The loop is overdamped while a change of ln λ by 1 changes the
spending by more than 4 ki/kp² = 0.4 times the budget."""

FLOOR_PROPORTIONAL = 0.15
FLOOR_INTEGRAL = 0.0001
"""The same per reward; overdamped while a change of ln λ by 1 changes the mean reward by more than 0.02."""

SLACK = 0.005
LEAST_SLACK = 2.0
"""Debt that one call may cause, in requests' worth: a share of the requests, at least LEAST_SLACK."""

RESERVE = 0.004
MOST_RESERVE = 20.0
"""Held back of the allowance, in the same units, at most MOST_RESERVE: calls may cost more than predicted."""

FLOOR_RESERVE = 0.0025
MOST_FLOOR_RESERVE = 10.0
"""Rewards due in addition to the floor, a share of the requests and at most MOST_FLOOR_RESERVE."""

MOST_REWARDS = 25.0
"""The largest surplus of rewards that is kept, and the largest shortfall that is made up for."""

_MOST_REQUESTS = 100.0
_DAY_S = 86_400.0
_START = -4.6
_RANGE = -14.0, 5.0  # of the logarithm of λ b
_FLOOR_RANGE = -6.0, 0.0  # of q, where there is a floor: from further away it would be long in coming back
_GUESS = 1000.0  # requests a day, before the first are counted
_GUESS_USD = 0.001  # what a request costs, before the first is counted
_LEAST_USD = 1e-9  # the same, where corrections left next to nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class PacingState:
    """The state of a goal, for all workers of a router together, as running sums.

    ``requests`` were routed; ``allowance_usd`` is what they might spend and ``spent_usd`` what they did: the
    expected costs of decisions, corrected when they are reported. ``forgone_usd`` is allowance that lay
    unused. For a floor, ``earned`` are the rewards, expected or reported, and ``excused`` the shortfall
    (above 0) or surplus (below) that was written off. ``pressure`` is q. ``as_of`` is Unix time, seconds.
    """

    requests: int = 0
    allowance_usd: float = 0.0
    spent_usd: float = 0.0
    forgone_usd: float = 0.0
    earned: float = 0.0
    excused: float = 0.0
    pressure: float = _START
    as_of: float = 0.0


def advance_pacing(
    pace: PacingState, goal: Goal, *, requests: int, spent_usd: float, now: float, earned: float = 0.0
) -> PacingState:
    """The state after more requests, spending and, for a floor, reward; corrections may be negative."""
    moved = replace(
        pace,
        requests=pace.requests + requests,
        spent_usd=pace.spent_usd + spent_usd,
        as_of=max(now, pace.as_of),
    )
    if isinstance(goal, Floor):
        moved = _write_off_rewards(replace(moved, earned=pace.earned + earned), goal)
        integral, lowest, highest = FLOOR_INTEGRAL, *_FLOOR_RANGE
    else:
        elapsed = max(0.0, now - pace.as_of) if pace.as_of else 0.0
        more = requests * goal.usd if goal.per == "request" else goal.usd * elapsed / _DAY_S
        moved = _forgo_unused_allowance(replace(moved, allowance_usd=pace.allowance_usd + more), goal)
        integral, lowest, highest = INTEGRAL, *_RANGE
    pressure = moved.pressure + integral * requests * debt(moved, goal)
    return replace(moved, pressure=_clip(pressure, lowest, highest))


def advance_pacing_to(pace: PacingState, goal: Goal | None, now: float) -> PacingState:
    """The state at ``now``, Unix time, without further requests: only a budget per day grows with time."""
    if not (isinstance(goal, Budget) and goal.per == "day"):
        return pace
    return advance_pacing(pace, goal, requests=0, spent_usd=0.0, now=now)


def rewind_pacing(pace: PacingState, goal: Goal, now: float, *, since: float) -> PacingState:
    """The state without the time after ``now`` that a wrong clock ran ahead; Unix times, seconds.

    ``since`` is when the goal was set. What a day's budget grew by meanwhile is taken back, first from what
    was forgone: at most a day's worth of it is left.
    """
    rewound = replace(pace, as_of=now)
    if not (isinstance(goal, Budget) and goal.per == "day"):
        return rewound
    granted = goal.usd * max(0.0, pace.as_of - max(now, since)) / _DAY_S
    forgone = pace.forgone_usd - min(pace.forgone_usd, granted)
    return replace(rewound, allowance_usd=pace.allowance_usd - granted, forgone_usd=forgone)


def carry_over(pace: PacingState, old: Goal, new: Goal, now: float) -> PacingState | None:
    """The state towards a ``new`` goal, from ``now`` on; None if the two have nothing in common.

    Between budgets, dollars that were spent or allowed stay so. Between floors of the same rewards, as many
    are missing as before. A reward is a weighted mean, so that only the ratios of the weights count.
    """
    if isinstance(old, Budget) and isinstance(new, Budget):
        return advance_pacing_to(pace, old, now)
    if isinstance(old, Floor) and isinstance(new, Floor) and _same_ratios(old.weights, new.weights):
        raised = (new.reward - old.reward) * pace.requests
        return replace(pace, excused=pace.excused + raised)
    return None


def _same_ratios(some: Mapping[str, float], others: Mapping[str, float]) -> bool:
    some_total, others_total = sum(some.values()), sum(others.values())
    return some.keys() == others.keys() and all(
        math.isclose(weight / some_total, others[name] / others_total) for name, weight in some.items()
    )


def _forgo_unused_allowance(pace: PacingState, budget: Budget) -> PacingState:
    saved = _MOST_REQUESTS * budget.usd if budget.per == "request" else budget.usd
    unused = pace.allowance_usd - pace.forgone_usd - pace.spent_usd - saved
    return replace(pace, forgone_usd=pace.forgone_usd + max(0.0, unused))


def _write_off_rewards(pace: PacingState, floor: Floor) -> PacingState:
    missing = _missing_rewards(pace, floor)
    return replace(pace, excused=pace.excused + missing - _clip(missing, -MOST_REWARDS, MOST_REWARDS))


def _missing_rewards(pace: PacingState, floor: Floor) -> float:
    return floor.reward * pace.requests - pace.earned - pace.excused


def debt(pace: PacingState, goal: Goal) -> float:
    """D: spending beyond the allowance less its reserve, in requests' worth; below 0 if some is left.

    For a floor: the rewards earned beyond it and its reserve.
    """
    if isinstance(goal, Floor):
        return -_missing_rewards(pace, goal) - min(FLOOR_RESERVE * pace.requests, MOST_FLOOR_RESERVE)
    over = pace.spent_usd - (pace.allowance_usd - pace.forgone_usd)
    return over / budget_per_request(pace, goal) + min(RESERVE * pace.requests, MOST_RESERVE)


def budget_per_request(pace: PacingState, goal: Goal) -> float:
    """b, USD: the budget per request, a day's budget per request so far, or a floor's mean cost so far."""
    if isinstance(goal, Floor):
        return max(pace.spent_usd / pace.requests, _LEAST_USD) if pace.requests else _GUESS_USD
    if goal.per == "request":
        return goal.usd
    if pace.requests and pace.allowance_usd > 0:
        return pace.allowance_usd / pace.requests
    return goal.usd / _GUESS


def compute_cost_weight(pace: PacingState, goal: Goal) -> float:
    """The cost weight λ, 1/USD."""
    gain = FLOOR_PROPORTIONAL if isinstance(goal, Floor) else PROPORTIONAL
    exponent = _clip(pace.pressure + gain * debt(pace, goal), *_RANGE)
    return math.exp(exponent) / budget_per_request(pace, goal)


def clip_expected_reward(quality: float) -> float:
    """Clip a predicted reward to [0, 1], the range of rewards."""
    return _clip(quality, 0.0, 1.0)


def affordable_usd(pace: PacingState, goal: Goal | None) -> float:
    """The largest cost that one call may turn out to have; at least 0, and infinite without a budget."""
    if not isinstance(goal, Budget):
        return math.inf
    slack = max(LEAST_SLACK, SLACK * pace.requests)
    return max(0.0, (slack + 1.0 - debt(pace, goal)) * budget_per_request(pace, goal))


@dataclass(frozen=True, slots=True)
class GoalStatus:
    """The state of a goal, for its owner.

    ``goal`` is the name of its setting and ``target`` the value. ``requests`` were routed since it was set
    and ``spent_usd`` is what they cost, as far as that is known, else were expected to. Of a budget:
    ``allowance_usd``, what they might spend, without ``forgone_usd`` that lay unused for too long, and
    ``affordable_usd``, the most that a call may cost now that turns out dear. Of a floor: the ``mean_reward``
    so far, with what is expected of answers that were not rated. ``cost_weight`` is λ, 1/USD.
    """

    goal: str
    target: float
    requests: int
    spent_usd: float
    cost_weight: float
    allowance_usd: float | None = None
    forgone_usd: float | None = None
    affordable_usd: float | None = None
    mean_reward: float | None = None


def make_goal_status(pace: PacingState, goal: Goal, now: float) -> GoalStatus:
    """The state of the goal at ``now``, Unix time, seconds."""
    pace = advance_pacing_to(pace, goal, now)
    price = compute_cost_weight(pace, goal)
    if isinstance(goal, Floor):
        mean = pace.earned / pace.requests if pace.requests else None
        return GoalStatus("mean_quality", goal.reward, pace.requests, pace.spent_usd, price, mean_reward=mean)
    return GoalStatus(
        f"usd_per_{goal.per}",
        goal.usd,
        pace.requests,
        pace.spent_usd,
        price,
        allowance_usd=pace.allowance_usd - pace.forgone_usd,
        forgone_usd=pace.forgone_usd,
        affordable_usd=affordable_usd(pace, goal),
    )


def _clip(value: float, lowest: float, highest: float) -> float:
    return min(max(value, lowest), highest)
