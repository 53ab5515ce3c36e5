"""Answers: find the decision whose call was answered with an id of upstream's."""

from __future__ import annotations

import time

from bandit_router.errors import AmbiguousAnswer, UnknownAnswer
from bandit_router.store.store import Store
from bandit_router.validation import KEY_CHARS, check_text

_PREFIXES = ("chatcmpl-", "resp_", "msg_")
_FEEDBACK_PATIENCE_S = 1.0
_CALL_PATIENCE_S = 0.2
"""Seconds that an unknown id is looked up again: a call is accounted a moment after its answer."""

_FIRST_PAUSE_S = 0.005


def is_answer_id(id: object) -> bool:
    """Whether an id is one of an answer, and not of a decision."""
    return isinstance(id, str) and id.startswith(_PREFIXES)


def find_answered_decision(store: Store, answer_id: str) -> str:
    """The decision whose call was answered with this id, which may have been a moment ago.

    Raises InvalidInput, UnknownAnswer or AmbiguousAnswer.
    """
    check_text("decision_id", answer_id, KEY_CHARS)
    decisions = _wait_for_decisions(store, answer_id, _FEEDBACK_PATIENCE_S)
    if not decisions:
        raise UnknownAnswer(answer_id)
    if len(decisions) > 1:
        raise AmbiguousAnswer(answer_id)
    return decisions[0]


def find_answered_arm(store: Store, pin: str) -> str | None:
    """The arm that gave the answer ``pin``; None when that is not known, or not of one call.

    The request that goes on from an answer may follow it at once.
    """
    decisions = _wait_for_decisions(store, pin, _CALL_PATIENCE_S if is_answer_id(pin) else 0.0)
    return store.decision(decisions[0]).arm if len(decisions) == 1 else None


def _wait_for_decisions(store: Store, answer_id: str, patience_s: float) -> list[str]:
    """The decisions whose call was answered with this id, two at most; none if there are none by then."""
    give_up, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while not (decisions := store.decisions_of_answer(answer_id)) and time.monotonic() < give_up:
        time.sleep(pause_s)
        pause_s *= 2.0
    return decisions
