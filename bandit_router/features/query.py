"""Read a Query from what callers send: text, chat messages or a request body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bandit_router.features.prompt import Prompt, PromptSource, read_prompt
from bandit_router.types import Query
from bandit_router.validation import check_string


def read_query(source: PromptSource, *, user_tier: str | None = None) -> Query:
    """A Query from text, chat messages or a request body. Raises InvalidInput."""
    return query_from_prompt(read_prompt(source), user_tier=user_tier)


def query_from_text(text: str, *, user_tier: str | None = None) -> Query:
    """A one-turn Query. Raises InvalidInput unless ``text`` is a string with a character."""
    return read_query(check_string("query", text), user_tier=user_tier)


def query_from_messages(messages: Sequence[Mapping[str, object]], *, user_tier: str | None = None) -> Query:
    """A Query from chat messages, each with ``role`` and ``content``, oldest first.

    Raises InvalidInput naming the part at fault, for example ``messages[2].content``.
    """
    return read_query({"messages": messages}, user_tier=user_tier)


def query_from_prompt(prompt: Prompt, *, user_tier: str | None = None) -> Query:
    """The Query of a prompt. Raises InvalidInput unless the tier is a string or None."""
    tier = None if user_tier is None else check_string("user_tier", user_tier)
    return Query(text=prompt.text, turn=prompt.turn, user_tier=tier, prompt_chars=prompt.chars)
