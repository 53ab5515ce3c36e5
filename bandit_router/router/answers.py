"""Answers: find the decision whose call was answered with an id of upstream's."""

from __future__ import annotations

import time

from bandit_router.errors import AmbiguousAnswer, UnknownAnswer
from bandit_router.store.store import Store
from bandit_router.validation import KEY_CHARS, check_text

_PREFIXES = ("chatcmpl-", "resp_", "msg_")
_PATIENCE_S = 1.0
_PAUSE_S = 0.05


def is_answer_id(id: object) -> bool:
    """Whether an id is one of an answer, and not of a decision."""
    return isinstance(id, str) and id.startswith(_PREFIXES)


def find_answered_decision(store: Store, answer_id: str) -> str:
    """The decision whose call was answered with this id.

    A call is accounted a moment after its answer, so that an unknown id is looked up again for a second.
    Raises InvalidInput, UnknownAnswer or AmbiguousAnswer.
    """
    check_text("decision_id", answer_id, KEY_CHARS)
    give_up = time.monotonic() + _PATIENCE_S
    while not (decisions := store.decisions_of_answer(answer_id)):
        if time.monotonic() >= give_up:
            raise UnknownAnswer(answer_id)
        time.sleep(_PAUSE_S)
    if len(decisions) > 1:
        raise AmbiguousAnswer(answer_id)
    return decisions[0]
