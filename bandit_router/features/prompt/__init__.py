"""Prompts of any dialect -> text, tokens and needs."""

from __future__ import annotations

from bandit_router.features.prompt.prompt import Prompt, PromptSource, read_prompt
from bandit_router.features.prompt.tokens import estimate_tokens

__all__ = ["Prompt", "PromptSource", "estimate_tokens", "read_prompt"]
