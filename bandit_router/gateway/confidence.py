"""How sure an arm is of a held answer: by its tokens, by a call that checks it, or by two samples."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from bandit_router.cascade.confidence import of_agreement, of_logprobs, of_self_check, self_check
from bandit_router.errors import RouterError
from bandit_router.gateway.accounting import is_final_text
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.dialects.base import AnswerFacts
from bandit_router.gateway.exchange import Exchange
from bandit_router.gateway.own_calls import OwnRequest, make_own_call
from bandit_router.router import AsyncRouter
from bandit_router.settings.policy import CascadeSection, ConfidenceSource
from bandit_router.types import Decision, Purpose

log = logging.getLogger(__name__)

_MOST_OUTPUT_TOKENS = 1_024
"""A word or a line is enough, but some models think before they write it."""

_BRIEFLY = "\n\nReply with the final answer alone, in at most twelve words."


async def measure_confidence(
    router: AsyncRouter,
    arms: Mapping[str, CallableArm],
    section: CascadeSection,
    exchange: Exchange,
    decision: Decision,
    facts: AnswerFacts,
) -> float | None:
    """The confidence in the answer to a decision, in [0, 1]; None where it cannot be told.

    ``arms`` are those that can be called. An answer that calls a tool or refuses has none.
    """
    if not is_final_text(facts):
        return None
    question, answer = exchange.request.prompt.text, "".join(facts.text or ())

    async def ask(purpose: Purpose, arm: str, text: str) -> str:
        asked = OwnRequest(
            purpose=purpose, text=text, max_output_tokens=_MOST_OUTPUT_TOKENS, decision_id=decision.id
        )
        return (await make_own_call(router, arms[arm], asked)).text

    try:
        match section.confidence:
            case ConfidenceSource.TOKEN_PROBABILITY if facts.logprobs:
                return of_logprobs([min(value, 0.0) for value in facts.logprobs])
            case ConfidenceSource.SELF_CHECK if (checker := section.self_check_arm) in arms:
                assert checker is not None
                return of_self_check(await ask(Purpose.SELF_CHECK, checker, self_check(question, answer)))
            case ConfidenceSource.AGREEMENT:
                sample = ask(Purpose.SAMPLE, decision.arm, question + _BRIEFLY)
                again = ask(Purpose.SAMPLE, decision.arm, question + _BRIEFLY)
                return of_agreement(*await asyncio.gather(sample, again))
    except RouterError as error:
        log.warning("how sure %r is of an answer cannot be told: %s", decision.arm, error)
    return None
