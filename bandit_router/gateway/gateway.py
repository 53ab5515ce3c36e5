"""The gateway: decide, call, and go on to the next arm until one answers or none is left."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bandit_router.errors import KeyBudgetSpent, NoEligibleArm, RouterError
from bandit_router.gateway.arms import ArmPool
from bandit_router.gateway.background import BackgroundTasks
from bandit_router.gateway.call import Call, CallServices
from bandit_router.gateway.cascade import Cascade, read_answer
from bandit_router.gateway.confidence import measure_confidence
from bandit_router.gateway.exchange import Exchange
from bandit_router.gateway.follow_ups import FollowUps, ShownFaults
from bandit_router.gateway.health import Health
from bandit_router.gateway.judge.online import OnlineJudge, open_judge
from bandit_router.gateway.limits import ConcurrencyLimits, RequestSlots, TooBusy
from bandit_router.gateway.verdicts import judge_failure
from bandit_router.gateway.worst_case import find_budget
from bandit_router.providers.base import UpstreamError
from bandit_router.router import AsyncRouter
from bandit_router.router.options import CallRequest
from bandit_router.security.budget import CallBudget
from bandit_router.types import CallEnd, CallOutcome, Decision

log = logging.getLogger(__name__)

_SWEEP_INTERVAL_S = 60.0
_LARGE_BYTES = 1024 * 1024

_Decided = TypeVar("_Decided", Decision, Decision | None)


@dataclass(frozen=True, slots=True)
class Answered:
    """A call whose answer has begun, after so many calls that failed."""

    call: Call
    decision: Decision
    fallbacks: int


class OutOfArms(RouterError):
    """No arm answered: the last failure, the decision it was of, and how many calls failed before it."""

    def __init__(self, failure: UpstreamError, decision: Decision, fallbacks: int) -> None:
        super().__init__(f"no arm answered; the last one, {decision.arm!r}: {failure}")
        self.failure = failure
        self.decision = decision
        self.fallbacks = fallbacks


@asynccontextmanager
async def open_gateway(router: AsyncRouter) -> AsyncIterator[Gateway]:
    """The gateway to the arms of the router's settings. Raises ConfigError."""
    sections = router.settings.arms
    longest_s = max((section.total_timeout_s for section in sections), default=0.0)
    pool = ArmPool(sections)
    lost_after_s = 2.0 * longest_s + _SWEEP_INTERVAL_S
    gateway = Gateway(router, pool, lost_after_s=lost_after_s, judge=open_judge(router, pool))
    try:
        yield gateway
    finally:
        await gateway.close()


class Gateway:
    """Makes the calls of one worker. ``lost_after_s``: a call that is older and has not ended is lost."""

    def __init__(
        self,
        router: AsyncRouter,
        pool: ArmPool,
        *,
        lost_after_s: float,
        judge: OnlineJudge | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.router = router
        self.pool = pool
        self.judge = judge
        self.health = Health(clock)
        most = {section.name: section.max_concurrency for section in router.settings.arms}
        section, source = router.settings.gateway, router.settings.cascade.confidence
        self.cascade = None
        if router.rule is not None and source is not None:
            self.cascade = Cascade(router.rule.expensive, source, router.policy)
        self.slots = RequestSlots(section.max_concurrency)
        self._limits = ConcurrencyLimits(most, section.max_wait_s)
        self._most_output_tokens = section.reserved_output_tokens
        self._background = BackgroundTasks()
        self._follow_ups = FollowUps()
        self._services = CallServices(
            router, self.health, self._limits, self._background, clock, now, self._follow_ups, judge
        )
        self._sweeper = asyncio.create_task(self._sweep(lost_after_s))

    async def close(self) -> None:
        """Account what is under way, and close the connections of all arms."""
        self._sweeper.cancel()
        await self._background.finish()
        if self.judge is not None:
            await self.judge.close()
        await self.pool.close()

    async def answer(self, exchange: Exchange) -> Answered:
        """The first answer that begins.

        Raises OutOfArms if every call failed, NoEligibleArm if no arm could be called, KeyBudgetSpent if none
        could be paid for, TooBusy if its arm had no room in time, and what a route call raises.
        """
        await self.pool.open()
        if (shown := self._follow_ups.judge_answer(exchange)) is not None:
            self._background.start(self._report_faults(shown))
        if self.judge is not None:
            exchange = self.judge.draw(exchange)
        mask = await self._find_mask(exchange)
        mask |= await self._find_pin_mask(exchange)
        budget = find_budget(exchange, self.pool.arms.values(), self._most_output_tokens)
        failed: list[tuple[UpstreamError, Decision]] = []
        while True:
            tried = {decision.arm: f"its call failed: {failure}" for failure, decision in failed}
            try:
                decision = await self._begin_call(
                    self._decide(exchange, mask | tried, failed[-1][1] if failed else None, budget)
                )
            except (NoEligibleArm, KeyBudgetSpent):
                if not failed:
                    raise
                raise OutOfArms(*failed[-1], len(failed) - 1) from None
            arm = self.pool.arms[decision.arm]
            held = None if self.cascade is None else self.cascade.prepare(exchange, decision, arm)
            call = Call(self._services, held or exchange, arm, decision)
            try:
                await call.open()
                answer = b"" if held is None else await call.hold()
            except UpstreamError as failure:
                if exchange.names_arm or judge_failure(failure, self._services.now()).ends:
                    raise OutOfArms(failure, decision, len(failed)) from None
                failed.append((failure, decision))
            else:
                answered = Answered(call, decision, len(failed))
                return answered if held is None else await self._accept_or_retry(answered, exchange, answer)

    async def _report_faults(self, shown: ShownFaults) -> None:
        """Record what a request shows of the answer before it, once that has its own metrics."""
        await asyncio.wait({shown.accounting})
        try:
            await self.router.feedback_on(shown.decision_id, shown.faults)
        except RouterError as error:
            log.warning("a follow-up of decision %s is not recorded: %s", shown.decision_id, error)

    async def _accept_or_retry(self, first: Answered, exchange: Exchange, answer: bytes) -> Answered:
        """The held answer, or that of a retry if it is doubtful and the retry begins."""
        try:
            retried = await self._retry(first, exchange, answer)
        except BaseException:
            await first.call.aclose()
            raise
        if retried is not None:
            first.call.discard()
            return retried
        if not exchange.request.wants_logprobs:
            answer = exchange.dialect.strip_logprobs(answer, stream=exchange.request.stream)
        first.call.release(answer)
        return first

    async def _retry(self, first: Answered, exchange: Exchange, answer: bytes) -> Answered | None:
        """The retry, whose answer has begun; None if the held answer is good enough, or better than none."""
        facts, section = read_answer(exchange, answer), self.router.settings.cascade
        confidence = await measure_confidence(
            self.router, self.pool.arms, section, exchange, first.decision, facts
        )
        if confidence is None:
            return None
        escalating = self._escalate(first.decision, confidence, exchange)
        try:
            retry = await self._begin_call(escalating)
        except RouterError as error:
            log.warning("a held answer is passed on, it cannot be judged now: %s", error)
            return None
        if retry is None:
            return None
        call = Call(self._services, exchange, self.pool.arms[retry.arm], retry)
        try:
            await call.open()
        except (UpstreamError, TooBusy) as failure:
            log.warning("a held answer is passed on, its retry on %r failed: %s", retry.arm, failure)
            return None
        return Answered(call, retry, first.fallbacks)

    async def _escalate(self, first: Decision, confidence: float, exchange: Exchange) -> Decision | None:
        """The retry of a held answer, whose call is committed; None if the answer is accepted."""
        escalation = await self.router.escalate_call(first.id, confidence, exchange.granted)
        return escalation.decision

    async def _begin_call(self, decide: Coroutine[Any, Any, _Decided]) -> _Decided:
        """What is decided. If the client leaves meanwhile, the call that begins with it ends at once."""
        deciding = asyncio.ensure_future(decide)
        try:
            return await asyncio.shield(deciding)
        except asyncio.CancelledError:
            self._background.start(self._abandon(deciding))
            raise

    async def _abandon(self, deciding: asyncio.Future[_Decided]) -> None:
        """End the call of a decision whose client has left before it was made."""
        try:
            decision = await deciding
        except RouterError:
            return  # there is no decision
        if decision is None:
            return
        end = CallEnd(decision_id=decision.id, outcome=CallOutcome.LEFT, cost_usd=0.0)
        await self.router.end_call(end, {"cost_usd": 0.0})

    async def _decide(
        self,
        exchange: Exchange,
        mask: Mapping[str, str],
        failed: Decision | None,
        budget: CallBudget | None,
    ) -> Decision:
        """A decision whose call is committed. An arm that the client names is called in any health."""
        full = {} if exchange.names_arm else self._limits.find_full()
        cooling = {} if exchange.names_arm else self.health.find_cooling()
        call = CallRequest(
            dialect=exchange.dialect.name,
            mask={**cooling, **mask},
            failed=None if failed is None else failed.id,
            new_conversation=exchange.new_conversation,
            granted=exchange.granted,
            key_id=None if exchange.key is None else exchange.key.id,
            budget=budget,
            signals=exchange.signals,
        )
        prompt, options = exchange.request.prompt, exchange.options
        if full:
            # If no arm that has room can be called, one that is full is waited for.
            with suppress(NoEligibleArm, KeyBudgetSpent):
                return await self.router.route_call(
                    prompt, replace(call, mask={**full, **call.mask}), options
                )
        return await self.router.route_call(prompt, call, options)

    async def _find_mask(self, exchange: Exchange) -> dict[str, str]:
        """The arms that cannot take the request. A large one is looked at while other requests go on."""
        if len(exchange.raw) > _LARGE_BYTES:
            return await asyncio.to_thread(self.pool.find_mask, self._arm_names(), exchange)
        return self.pool.find_mask(self._arm_names(), exchange)

    async def _find_pin_mask(self, exchange: Exchange) -> dict[str, str]:
        """The arms that cannot go on from what the request refers to: an answer, or a signature."""
        pin = exchange.request.pin
        if pin is None:
            return {}
        conversation = exchange.options.get("conversation")
        arm = await self.router.find_answered_arm(pin)
        if arm is None and conversation is not None:
            arm = await self.router.find_kept_arm(conversation)
        why = f"cannot go on from what {arm} answered"
        return {} if arm is None else {name: why for name in self._arm_names() if name != arm}

    def _arm_names(self) -> list[str]:
        return [arm.name for arm in self.router.arms]

    async def _sweep(self, lost_after_s: float) -> None:
        while True:
            try:
                lost = await self.router.sweep_calls(lost_after_s)
                if lost := lost + await self.router.lose_own_calls():
                    log.warning("%d calls that killed workers left are accounted as lost", lost)
            except RouterError as error:
                log.warning("calls that killed workers left cannot be swept now: %s", error)
            await asyncio.sleep(_SWEEP_INTERVAL_S)
