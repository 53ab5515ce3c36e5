"""The nouns' own small functions."""

from __future__ import annotations

import pytest

from bandit_router.types import Arm


@pytest.mark.parametrize(
    ("provider", "model", "label"),
    [
        ("openai", "gpt-4o", "openai/gpt-4o"),
        ("openai", "openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("open", "openai/gpt-4o", "open/openai/gpt-4o"),
    ],
)
def test_a_label_names_the_provider_once(provider: str, model: str, label: str) -> None:
    arm = Arm(name="a", provider=provider, model=model, input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    assert arm.label == label
