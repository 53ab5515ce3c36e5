"""Usage as each provider counts it -> tokens by kind, of which none is in two kinds.

OpenAI's input includes what was read from the cache and written to it; Anthropic's excludes both. The output
of either includes reasoning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bandit_router.types import Usage

_PLAIN_TIERS = ("auto", "default", "standard")
_MOST_TOKENS = 1_000_000_000


def read_chat_usage(usage: Mapping[str, Any], tier: object) -> Usage:
    """The usage of a chat completion."""
    return _read_openai_usage(usage, tier, "prompt_tokens", "completion_tokens")


def write_chat_usage(usage: Usage) -> dict[str, Any]:
    """The usage of a chat completion that is read as ``usage``, but for the tier."""
    tokens_in = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": usage.output_tokens,
        "total_tokens": tokens_in + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def read_responses_usage(usage: Mapping[str, Any], tier: object) -> Usage:
    """The usage of a response."""
    return _read_openai_usage(usage, tier, "input_tokens", "output_tokens")


def read_messages_usage(usage: Mapping[str, Any]) -> Usage:
    """The usage of a message. Its fast mode has a price of its own, like a service tier."""
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        cache_read_tokens=_count(usage, "cache_read_input_tokens"),
        cache_write_tokens=_count(usage, "cache_creation_input_tokens"),
        cache_write_1h_tokens=_count(usage.get("cache_creation"), "ephemeral_1h_input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        reasoning_tokens=_count(usage.get("output_tokens_details"), "thinking_tokens"),
        service_tier=_priced_tier(usage.get("speed")) or _priced_tier(usage.get("service_tier")),
    )


def _read_openai_usage(usage: Mapping[str, Any], tier: object, input_key: str, output_key: str) -> Usage:
    details = usage.get(f"{input_key}_details")
    tokens_in, tokens_out = _count(usage, input_key), _count(usage, output_key)
    read, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    # Some compatible servers leave reasoning out of the output, but not out of the total.
    output = max(tokens_out, _count(usage, "total_tokens") - tokens_in)
    return Usage(
        input_tokens=max(0, tokens_in - read - written),
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=_count(usage.get(f"{output_key}_details"), "reasoning_tokens"),
        service_tier=_priced_tier(tier),
    )


def _count(counts: object, key: str) -> int:
    value = counts.get(key) if isinstance(counts, Mapping) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), _MOST_TOKENS)


def _priced_tier(tier: object) -> str | None:
    """The tier, where it may have another price than the usual."""
    return tier if isinstance(tier, str) and tier and tier not in _PLAIN_TIERS else None
