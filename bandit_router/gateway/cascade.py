"""Cascades: hold a cheap answer until it is known how sure its arm is, and pass it on or retry.

A retry is the client's request as it came: nothing of the held answer is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.dialects.base import AnswerFacts, DialectRequest
from bandit_router.gateway.exchange import Exchange
from bandit_router.policies import Policy
from bandit_router.policies.heuristic import Verdict
from bandit_router.routing.precedence import DRAWN
from bandit_router.settings.policy import ConfidenceSource
from bandit_router.types import Decision


@dataclass(frozen=True, slots=True)
class Cascade:
    """Which answers are held. What becomes of them is for the router's rule to say.

    ``expensive`` is the arm that retries, ``source`` what tells how sure an arm is. ``policy`` may put a
    query into a class that is clear: then its answer is not held.
    """

    expensive: str
    source: ConfidenceSource
    policy: Policy

    def prepare(self, exchange: Exchange, decision: Decision, arm: CallableArm) -> Exchange | None:
        """The exchange whose answer is to be held; None if it is passed on as it comes."""
        request = exchange.request
        is_free = decision.reason in DRAWN and self.expensive in decision.eligible
        is_free &= self.policy.verdict(decision.signals) != Verdict.SIMPLE
        if not is_free or arm.name == self.expensive or request.in_tool_loop or request.answers > 1:
            return None
        if exchange.key is not None and exchange.key.usd_per_day is not None:
            return None  # nothing is reserved for a retry
        if self.source is not ConfidenceSource.TOKEN_PROBABILITY:
            return exchange
        if not (request.wants_logprobs or arm.adapters[exchange.dialect.name].gives_logprobs):
            return None
        return replace(exchange, request=replace(request, keeps_logprobs=True))


def read_answer(exchange: Exchange, answer: bytes) -> AnswerFacts:
    """What a whole answer says, with its text and its log-probabilities."""
    request: DialectRequest = replace(exchange.request, keeps_text=True, keeps_logprobs=True)
    tap = exchange.dialect.open_tap(request)
    tap.feed(answer)
    tap.finish()
    return tap.facts
