"""The judge of a worker: a coin before the choice, a bounded queue after the answer, and a metric.

Nothing here is waited for by a client. Conversations and answers are held in memory, until they are judged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from bandit_router.errors import ConfigError, OwnBudgetSpent, RouterError
from bandit_router.features import write_transcript
from bandit_router.gateway.accounting import is_final_text
from bandit_router.gateway.arms import ArmPool
from bandit_router.gateway.dialects.base import AnswerFacts
from bandit_router.gateway.dialects.json_body import parse_object
from bandit_router.gateway.exchange import Exchange
from bandit_router.gateway.judge.prompt import JudgeQuestion, read_judge_prompt, shorten
from bandit_router.gateway.judge.verdict import read_score
from bandit_router.gateway.own_calls import OwnRequest, make_own_call
from bandit_router.objective.reward import list_weighted_metrics
from bandit_router.providers.registry import list_dialects
from bandit_router.router import AsyncRouter
from bandit_router.settings.judge import JudgeSection
from bandit_router.store.own_calls import OwnBudget
from bandit_router.types import JUDGED, JUDGED_PROBABILITY, WILL_BE_JUDGED, WILL_BE_RATED, Decision, Purpose

log = logging.getLogger(__name__)

_MOST_BYTES = 1024 * 1024
_PAUSE_S = 60.0
_CLOSE_S = 5.0


class JudgeOutcome(StrEnum):
    """What became of an answer that the coin had chosen."""

    JUDGED = "judged"
    NOT_JUDGED = "not_judged"  # an answer of the judge's, a tool call, a refusal, or too long a request
    QUEUE_FULL = "queue_full"
    OVER_BUDGET = "over_budget"
    FAILED = "failed"  # the call of the judge
    NO_VERDICT = "no_verdict"  # the judge did not answer in the form that was asked for


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An answer that waits for its verdict."""

    decision_id: str
    query: str
    answer: str


class OnlineJudge:
    """Has a share of the answers of one worker judged. ``outcomes`` counts what became of them.

    ``clock`` returns seconds that only grow.
    """

    def __init__(
        self,
        router: AsyncRouter,
        pool: ArmPool,
        arm: str,
        section: JudgeSection,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outcomes: Counter[JudgeOutcome] = Counter()
        self._router = router
        self._pool = pool
        self._arm = arm
        self._section = section
        self._prompt = read_judge_prompt(JudgeQuestion.POINTWISE, section.prompt, section.rubric)
        self._budget = OwnBudget(usd=section.usd_per_day)
        self._counts = JUDGED in list_weighted_metrics(router.settings.reward.terms())
        self._rng = rng
        self._clock = clock
        self._pauses_until = -np.inf
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(section.queue_size)
        self._workers = [asyncio.create_task(self._work()) for _ in range(section.concurrency)]

    def draw(self, exchange: Exchange) -> Exchange:
        """The exchange with the coin of its answer, which is drawn now.

        While the budget is spent, or if the judge cannot be called, the probability is 0. An answer that
        will be judged will be rated, where what the judge says counts in the reward.
        """
        can_judge = self._arm in self._pool.arms and self._clock() >= self._pauses_until
        share = self._section.share if can_judge else 0.0
        coin = float(self._rng.random() < share)
        signals = {**exchange.signals, JUDGED_PROBABILITY: share, WILL_BE_JUDGED: coin}
        if coin == 1.0 and self._counts:
            signals[WILL_BE_RATED] = 1.0
        request = replace(exchange.request, keeps_text=exchange.request.keeps_text or coin == 1.0)
        return replace(exchange, signals=signals, request=request)

    def offer(self, exchange: Exchange, decision: Decision, facts: AnswerFacts) -> None:
        """Have an answer judged later, if the coin said so and there is room."""
        if exchange.signals.get(WILL_BE_JUDGED) != 1.0:
            return
        answer = "".join(facts.text or ())
        is_text = is_final_text(facts) and answer.strip()
        if decision.arm == self._arm or not is_text or len(exchange.raw) > _MOST_BYTES:
            self.outcomes[JudgeOutcome.NOT_JUDGED] += 1
            return
        query = shorten(write_transcript(parse_object(exchange.raw)))
        try:
            self._waiting.put_nowait(_Waiting(decision.id, query, shorten(answer)))
        except asyncio.QueueFull:
            self.outcomes[JudgeOutcome.QUEUE_FULL] += 1

    async def close(self) -> None:
        """Forget the answers that wait, and wait a little for those that are being judged."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._waiting.task_done()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), _CLOSE_S)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            waiting = await self._waiting.get()
            try:
                outcome = await self._judge(waiting)
            except (RouterError, TimeoutError) as error:
                log.warning("an answer could not be judged: %s", str(error) or "the judge took too long")
                outcome = JudgeOutcome.FAILED
            except Exception:
                log.exception("the answer of decision %s could not be judged", waiting.decision_id)
                outcome = JudgeOutcome.FAILED
            finally:
                self._waiting.task_done()
            self.outcomes[outcome] += 1

    async def _judge(self, waiting: _Waiting) -> JudgeOutcome:
        """Ask the judge, and record what it says. Raises RouterError or TimeoutError."""
        request = OwnRequest(
            purpose=Purpose.JUDGE,
            text=self._prompt.write(query=waiting.query, answer=waiting.answer),
            max_output_tokens=self._section.max_output_tokens,
            budget=self._budget,
            decision_id=waiting.decision_id,
        )
        try:
            async with asyncio.timeout(self._section.timeout_s):
                said = await make_own_call(self._router, self._pool.arms[self._arm], request)
        except OwnBudgetSpent as error:
            self._pause(error)
            return JudgeOutcome.OVER_BUDGET
        score = read_score(said.text)
        if score is None:
            return JudgeOutcome.NO_VERDICT
        await self._router.feedback_on(waiting.decision_id, {JUDGED: score})
        return JudgeOutcome.JUDGED

    def _pause(self, error: OwnBudgetSpent) -> None:
        """Draw no answers for a while: calls under way may turn out cheaper, or a new day may begin."""
        if self._clock() >= self._pauses_until:
            log.warning("no answers are judged for now: %s", error)
        self._pauses_until = self._clock() + _PAUSE_S


def open_judge(router: AsyncRouter, pool: ArmPool) -> OnlineJudge | None:
    """The judge of the settings; None without one. Raises ConfigError."""
    section = router.settings.judge
    if section.arm is None:
        return None
    callable_arms = [arm.name for arm in router.settings.arms if list_dialects(arm)]
    if section.arm not in callable_arms:
        raise ConfigError(
            f"judge.arm: {section.arm!r} is no arm of router.toml that the gateway can call; "
            f"use one of {', '.join(callable_arms)}"
        )
    return OnlineJudge(router, pool, section.arm, section, np.random.default_rng())
