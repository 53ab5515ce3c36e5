"""The price of a dollar: a cost weight λ that spends a budget and no more, or no more than a reward takes.

A budget is an allowance that grows, by b USD with every request or by B USD over every day. What was spent
beyond it, counted in requests' worth, is the debt D = (spent − allowance)/b (and a small reserve), and

    λ = exp(clip(q + kp · D)) / b        q ← clip(q + ki · D) with every request

which is online dual ascent in the logarithm of λ with a proportional term. The dual of "maximise reward
subject to cost" rises while more is spent than allowed (Agrawal & Devanur, Linear contextual bandits with
knapsacks, NeurIPS 2016, sec. 3); in the logarithm, because the λ of two budgets may differ a thousandfold
(mirror descent: Balseiro, Lu & Mirrokni, Dual mirror descent for online allocation problems, ICML 2020);
and with kp, because the integral alone pays a debt off by running up the next one. With the gains below the
two together come to rest in some hundred requests for any price list, whose scale b takes out.

One dear call can cost a hundred requests' worth, which no λ can take back. So an arm is too dear for the
moment when what a call of it may well cost would bring the debt above ``SLACK``, and the guards leave it out;
what is expected to cost least is never left out. Allowance that lies unused for long is forgone: a budget is
a ceiling, not a savings account. So an arm of which a call may well cost more than some hundred requests'
worth is never taken.

A floor is the other way round: "minimise cost subject to reward". With every request a reward of r is due;
what was earned beyond that (less the reserve) is D, so that λ rises while answers are better than they have
to be, and b is what a request has cost so far. A request counts as the reward expected of it until it is
rated, so that nothing waits for feedback; what is expected wrongly is seen when that comes. Rewards are noise
for the most part, and it takes many times the λ to change their mean by hundredths: the gains are smaller.
What is missing beyond ``MOST_REWARDS`` rewards is given up, for else a floor that no arm can reach would
never be paid off, and so is what is there beyond it. So where thousands of ratings come in one heap and are
off from what was expected by some hundredths, so is the mean.
"""

from __future__ import annotations

import math
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
"""The debt that one call may run up: this share of the requests so far, or so many requests' worth."""

RESERVE = 0.004
MOST_RESERVE = 20.0
"""Held back of the allowance, in the same measures: a call can cost even more than was reckoned with, and
never less than 0."""

FLOOR_RESERVE = 0.0025
MOST_FLOOR_RESERVE = 10.0
"""What is due of a floor besides, in rewards."""

MOST_REWARDS = 25.0
"""Rewards beyond a floor that are kept for later, and rewards missing that are made up for."""

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
    """How a goal stands, for all workers of a router together; everything in it is a running sum.

    ``requests`` were routed, ``allowance_usd`` they might spend and ``spent_usd`` they did: what decisions
    were expected to cost, corrected by what they are known to. ``forgone_usd`` of the allowance was never
    used. ``earned`` are their rewards, expected or known, of a floor only, and ``excused`` what was given up
    of those missing (above 0) or there (below). ``pressure`` is q. ``as_of`` is Unix time, seconds.
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
    """The pace after so many more requests, so much more spending, and so much more reward where there is a
    floor (corrections may be negative)."""
    moved = replace(
        pace,
        requests=pace.requests + requests,
        spent_usd=pace.spent_usd + spent_usd,
        as_of=max(now, pace.as_of),
    )
    if isinstance(goal, Floor):
        moved = _excuse(replace(moved, earned=pace.earned + earned), goal)
        integral, lowest, highest = FLOOR_INTEGRAL, *_FLOOR_RANGE
    else:
        elapsed = max(0.0, now - pace.as_of) if pace.as_of else 0.0
        more = requests * goal.usd if goal.per == "request" else goal.usd * elapsed / _DAY_S
        moved = _forgo(replace(moved, allowance_usd=pace.allowance_usd + more), goal)
        integral, lowest, highest = INTEGRAL, *_RANGE
    pressure = moved.pressure + integral * requests * debt(moved, goal)
    return replace(moved, pressure=_within(pressure, lowest, highest))


def advance_pacing_to(pace: PacingState, goal: Goal | None, now: float) -> PacingState:
    """The pace at ``now``, Unix time, when nothing has come since: only a day's budget grows meanwhile."""
    if not (isinstance(goal, Budget) and goal.per == "day"):
        return pace
    return advance_pacing(pace, goal, requests=0, spent_usd=0.0, now=now)


def _forgo(pace: PacingState, budget: Budget) -> PacingState:
    saved = _MOST_REQUESTS * budget.usd if budget.per == "request" else budget.usd
    unused = pace.allowance_usd - pace.forgone_usd - pace.spent_usd - saved
    return replace(pace, forgone_usd=pace.forgone_usd + max(0.0, unused))


def _excuse(pace: PacingState, floor: Floor) -> PacingState:
    missing = _missing(pace, floor)
    return replace(pace, excused=pace.excused + missing - _within(missing, -MOST_REWARDS, MOST_REWARDS))


def _missing(pace: PacingState, floor: Floor) -> float:
    return floor.reward * pace.requests - pace.earned - pace.excused


def debt(pace: PacingState, goal: Goal) -> float:
    """D: what was spent beyond the allowance and its reserve, in requests' worth; below 0 if some is left.

    Of a floor, what was earned beyond it and its reserve, in rewards.
    """
    if isinstance(goal, Floor):
        return -_missing(pace, goal) - min(FLOOR_RESERVE * pace.requests, MOST_FLOOR_RESERVE)
    over = pace.spent_usd - (pace.allowance_usd - pace.forgone_usd)
    return over / budget_per_request(pace, goal) + min(RESERVE * pace.requests, MOST_RESERVE)


def budget_per_request(pace: PacingState, goal: Goal) -> float:
    """b, USD: the budget of a request, or what a day's budget comes to for each of its requests; with a
    floor, what a request has cost so far."""
    if isinstance(goal, Floor):
        return max(pace.spent_usd / pace.requests, _LEAST_USD) if pace.requests else _GUESS_USD
    if goal.per == "request":
        return goal.usd
    if pace.requests and pace.allowance_usd > 0:
        return pace.allowance_usd / pace.requests
    return goal.usd / _GUESS


def compute_cost_weight(pace: PacingState, goal: Goal) -> float:
    """λ, 1/USD."""
    gain = FLOOR_PROPORTIONAL if isinstance(goal, Floor) else PROPORTIONAL
    exponent = _within(pace.pressure + gain * debt(pace, goal), *_RANGE)
    return math.exp(exponent) / budget_per_request(pace, goal)


def clip_expected_reward(quality: float) -> float:
    """An expected reward as it counts until it is known: unlike rewards, it may be outside [0, 1]."""
    return _within(quality, 0.0, 1.0)


def affordable_usd(pace: PacingState, goal: Goal | None) -> float:
    """The most that a call may cost that turns out dear; never below 0, and anything without a budget."""
    if not isinstance(goal, Budget):
        return math.inf
    slack = max(LEAST_SLACK, SLACK * pace.requests)
    return max(0.0, (slack + 1.0 - debt(pace, goal)) * budget_per_request(pace, goal))


@dataclass(frozen=True, slots=True)
class GoalStatus:
    """How a goal stands, for its owner.

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
    """How the goal stands at ``now``, Unix time, seconds."""
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


def _within(value: float, lowest: float, highest: float) -> float:
    return min(max(value, lowest), highest)
