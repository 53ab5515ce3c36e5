"""What the next request of a conversation says of the answer before it.

``regenerated``: the same last message came again, so that the answer was not taken. ``tool_error``: a tool
that the answer called has failed. A worker knows of the answers that it gave itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from bandit_router.gateway.exchange import Exchange

_MOST = 10_000


class ShownFaults(NamedTuple):
    """The faults of an answer by metric, the decision it is of, and what is done when that is accounted."""

    decision_id: str
    faults: Mapping[str, float]
    accounting: asyncio.Future[None]


class _Answer(NamedTuple):
    """An answer, and what tells its request from the others of the conversation."""

    decision_id: str
    accounting: asyncio.Future[None]
    request: tuple[int, int, str | None]


class FollowUps:
    """The newest answer of each conversation of one worker; the ``most`` that were active last."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._newest: OrderedDict[str, _Answer] = OrderedDict()

    def note_answer(self, exchange: Exchange, decision_id: str, accounting: asyncio.Future[None]) -> None:
        """Remember a request that was answered, and what accounts it."""
        conversation = exchange.options.get("conversation")
        if conversation is None:
            return
        self._newest[conversation] = _Answer(decision_id, accounting, _describe_request(exchange))
        self._newest.move_to_end(conversation)
        if len(self._newest) > self._most:
            self._newest.popitem(last=False)

    def judge_answer(self, exchange: Exchange) -> ShownFaults | None:
        """The faults of the answer before that this request shows; None if it shows none."""
        conversation = exchange.options.get("conversation")
        before = None if conversation is None else self._newest.get(conversation)
        if before is None or exchange.new_conversation:
            return None
        request = exchange.request
        faults = {}
        if request.tool_failed:
            faults["tool_error"] = 1.0
        if not request.in_tool_loop and before.request == _describe_request(exchange):
            faults["regenerated"] = 1.0
        return ShownFaults(before.decision_id, faults, before.accounting) if faults else None


def _describe_request(exchange: Exchange) -> tuple[int, int, str | None]:
    request = exchange.request
    return request.prompt.turn, hash(request.prompt.text), request.pin
