"""Prompts of any dialect -> text, tokens and needs."""

from __future__ import annotations

from bandit_router.features.prompt.instructions import NO_INSTRUCTIONS, Instructions, TaskSource
from bandit_router.features.prompt.prompt import Prompt, PromptSource, read_prompt
from bandit_router.features.prompt.tokens import estimate_tokens
from bandit_router.features.prompt.transcript import write_transcript

__all__ = [
    "NO_INSTRUCTIONS",
    "Instructions",
    "Prompt",
    "PromptSource",
    "TaskSource",
    "estimate_tokens",
    "read_prompt",
    "write_transcript",
]
