"""Read a prompt in any form that callers send: text, messages, or a request in a provider's dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bandit_router.errors import InvalidInput
from bandit_router.features.prompt.contents import weigh_contents
from bandit_router.features.prompt.instructions import NO_INSTRUCTIONS, Instructions, read_instructions
from bandit_router.features.prompt.tokens import round_tokens, weigh_text
from bandit_router.features.prompt.turns import count_chars, read_turns
from bandit_router.types import Need
from bandit_router.validation import check_string


class Prompt(NamedTuple):
    """What routing reads of a prompt.

    ``text`` is the newest user text, empty if none has any; ``turn`` the number of user messages; ``chars``
    the characters of all texts. ``input_tokens`` is the likely number of tokens of everything, which prices
    the call; ``window_tokens``, which it rarely exceeds, guards the context window. Both are at least 1.
    ``instructions`` are what the application wrote.
    """

    text: str
    turn: int
    chars: int
    input_tokens: int
    window_tokens: int
    needs: tuple[Need, ...] = ()
    instructions: Instructions = NO_INSTRUCTIONS


PromptSource = str | Sequence[Mapping[str, Any]] | Mapping[str, Any] | Prompt
"""Text, chat messages, a request body with `messages` or `input`, or a prompt that was read before."""


def read_prompt(source: PromptSource) -> Prompt:
    """The prompt in ``source``; pure.

    A body is read in the dialect of its fields: chat completions and Anthropic messages have ``messages``,
    responses have ``input``. Its other fields count, too, whether they are known or not.

    Raises InvalidInput naming the field, for example ``messages[2].content``.
    """
    if isinstance(source, str):
        return _read_text(source)
    if isinstance(source, Prompt):
        return source
    body = source if isinstance(source, Mapping) else {"messages": source}
    messages = body.get("messages")
    if messages is None and isinstance(given := body.get("input"), str):
        turns = read_turns([{"role": "user", "content": given}], "input")
    elif messages is None and "input" in body:
        turns = read_turns(given, "input")
    else:
        turns = read_turns(messages, "messages")
    weight, needs = weigh_contents(body)
    return Prompt(
        text=turns.text,
        turn=max(1, turns.turn),
        chars=turns.chars + count_chars(body.get("system")) + count_chars(body.get("instructions")),
        input_tokens=max(1, round_tokens(weight.likely)),
        window_tokens=max(1, round_tokens(weight.most)),
        needs=needs,
        instructions=read_instructions(body),
    )


def _read_text(text: str) -> Prompt:
    if not check_string("query", text):
        raise InvalidInput("query", "is empty", "send some text")
    weight = weigh_text(text)
    return Prompt(text, 1, len(text), round_tokens(weight.likely), round_tokens(weight.most))
