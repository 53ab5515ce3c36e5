"""A client of the service for programs with an event loop."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self, TypeVar, Unpack

import anyio
import httpx2

from bandit_router.client.answers import ExplainedDecision, JudgedAnswer, RoutedChain, RoutedDecision
from bandit_router.client.attempts import Attempts, read_outcome
from bandit_router.client.calls import (
    Call,
    make_arms_call,
    make_budget_call,
    make_chain_call,
    make_escalate_call,
    make_explain_call,
    make_feedback_call,
    make_route_call,
    make_safety_call,
)
from bandit_router.client.connection import check_usable, make_http_options, make_patience
from bandit_router.features import PromptSource
from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.router.options import RouteOptions
from bandit_router.types import Arm, Decision, DecisionId, Number, Outcome

T = TypeVar("T")


class AsyncClient:
    """A :class:`Client` whose methods are coroutines, for one event loop. Use with ``async with``."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        attempt_timeout_s: float = 10.0,
        attempts: int = 5,
    ) -> None:
        """Raises InvalidInput."""
        self._patience = make_patience(timeout_s, attempt_timeout_s, attempts)
        self._http = httpx2.AsyncClient(**make_http_options(url, api_key))
        self._process = os.getpid()
        self._clock = time.monotonic
        self._sleep = anyio.sleep

    async def route(
        self, query: PromptSource | None = None, **options: Unpack[RouteOptions]
    ) -> RoutedDecision:
        """As :meth:`Router.route`."""
        return await self._send(make_route_call(query, options))

    async def feedback(
        self,
        decision_id: DecisionId | None = None,
        *,
        conversation: str | None = None,
        idempotency_key: str | None = None,
        **metrics: Number | None,
    ) -> dict[str, Outcome]:
        """As :meth:`Router.feedback`."""
        return await self._send(make_feedback_call(decision_id, conversation, idempotency_key, metrics))

    async def escalate(
        self,
        decision: RoutedDecision | Decision | DecisionId,
        *,
        confidence: float,
        deadline_s: float | None = None,
    ) -> JudgedAnswer:
        """As :meth:`Router.escalate`."""
        return await self._send(make_escalate_call(decision, confidence, deadline_s))

    async def explain(self, decision_id: DecisionId) -> ExplainedDecision:
        """As :meth:`Router.explain`."""
        return await self._send(make_explain_call(decision_id))

    async def chain(self, decision_id: DecisionId) -> RoutedChain:
        """As :meth:`Router.chain`."""
        return await self._send(make_chain_call(decision_id))

    async def arms(self) -> tuple[Arm, ...]:
        """Every arm, enabled or not, as :attr:`Router.arms` of the service's worker has them."""
        return await self._send(make_arms_call())

    async def budget(self) -> GoalStatus:
        """As :meth:`Router.budget`."""
        return await self._send(make_budget_call())

    async def safety(self) -> SafetyStatus:
        """As :meth:`Router.safety`."""
        return await self._send(make_safety_call())

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call[T]) -> T:
        attempts = Attempts(self._patience, self._clock)
        while True:
            check_usable(self._http, self._process)
            outcome = await self._attempt(call, attempts.timeout_s())
            wait_s = attempts.find_wait(outcome)
            if wait_s is None:
                return read_outcome(call, outcome)
            await self._sleep(wait_s)

    async def _attempt(self, call: Call[T], timeout_s: float) -> httpx2.Response | httpx2.RequestError:
        try:
            return await self._http.request(
                call.method, call.path, content=call.body, headers=call.headers, timeout=timeout_s
            )
        except httpx2.RequestError as error:
            return error
