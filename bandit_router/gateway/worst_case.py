"""The worst case of a call: the most it may cost, which is reserved of the budget of its key.

    worst = max_k price(window_tokens of kind k) + answers · output_limit · output price

``k`` is input at full price or written to a cache. ``output_limit`` is the request's own, or else the arm's
``max_output_tokens``, capped by ``gateway.reserved_output_tokens``.
"""

from __future__ import annotations

from collections.abc import Iterable

from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.exchange import Exchange
from bandit_router.security.budget import CallBudget
from bandit_router.types import Usage


def find_budget(
    exchange: Exchange, arms: Iterable[CallableArm], most_output_tokens: int
) -> CallBudget | None:
    """The budget that the calls of a request are made on; None if its key has none."""
    key = exchange.key
    if key is None or key.usd_per_day is None:
        return None
    worst_usd = {arm.name: find_worst_usd(exchange, arm, most_output_tokens) for arm in arms}
    return CallBudget(key_id=key.id, usd_per_day=key.usd_per_day, worst_usd=worst_usd)


def find_worst_usd(exchange: Exchange, arm: CallableArm, most_output_tokens: int) -> float:
    """The most that a call of the arm may cost, USD."""
    request = exchange.request
    tokens = request.prompt.window_tokens
    limit = request.max_output_tokens
    output = request.answers * (min(arm.max_output_tokens, most_output_tokens) if limit is None else limit)
    return price_worst(arm, tokens, output)


def price_worst(arm: CallableArm, tokens: int, output: int) -> float:
    """The most that so many tokens of input and of output may cost, USD."""
    return max(
        arm.price(Usage(input_tokens=tokens, output_tokens=output)),
        arm.price(Usage(cache_write_tokens=tokens, output_tokens=output)),
        arm.price(Usage(cache_write_tokens=tokens, cache_write_1h_tokens=tokens, output_tokens=output)),
        arm.price(Usage(input_tokens=tokens, output_tokens=output, reasoning_tokens=output)),
    )
