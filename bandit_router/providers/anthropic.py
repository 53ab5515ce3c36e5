"""Anthropic, and any server that speaks its dialect."""

from __future__ import annotations

from bandit_router.providers.api_key import open_key
from bandit_router.providers.sdk import SdkClient, SdkProvider, make_urls
from bandit_router.settings.arms import ArmSection
from bandit_router.types import DialectName

URLS = {DialectName.MESSAGES: "https://api.anthropic.com"}


def open_anthropic(arm: ArmSection, dialects: tuple[DialectName, ...]) -> SdkProvider:
    """Raises ConfigError."""
    import anthropic  # takes half a second

    urls = make_urls(arm, URLS, dialects)
    client = SdkClient(arm, anthropic, "AsyncAnthropic", open_key(arm, "ANTHROPIC_API_KEY"))
    return SdkProvider(client, urls, arm.model or arm.name)
