"""The router's face for asyncio: the event loop never waits for the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import numpy as np
from opentelemetry.trace import Span

from bandit_router.cascade.escalation_rule import EscalationRule
from bandit_router.errors import InvalidInput, NoEligibleArm
from bandit_router.features import PromptSource
from bandit_router.policies import Policy
from bandit_router.router.answers import is_answer_id
from bandit_router.router.applied_settings import Apply
from bandit_router.router.commit_batcher import CommitBatcher
from bandit_router.router.options import CallRequest, RouteOptions
from bandit_router.router.router import Router
from bandit_router.settings import Settings
from bandit_router.store.write_requests import WriteRequest
from bandit_router.telemetry import describe_decision, trace_route
from bandit_router.types import Arm, CallEnd, Decision, DecisionId, Feedback, Number, Outcome, RolloutStage

P = ParamSpec("P")
T = TypeVar("T")


def _in_thread(
    method: Callable[Concatenate[Router, P], T],
) -> Callable[Concatenate[AsyncRouter, P], Coroutine[Any, Any, T]]:
    """The method of :class:`Router`, run in a thread, for what reads or writes the database and is rare."""

    @wraps(method)
    async def call(self: AsyncRouter, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self._router, *args, **kwargs)

    return call


class AsyncRouter:
    """A :class:`Router` whose methods are coroutines. Use as an asynchronous context manager::

        async with AsyncRouter.open("router.toml") as router:
            decision = await router.route("Why is the sky blue?")

    Writes of one pass of the event loop are committed together. A call that is cancelled may still commit.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._batcher = CommitBatcher(router._submit, router.settings.store.commit_timeout_s)

    @classmethod
    def open(
        cls,
        settings: Settings | str | Path,
        *,
        rng: np.random.Generator | None = None,
        apply: Apply = "new",
    ) -> Self:
        """As :meth:`Router.open`, which it blocks for."""
        return cls(Router.open(settings, rng=rng, apply=apply))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def route(self, query: PromptSource | None = None, **options: Unpack[RouteOptions]) -> Decision:
        """As :meth:`Router.route`."""
        return await self.route_granted(query, options)

    async def route_granted(
        self,
        query: PromptSource | None,
        options: RouteOptions,
        granted: Collection[str] | None = None,
        key_id: str | None = None,
    ) -> Decision:
        """The same for a caller who may have only these arms called, None for all, with this API key.

        Raises ArmForbidden for an override of another arm, too.
        """
        router = self._router
        with trace_route() as span:
            request, digest = router._prepare(query, options, granted, key_id)
            if request.since is not None or request.task_source is not None:
                request = await asyncio.to_thread(router._recall, request)
            try:
                write = router._choose(request, digest)
            except NoEligibleArm:
                replay = await asyncio.to_thread(router._find_replay, request, digest)
                if replay is None:
                    raise
                write = replay
            return await self._commit(write, span)

    async def route_call(self, source: PromptSource, call: CallRequest, options: RouteOptions) -> Decision:
        """A decision that is in the log together with the call of its arm, which the caller makes now.

        Raises KeyBudgetSpent, too, if the call has a budget that is too small for every arm.
        """
        router = self._router
        with trace_route() as span:
            request, digest = router._prepare_call(source, call, options)
            looks_up = request.since is not None and not call.new_conversation  # a new one keeps no arm
            if looks_up or request.task_source is not None:
                request = await asyncio.to_thread(router._recall, request)
            return await self._commit(router._choose(request, digest, call), span)

    async def _commit(self, write: WriteRequest, span: Span) -> Decision:
        decision = await self._batcher.commit(write)
        assert isinstance(decision, Decision)
        describe_decision(span, decision)
        return decision

    async def end_call(self, end: CallEnd, metrics: Mapping[str, float]) -> bool:
        """End the call of a decision, which then has these metrics; only the first end of a call counts.

        Returns whether this was the first.
        """
        at, claimed_at = self._router._store.clock.stamp()
        said = Feedback(decision_id=end.decision_id, metrics=metrics, received_at=at, claimed_at=claimed_at)
        outcome = await self._batcher.commit(WriteRequest(payload=replace(end, feedback=said)))
        return outcome is Outcome.RECORDED

    async def feedback(
        self,
        decision_id: DecisionId | None = None,
        *,
        conversation: str | None = None,
        idempotency_key: str | None = None,
        **metrics: Number | None,
    ) -> dict[str, Outcome]:
        """As :meth:`Router.feedback`."""
        _, outcomes = await self.feedback_on(decision_id, metrics, conversation, idempotency_key)
        return outcomes

    async def feedback_on(
        self,
        decision_id: DecisionId | None,
        metrics: Mapping[str, Number | None],
        conversation: str | None = None,
        idempotency_key: str | None = None,
        key_id: str | None = None,
    ) -> tuple[str, dict[str, Outcome]]:
        """The same with the metrics by name, and the decision that they were recorded on.

        ``key_id`` is the API key that they came with.
        """
        begin = partial(
            self._router._begin_feedback,
            decision_id,
            metrics,
            idempotency_key,
            conversation=conversation,
            key_id=key_id,
        )
        looks_up = conversation is not None or is_answer_id(decision_id)
        write = await asyncio.to_thread(begin) if looks_up else begin()
        outcomes = await self._batcher.commit(write)
        assert isinstance(write.payload, Feedback)
        assert isinstance(outcomes, dict)
        return write.payload.decision_id, outcomes

    async def arm(self, name: str) -> Arm:
        """The arm of that name, which another worker may just have added. Raises InvalidInput."""
        try:
            return self._router.arm(name)
        except InvalidInput:
            await self.refresh()
            return self._router.arm(name)

    @property
    def settings(self) -> Settings:
        """The settings it was opened with."""
        return self._router.settings

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every arm, enabled or not, as of the last refresh."""
        return self._router.arms

    @property
    def policy(self) -> Policy:
        """As :attr:`Router.policy`."""
        return self._router.policy

    @property
    def rollout_stage(self) -> RolloutStage | None:
        """As :attr:`Router.rollout_stage`."""
        return self._router.rollout_stage

    @property
    def safety_share(self) -> float | None:
        """As :attr:`Router.safety_share`."""
        return self._router.safety_share

    @property
    def rule(self) -> EscalationRule | None:
        """The rule of the cascade; None when cascades are off."""
        return self._router.rule

    @property
    def snapshot(self) -> int:
        """Version of the snapshot in use."""
        return self._router.snapshot

    def now(self) -> float:
        """As :meth:`Router.now`."""
        return self._router.now()

    def counts(self) -> dict[str, int]:
        """As :meth:`Router.counts`."""
        return self._router.counts()

    def latency_s(self, arm: str, q: float) -> float | None:
        """As :meth:`Router.latency_s`."""
        return self._router.latency_s(arm, q)

    async def read(self, look: Callable[[Router], T]) -> T:
        """The result of a function that looks at the router, run in a thread."""
        return await asyncio.to_thread(look, self._router)

    close = _in_thread(Router.close)
    escalate = _in_thread(Router.escalate)
    escalate_call = _in_thread(Router.escalate_call)
    chain = _in_thread(Router.chain)
    learn = _in_thread(Router.learn)
    rebuild = _in_thread(Router.rebuild)
    delete_damaged_snapshots = _in_thread(Router.delete_damaged_snapshots)
    warm_start = _in_thread(Router.warm_start)
    verify = _in_thread(Router.verify)
    decision = _in_thread(Router.decision)
    scores = _in_thread(Router.scores)
    explain = _in_thread(Router.explain)
    metrics = _in_thread(Router.metrics)
    calibration = _in_thread(Router.calibration)
    budget = _in_thread(Router.budget)
    safety = _in_thread(Router.safety)
    rollups = _in_thread(Router.rollups)
    estimate = _in_thread(Router.estimate)
    take_lease = _in_thread(Router.take_lease)
    sweep_calls = _in_thread(Router.sweep_calls)
    begin_own_call = _in_thread(Router.begin_own_call)
    end_own_call = _in_thread(Router.end_own_call)
    lose_own_calls = _in_thread(Router.lose_own_calls)
    own_calls = _in_thread(Router.own_calls)
    own_costs = _in_thread(Router.own_costs)
    find_answered_arm = _in_thread(Router.find_answered_arm)
    find_kept_arm = _in_thread(Router.find_kept_arm)
    put_arm = _in_thread(Router.put_arm)
    enable_arm = _in_thread(Router.enable_arm)
    rename_arm = _in_thread(Router.rename_arm)
    reset_arm = _in_thread(Router.reset_arm)
    pin_traffic = _in_thread(Router.pin_traffic)
    unpin_traffic = _in_thread(Router.unpin_traffic)
    advance_rollout = _in_thread(Router.advance_rollout)
    abort_rollout = _in_thread(Router.abort_rollout)
    forget_user = _in_thread(Router.forget_user)
    create_key = _in_thread(Router.create_key)
    quarantine_key = _in_thread(Router.quarantine_key)
    release_key = _in_thread(Router.release_key)
    find_key = _in_thread(Router.find_key)
    has_keys = _in_thread(Router.has_keys)
    begin_session = _in_thread(Router.begin_session)
    find_session = _in_thread(Router.find_session)
    end_session = _in_thread(Router.end_session)
    ping = _in_thread(Router.ping)
    refresh = _in_thread(Router.refresh)
