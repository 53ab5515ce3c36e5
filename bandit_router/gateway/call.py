"""One call: send the request to an arm, hold the head of the answer until its first content, pass it on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from bandit_router.gateway.accounting import CallRecord, make_end, make_metrics
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.background import BackgroundTasks
from bandit_router.gateway.dialects.base import UNREADABLE
from bandit_router.gateway.dialects.request_parts import wants_json
from bandit_router.gateway.exchange import Exchange
from bandit_router.gateway.follow_ups import FollowUps
from bandit_router.gateway.health import Health
from bandit_router.gateway.judge.online import OnlineJudge
from bandit_router.gateway.limits import ConcurrencyLimits, TooBusy
from bandit_router.gateway.verdicts import FailureVerdict, judge_failure
from bandit_router.providers.base import FailureKind, UpstreamAnswer, UpstreamError
from bandit_router.router import AsyncRouter
from bandit_router.telemetry import begin_call, end_call
from bandit_router.types import CallOutcome, Decision

_CUT = "the answer was cut upstream; what came so far is not all of it"


class CallServices(NamedTuple):
    """What every call of a worker shares. ``clock`` returns seconds that only grow, ``now`` Unix time."""

    router: AsyncRouter
    health: Health
    limits: ConcurrencyLimits
    background: BackgroundTasks
    clock: Callable[[], float]
    now: Callable[[], float]
    follow_ups: FollowUps
    judge: OnlineJudge | None = None


class Call:
    """The call of one decision. However it ends, it is accounted exactly once."""

    def __init__(
        self, services: CallServices, exchange: Exchange, arm: CallableArm, decision: Decision
    ) -> None:
        self._services = services
        self._exchange = exchange
        self._arm = arm
        self._adapter = arm.adapters[exchange.dialect.name]
        self._tap = self._adapter.open_tap(exchange.request)
        self.record = CallRecord(
            decision=decision,
            started_at=services.clock(),
            input_tokens=exchange.request.prompt.input_tokens,
            facts=self._tap.facts,
        )
        self._span = begin_call(decision, arm.provider_name, arm.model)
        self._answer: UpstreamAnswer | None = None
        self._pieces: AsyncGenerator[bytes, None] = self._read()
        self._held: list[bytes] = []
        self._acquired = False
        self._discarded = False
        self._ended = False

    async def open(self) -> None:
        """Returns when the first content is here.

        Raises UpstreamError if the call fails before, TooBusy if the arm has no room for it in time.
        """
        try:
            await self._services.limits.acquire(self._arm.name)
            self._acquired = True
            self._services.health.begin(self._arm.name)
            await self._hold_head()
        except UpstreamError as failure:
            self._fail(CallOutcome.FAILED, failure)
            raise
        except TooBusy as error:
            self.record.facts.error = str(error)
            self._end(CallOutcome.FAILED)
            raise
        except BaseException:
            self._end(CallOutcome.LEFT)
            raise

    async def hold(self) -> bytes:
        """The whole answer, which is still held. Raises UpstreamError if it is cut, or brings an error."""
        try:
            async for piece in self._pieces:
                self._held.append(piece)
            if self.record.facts.error is not None:
                raise self._describe_error(self.record.facts.error)
        except UpstreamError as failure:
            self._fail(CallOutcome.CUT, failure)
            raise
        except BaseException:
            self._end(CallOutcome.LEFT)
            raise
        return b"".join(self._held)

    def release(self, answer: bytes) -> None:
        """Pass on a held answer, now; the client's first content comes with it."""
        self._held = [answer]
        if self._exchange.request.stream:
            self.record.first_content_at = self._services.clock()

    def discard(self) -> None:
        """Keep a held answer from the client, who gets that of another call."""
        self.record.first_content_at = None
        self._discarded = True
        self._end(CallOutcome.ANSWERED)

    async def iterate_bytes(self) -> AsyncGenerator[bytes, None]:
        """The bytes for the client: those of the answer, and an error event if it is cut."""
        try:
            yield b"".join(self._held)
            async for piece in self._pieces:
                yield piece
        except UpstreamError as failure:
            self._fail(CallOutcome.CUT, failure)
            if self.record.facts.error is None:
                yield self._exchange.dialect.error_event(_CUT)
        except BaseException:
            self._leave()
            raise
        else:
            self._end(CallOutcome.ANSWERED)

    async def aclose(self) -> None:
        """The client takes no more. Idempotent."""
        self._leave()

    def _leave(self) -> None:
        complete = self.record.facts.complete
        self._end(CallOutcome.ANSWERED if complete else CallOutcome.LEFT)

    async def _hold_head(self) -> None:
        exchange, facts = self._exchange, self.record.facts
        body, headers = self._adapter.write_body(exchange), self._adapter.select_headers(exchange)
        self.record.sent = True
        try:
            self._answer = await self._arm.provider.send(
                self._adapter.path, body, headers, stream=exchange.request.stream
            )
        except UpstreamError as failure:
            raise self._adapter.translate_failure(failure) from None
        self.record.status, self.record.headers = self._answer.status, self._answer.headers
        async for piece in self._pieces:
            self._held.append(piece)
            if facts.began and exchange.request.stream:
                break
        if facts.error is not None and facts.empty:  # nothing is lost if another arm answers
            raise self._describe_error(facts.error)
        if exchange.request.stream:  # else no token comes before the last
            self.record.first_content_at = self._services.clock()

    def _describe_error(self, error: str) -> UpstreamError:
        """The failure of an answer that begins with an error; the client gets it if no other arm answers."""
        detail = f"upstream sent the error {error}"
        if error == UNREADABLE:
            return UpstreamError(FailureKind.CUT, detail)
        record, body = self.record, b"".join(self._held)
        return UpstreamError(FailureKind.CUT, detail, record.status, record.headers, body)

    async def _read(self) -> AsyncGenerator[bytes, None]:
        """The bytes to pass on. Raises UpstreamError if the answer ends without its end mark."""
        assert self._answer is not None
        async for chunk in self._answer.iterate_bytes():
            yield self._tap.feed(chunk)
        rest = self._tap.finish()
        if not self.record.facts.complete:
            raise UpstreamError(FailureKind.CUT, "the answer ended early")
        yield rest

    def _fail(self, outcome: CallOutcome, failure: UpstreamError) -> None:
        if failure.status is not None:
            self.record.status, self.record.headers = failure.status, failure.headers
        verdict = judge_failure(failure, self._services.now())
        self._end(outcome, failure, verdict)

    def _end(
        self,
        outcome: CallOutcome,
        failure: UpstreamError | None = None,
        verdict: FailureVerdict | None = None,
    ) -> None:
        """End the call, and account it beside whatever comes next. Only the first end counts."""
        if self._ended:
            return
        self._ended = True
        name, health = self._arm.name, self._services.health
        if self._acquired:
            self._services.limits.release(name)
        if outcome is CallOutcome.ANSWERED:
            health.succeed(name)
        elif failure is not None and verdict is not None and not verdict.ends:
            health.fail(name, str(failure), verdict.cool_s)
        else:
            health.leave(name)
        is_fault = verdict is not None and verdict.is_fault
        ended_at = self._services.clock()
        accounting = self._services.background.start(self._account(outcome, ended_at, failure, is_fault))
        if outcome is CallOutcome.ANSWERED and not self._discarded:
            self._services.follow_ups.note_answer(self._exchange, self.record.decision.id, accounting)

    async def _account(
        self, outcome: CallOutcome, ended_at: float, failure: UpstreamError | None, is_fault: bool
    ) -> None:
        try:
            await self._pieces.aclose()
            if self._answer is not None:
                await self._answer.aclose()
        finally:
            end = make_end(self.record, outcome, ended_at, self._arm.price, failure)
            facts, asked = self.record.facts, self._exchange.request.prompt
            metrics = make_metrics(
                end,
                facts,
                is_fault=is_fault,
                wants_json=wants_json(asked),
                in_conversation="conversation" in self._exchange.options,
            )
            end_call(self._span, end)
            await self._services.router.end_call(end, metrics)
            if outcome is CallOutcome.ANSWERED and self._services.judge is not None:
                self._services.judge.offer(self._exchange, self.record.decision, facts)
