"""OpenAI, and any server that speaks one of its dialects."""

from __future__ import annotations

from bandit_router.providers.api_key import open_key
from bandit_router.providers.sdk import SdkClient, SdkProvider, make_urls
from bandit_router.settings.arms import ArmSection
from bandit_router.types import DialectName

URLS = dict.fromkeys((DialectName.CHAT, DialectName.RESPONSES), "https://api.openai.com/v1")


def open_openai(arm: ArmSection, dialects: tuple[DialectName, ...]) -> SdkProvider:
    """Raises ConfigError."""
    import openai  # takes half a second

    urls = make_urls(arm, URLS, dialects)
    client = SdkClient(arm, openai, "AsyncOpenAI", open_key(arm, "OPENAI_API_KEY"))
    return SdkProvider(client, urls, arm.model or arm.name)
