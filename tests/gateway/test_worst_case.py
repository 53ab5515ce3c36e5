"""The worst case of a call: its prompt at the dearest price of input, and all output that it may have."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.dialects import DIALECTS
from bandit_router.gateway.exchange import Exchange, make_exchange
from bandit_router.gateway.worst_case import find_budget, find_worst_usd
from bandit_router.security.issue import KeyRequest, issue_key
from bandit_router.security.keys import ApiKey
from bandit_router.types import Usage
from tests.gateway.dialects.examples import REQUESTS

CAP = 1_000


def price(usage: Usage) -> float:
    """Input costs 1, written to a cache 2, for an hour 3; output 100, reasoning 1000."""
    written = 2.0 * usage.cache_write_tokens + usage.cache_write_1h_tokens
    return usage.input_tokens + written + 100.0 * usage.output_tokens + 900.0 * usage.reasoning_tokens


def arm(max_output_tokens: int = 64_000, price: Any = price) -> CallableArm:
    provider = cast(Any, None)
    return CallableArm(
        name="a",
        model="a",
        provider_name="openai",
        adapters={},
        provider=provider,
        price=price,
        max_output_tokens=max_output_tokens,
    )


def exchange(dialect: str, key: ApiKey | None = None, **fields: Any) -> Exchange:
    raw = json.dumps({**REQUESTS[dialect], "model": "auto", **fields}).encode()
    return make_exchange(DIALECTS[dialect], raw, {}, ["a"], key)


@pytest.mark.parametrize(
    ("dialect", "fields", "tokens"),
    [
        ("chat", {"max_tokens": 7}, 7),
        ("chat", {"max_completion_tokens": 7}, 7),
        ("chat", {"max_tokens": 7, "n": 3}, 21),
        ("chat", {"max_tokens": 5_000}, 5_000),
        ("chat", {}, CAP),
        ("chat", {"n": 2}, 2 * CAP),
        ("responses", {"max_output_tokens": 7}, 7),
        ("messages", {"max_tokens": 7}, 7),
    ],
)
def test_the_output_is_what_the_request_allows_or_else_the_cap(
    dialect: str, fields: dict[str, Any], tokens: int
) -> None:
    def count_output(usage: Usage) -> float:
        return float(usage.output_tokens)

    bare = dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "n"))
    request = exchange(dialect, **bare | fields)
    assert find_worst_usd(request, arm(price=count_output), CAP) == tokens


def test_an_arm_whose_answers_are_shorter_than_the_cap_reserves_those() -> None:
    request = exchange("chat", max_tokens=None, max_completion_tokens=None, n=None)
    less = find_worst_usd(request, arm(10), CAP)
    assert find_worst_usd(request, arm(), CAP) - less == 1000.0 * (CAP - 10)


def test_input_is_priced_as_what_costs_most() -> None:
    def price_input(usage: Usage) -> float:
        return price(usage) - 100.0 * usage.output_tokens - 900.0 * usage.reasoning_tokens

    request = exchange("chat")
    assert find_worst_usd(request, arm(price=price_input), CAP) == 3.0 * request.request.prompt.window_tokens


def test_only_a_key_with_a_budget_has_one() -> None:
    keys = [
        issue_key(KeyRequest(name="k", scopes=["route"], usd_per_day=usd), 0.0, "me").key
        for usd in (None, 2.0)
    ]
    assert find_budget(exchange("chat"), [arm()], CAP) is None
    assert find_budget(exchange("chat", keys[0]), [arm()], CAP) is None
    request = exchange("chat", keys[1], max_tokens=7)
    budget = find_budget(request, [arm()], CAP)
    assert budget is not None
    assert (budget.key_id, budget.usd_per_day) == (keys[1].id, 2.0)
    assert budget.worst_usd == {"a": find_worst_usd(request, arm(), CAP)}
