"""What a call costs: list prices from the genai-prices wheel, the prices of router.toml, and usage in tokens.

    cost = Σ_k tokens_k · price_k · m_k / 10⁶,   k over kinds of tokens

``price_k`` is the one in router.toml, else the list's; a kind that router.toml leaves out keeps its
proportion to the list's price of input or output. ``m_k`` is what the list charges for this service tier and
length of prompt, over its standard price. Reasoning tokens are output tokens, at their own price where the
list has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from bandit_router.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_INPUT_KINDS = ("input", "cache_read", "cache_write", "cache_write_1h")
_OUTPUT_KINDS = ("output", "output_reasoning")
_PARENTS = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "output_reasoning": "output",
}
"""The kind whose price holds for a kind that the list has no price for."""

Rates = Mapping[str, float]
"""USD per million tokens by kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """The prices of an arm: ``own`` are those of router.toml, USD per million tokens by kind.

    A model behind a ``base_url`` has the list prices of whoever serves that address, if that is known.
    """

    provider: str
    model: str
    base_url: str | None = None
    own: Rates

    def find_rate(self, kind: str) -> float:
        """USD per million tokens of "input" or "output", by the standard price. Raises LookupError."""
        if kind in self.own:
            return self.own[kind]
        model = _find_model(self.provider, self.model, self.base_url)
        price = None if model is None else model.get_prices(datetime.now(UTC))
        if price is None or price.input_mtok is None:
            raise LookupError(f"no list price is known of model {self.model!r}")
        return _read_rates(price, 0)[kind]


def price_usage(prices: Prices, usage: Usage, at: float) -> float:
    """USD for the tokens of one call made ``at`` a Unix time. Finite, and never negative.

    A model without a list price has those of router.toml alone: cached tokens cost what input does unless it
    says otherwise.
    """
    tokens = _count_by_kind(usage)
    prompt = sum(tokens[kind] for kind in _INPUT_KINDS)
    model = _find_model(prices.provider, prices.model, prices.base_url)
    if model is None:
        rates = _complete_rates(prices.own, {})
        return sum(tokens[kind] * rates[kind] for kind in tokens) / 1e6
    when = datetime.fromtimestamp(at, UTC)
    context = {"service_tier": usage.service_tier} if usage.service_tier else None
    standard = _read_rates(model.get_prices(when), 0)
    charged = _read_rates(model.get_prices(when, context), prompt)
    rates = _complete_rates(prices.own, standard)
    return (
        sum(count * rates[kind] * _ratio(charged[kind], standard[kind]) for kind, count in tokens.items())
        / 1e6
    )


def _count_by_kind(usage: Usage) -> dict[str, int]:
    """The tokens of each kind, none of them counted twice."""
    hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens)
    counts = {
        "input": usage.input_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens - hour,
        "cache_write_1h": hour,
        "output": usage.output_tokens - reasoning,
        "output_reasoning": reasoning,
    }
    return {kind: max(0, count) for kind, count in counts.items()}


def _complete_rates(own: Rates, standard: Rates) -> dict[str, float]:
    """A price for every kind: router.toml's; else the list's, scaled as router.toml scales its parent's."""
    rates: dict[str, float] = {}
    for kind in _INPUT_KINDS + _OUTPUT_KINDS:
        parent = _PARENTS.get(kind)
        if kind in own:
            rates[kind] = own[kind]
        elif parent is None:
            rates[kind] = standard[kind]
        else:
            rates[kind] = rates[parent] * (_ratio(standard[kind], standard[parent]) if standard else 1.0)
    return rates


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0


def _read_rates(price: ModelPrice, prompt_tokens: int) -> dict[str, float]:
    """The list's price of every kind, for a prompt of so many tokens."""
    rates: dict[str, float] = {}
    for kind in _INPUT_KINDS + _OUTPUT_KINDS:
        listed = getattr(price, f"{kind}_mtok")
        if listed is None:
            rates[kind] = rates[_PARENTS[kind]] if kind in _PARENTS else 0.0
            continue
        for tier in sorted(getattr(listed, "tiers", ()), key=lambda tier: -tier.start):
            if prompt_tokens > tier.start:
                rates[kind] = float(tier.price)
                break
        else:
            rates[kind] = float(getattr(listed, "base", listed))
    return rates


@lru_cache(maxsize=1024)
def _find_model(provider: str, model: str, base_url: str | None) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot  # its list takes 0.3 s to load

    by_provider, by_url = (provider, None) if base_url is None else (None, base_url)
    try:
        return get_snapshot().find_provider_model(model, None, by_provider, by_url)[1]
    except LookupError:
        return None
