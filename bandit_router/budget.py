"""The price of a dollar: a cost weight λ that spends a budget and no more.

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
moment when taking it would bring the debt above ``SLACK``, and the guards leave it out; the cheapest is
never left out. Allowance that lies unused for long is forgone: a budget is a ceiling, not a savings account.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bandit_router.types import Budget

PROPORTIONAL = 0.1
INTEGRAL = 0.001
"""kp and ki, per request's worth of debt. The loop is overdamped while a change of ln λ by 1 changes the
spending by more than 4 ki/kp² = 0.4 times the budget."""

SLACK = 0.005
LEAST_SLACK = 2.0
"""The debt that one call may run up: this share of the requests so far, or so many requests' worth."""

RESERVE = 0.0025
MOST_RESERVE = 10.0
"""Held back of the allowance, in the same measures: a call can cost more than expected, never less than 0."""

_SAVED = 100.0
_DAY_S = 86_400.0
_LOWEST, _HIGHEST, _START = -14.0, 5.0, -4.6
_GUESS = 1000.0  # requests a day, before the first are counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How a budget stands, for all workers of a router together; everything in it is a running sum.

    ``requests`` were routed, ``allowance_usd`` they might spend and ``spent_usd`` they did: what decisions
    were expected to cost, corrected by what they are known to. ``forgone_usd`` of the allowance was never
    used. ``pressure`` is q. ``as_of`` is Unix time, seconds.
    """

    requests: int = 0
    allowance_usd: float = 0.0
    spent_usd: float = 0.0
    forgone_usd: float = 0.0
    pressure: float = _START
    as_of: float = 0.0


def advance(pace: Pace, budget: Budget, *, requests: int, spent_usd: float, now: float) -> Pace:
    """The pace after so many more requests and so much more spending (corrections may be negative)."""
    elapsed = max(0.0, now - pace.as_of) if pace.as_of else 0.0
    grown = requests * budget.usd if budget.per == "request" else budget.usd * elapsed / _DAY_S
    moved = replace(
        pace,
        requests=pace.requests + requests,
        allowance_usd=pace.allowance_usd + grown,
        spent_usd=pace.spent_usd + spent_usd,
        as_of=max(now, pace.as_of),
    )
    saved = _SAVED * budget.usd if budget.per == "request" else budget.usd
    unused = moved.allowance_usd - moved.forgone_usd - moved.spent_usd - saved
    moved = replace(moved, forgone_usd=moved.forgone_usd + max(0.0, unused))
    return replace(moved, pressure=_clip(moved.pressure + INTEGRAL * requests * debt(moved, budget)))


def debt(pace: Pace, budget: Budget) -> float:
    """D: what was spent beyond the allowance and its reserve, in requests' worth; below 0 if some is left."""
    over = pace.spent_usd - (pace.allowance_usd - pace.forgone_usd)
    return over / per_request(pace, budget) + min(RESERVE * pace.requests, MOST_RESERVE)


def per_request(pace: Pace, budget: Budget) -> float:
    """b, USD: the budget of a request, or what a day's budget comes to for each of its requests."""
    if budget.per == "request":
        return budget.usd
    if pace.requests and pace.allowance_usd > 0:
        return pace.allowance_usd / pace.requests
    return budget.usd / _GUESS


def price_of_a_dollar(pace: Pace, budget: Budget) -> float:
    """λ, 1/USD."""
    return math.exp(_clip(pace.pressure + PROPORTIONAL * debt(pace, budget))) / per_request(pace, budget)


def affordable_usd(pace: Pace, budget: Budget | None) -> float:
    """The most that one call may cost now; never below 0, and anything without a budget."""
    if budget is None:
        return math.inf
    slack = max(LEAST_SLACK, SLACK * pace.requests)
    return max(0.0, (slack + 1.0 - debt(pace, budget)) * per_request(pace, budget))


def _clip(exponent: float) -> float:
    return min(max(exponent, _LOWEST), _HIGHEST)
