"""Prices: the list of genai-prices, router.toml's, and what a call's usage costs by them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.settings import make_settings
from bandit_router.settings.arms import ArmSection
from bandit_router.settings.prices import price_usage
from bandit_router.types import Usage

AT = 1_795_000_000.0  # November 2026
CHEAP = {"provider": "anthropic", "model": "claude-haiku-5-5"}
STRONG = {"provider": "openai", "model": "gpt-6-sol"}
OWN = {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 6.0}

tokens = st.integers(0, 400_000)


def make_arm(**fields: Any) -> ArmSection:
    return make_settings({"arms": [{"name": "arm", **fields}]}).arms[0]


def price(usage: Usage, **fields: Any) -> float:
    return price_usage(make_arm(**fields).prices(), usage, AT)


def test_provider_and_model_are_enough() -> None:
    arm = make_arm(**STRONG).arm()
    assert (arm.input_usd_per_mtok, arm.output_usd_per_mtok) == (2.0, 10.0)


def test_a_price_of_the_file_wins_for_itself_alone() -> None:
    arm = make_arm(**STRONG, output_usd_per_mtok=7.5).arm()
    assert (arm.input_usd_per_mtok, arm.output_usd_per_mtok) == (2.0, 7.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "gpt-none-such"},
        {"provider": "nobody", "model": "gpt-6-sol"},
        {"model": "gpt-none-such", "input_usd_per_mtok": 1.0},
        {"model": "gpt-6-sol", "base_url": "http://localhost:8000/v1"},
        {"model": "whisper-1"},  # its price is by the hour
    ],
)
def test_a_model_without_prices_is_an_error_that_says_so(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"output_usd_per_mtok: no list price .*; set both"):
        make_arm(**fields)


def test_a_base_url_has_the_prices_of_whoever_serves_it() -> None:
    """Not those that the maker of the model asks for."""
    rates = {
        url: make_arm(model="openai/gpt-oss-120b", base_url=url).arm().output_usd_per_mtok
        for url in ("https://api.groq.com/openai/v1", "https://openrouter.ai/api/v1")
    }
    assert len(set(rates.values())) == 2


@given(
    model=st.sampled_from([CHEAP, STRONG, {"provider": "openai", "model": "gpt-4o"}]),
    counts=st.tuples(tokens, tokens, tokens, tokens),
    tier=st.sampled_from([None, "flex", "priority", "fast", "no-such-tier"]),
)
def test_a_listed_call_costs_what_the_list_computes(
    model: dict[str, str], counts: tuple[int, int, int, int], tier: str | None
) -> None:
    fresh, read, written, out = counts
    usage = Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=out,
        reasoning_tokens=out // 2,
        service_tier=tier,
    )
    expected = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=fresh + read + written,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=out,
        ),
        model["model"],
        provider_id=model["provider"],
        genai_request_timestamp=datetime.fromtimestamp(AT, UTC),
        price_context={"service_tier": tier} if tier else None,
    )
    assert price(usage, **model) == pytest.approx(float(expected.total_price), rel=1e-9, abs=1e-15)


def test_cached_tokens_have_their_own_price() -> None:
    """Haiku: input 0.10, read 0.01, written 0.125 (0.20 for an hour) USD a million tokens."""
    for field, rate in (("input", 0.1), ("cache_read", 0.01), ("cache_write", 0.125)):
        assert price(count(**{field: 10_000}), **CHEAP) == pytest.approx(rate / 100)
    hour = Usage(cache_write_tokens=10_000, cache_write_1h_tokens=4_000)
    assert price(hour, **CHEAP) == pytest.approx((6_000 * 0.125 + 4_000 * 0.2) / 1e6)


def test_reasoning_is_output_and_not_counted_twice() -> None:
    assert price(Usage(output_tokens=100, reasoning_tokens=80), **STRONG) == pytest.approx(100 * 10 / 1e6)


def test_a_service_tier_has_its_own_price() -> None:
    tiers = (None, "flex", "priority")
    costs = [price(Usage(output_tokens=100, service_tier=tier), **STRONG) for tier in tiers]
    assert costs == pytest.approx([0.001, 0.0005, 0.002])


def test_prices_of_the_file_scale_what_it_leaves_out() -> None:
    """The list: input 2, cached 0.2; half of it for flex. The file: input 3."""
    cached = Usage(cache_read_tokens=1_000)
    assert price(cached, **STRONG, **OWN) == pytest.approx(0.3e-3)
    assert price(Usage(input_tokens=1_000, service_tier="flex"), **STRONG, **OWN) == pytest.approx(1.5e-3)
    assert price(cached, **STRONG, **OWN, cache_read_usd_per_mtok=1.0) == pytest.approx(1e-3)


def test_an_unlisted_model_is_priced_by_the_file_alone() -> None:
    usage = Usage(input_tokens=1_000, cache_read_tokens=1_000, output_tokens=1_000, service_tier="flex")
    assert price(usage, model="mine", **OWN) == pytest.approx(12e-3)
    assert price(usage, model="mine", **OWN, cache_read_usd_per_mtok=0.5) == pytest.approx(9.5e-3)


def count(**counts: int) -> Usage:
    return Usage(**{f"{kind}_tokens": tokens for kind, tokens in counts.items()})  # type: ignore[arg-type]


@given(counts=st.lists(st.integers(-10, 10**12), min_size=6, max_size=6), own=st.floats(0, 1e9))
def test_a_cost_is_finite_and_not_negative_whatever_upstream_reports(counts: list[int], own: float) -> None:
    names = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
    usage = count(**dict(zip(names, counts, strict=True)))
    for fields in (CHEAP, STRONG | {"input_usd_per_mtok": own}, {"model": "mine", **OWN}):
        cost = price(usage, **fields)
        assert math.isfinite(cost)
        assert cost >= 0


def test_no_usage_costs_nothing() -> None:
    assert price(Usage(), **STRONG) == 0.0
