"""A client of the service for programs without an event loop."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self, TypeVar, Unpack

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


class Client:
    """A :class:`Router` that a service at ``url`` keeps. Thread-safe. Use as a context manager, or close it::

        with Client("http://127.0.0.1:8080", api_key="br_…") as router:
            decision = router.route("Why is the sky blue?")
            router.feedback(decision.id, quality=0.9)

    A call is tried again after a failed connection and after 429, 500, 502, 503 and 504: up to ``attempts``
    times, as long as all of it, with the waits between, takes ``timeout_s`` seconds; each attempt has
    ``attempt_timeout_s`` to connect, and as much for every further piece of the answer. Retry-After is
    honoured. Without an ``idempotency_key`` of the caller's, each call gets one, so that it acts once however
    often it is sent.

    The errors are those of :class:`Router`. Beyond these, calls raise AuthenticationError, PermissionDenied,
    ArmForbidden, RateLimited, ServiceError, ServiceUnreachable, ClientClosed or
    RouterForked.
    """

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
        self._http = httpx2.Client(**make_http_options(url, api_key))
        self._process = os.getpid()
        self._clock = time.monotonic
        self._sleep = time.sleep

    def route(self, query: PromptSource | None = None, **options: Unpack[RouteOptions]) -> RoutedDecision:
        """As :meth:`Router.route`."""
        return self._send(make_route_call(query, options))

    def feedback(
        self,
        decision_id: DecisionId | None = None,
        *,
        conversation: str | None = None,
        idempotency_key: str | None = None,
        **metrics: Number | None,
    ) -> dict[str, Outcome]:
        """As :meth:`Router.feedback`."""
        return self._send(make_feedback_call(decision_id, conversation, idempotency_key, metrics))

    def escalate(
        self,
        decision: RoutedDecision | Decision | DecisionId,
        *,
        confidence: float,
        deadline_s: float | None = None,
    ) -> JudgedAnswer:
        """As :meth:`Router.escalate`."""
        return self._send(make_escalate_call(decision, confidence, deadline_s))

    def explain(self, decision_id: DecisionId) -> ExplainedDecision:
        """As :meth:`Router.explain`."""
        return self._send(make_explain_call(decision_id))

    def chain(self, decision_id: DecisionId) -> RoutedChain:
        """As :meth:`Router.chain`."""
        return self._send(make_chain_call(decision_id))

    def arms(self) -> tuple[Arm, ...]:
        """Every arm, enabled or not, as :attr:`Router.arms` of the service's worker has them."""
        return self._send(make_arms_call())

    def budget(self) -> GoalStatus:
        """As :meth:`Router.budget`."""
        return self._send(make_budget_call())

    def safety(self) -> SafetyStatus:
        """As :meth:`Router.safety`."""
        return self._send(make_safety_call())

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        attempts = Attempts(self._patience, self._clock)
        while True:
            check_usable(self._http, self._process)
            outcome = self._attempt(call, attempts.timeout_s())
            wait_s = attempts.find_wait(outcome)
            if wait_s is None:
                return read_outcome(call, outcome)
            self._sleep(wait_s)

    def _attempt(self, call: Call[T], timeout_s: float) -> httpx2.Response | httpx2.RequestError:
        try:
            return self._http.request(
                call.method, call.path, content=call.body, headers=call.headers, timeout=timeout_s
            )
        except httpx2.RequestError as error:
            return error
