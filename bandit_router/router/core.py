"""The router's core: open and close, prepare and decide requests, refresh the published model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from bandit_router.errors import InvalidInput, NoEligibleArm, RouterClosed
from bandit_router.features import PromptSource
from bandit_router.learning.clock_repair import repair_stamps_ahead
from bandit_router.learning.drift import NEWEST, CalibrationReport, calibrate
from bandit_router.learning.drift_watch import DriftWatch
from bandit_router.learning.safety_fold import fold_safety
from bandit_router.policies import Policy
from bandit_router.router.applied_settings import Apply, follow_settings
from bandit_router.router.background import BackgroundLoop
from bandit_router.router.bootstrap import Components, build_components
from bandit_router.router.conversations import RequestDecider, load_conversation, make_claim
from bandit_router.router.feedback import make_feedback
from bandit_router.router.options import CallRequest, RouteOptions
from bandit_router.router.published_model import load_published_model, refresh_published_model
from bandit_router.router.readiness import Readiness
from bandit_router.router.request import add_call, make_request
from bandit_router.router.rollout import ActiveRollout, join_rollout
from bandit_router.router.tasks import TaskNumbers
from bandit_router.routing.decide import Request
from bandit_router.security.influence import FeedbackKey
from bandit_router.settings import Settings, load_settings
from bandit_router.store.estimates import StoredEstimate
from bandit_router.store.key_ledger import BudgetClaim
from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.rollups.reader import RollupFilter, RollupRow
from bandit_router.store.snapshots import Head
from bandit_router.store.write_requests import WriteRequest
from bandit_router.store.writer import Done, Writer
from bandit_router.types import (
    SAFETY_SHARE,
    Arm,
    DecisionId,
    Number,
    Reason,
    RolloutStage,
    TrafficPin,
)
from bandit_router.validation import check_last


class RouterCore:
    """Shared by every face of the router: its components, its published model and its writer.

    Nothing here waits for a commit: a decision or feedback is prepared, and then submitted to the writer.
    """

    def __init__(self, components: Components, rng: np.random.Generator) -> None:
        self.settings = components.settings
        self._policy = components.policy
        self.pipeline = components.pipeline
        self.signallers = components.signallers
        self.rule = components.rule
        self._store = components.store
        self._learner = components.learner
        self._rng = rng
        self._refreshing = threading.Lock()
        self._readiness = Readiness(self._store.try_write)
        self._published = load_published_model(self._store, cascades=self.settings.cascade.enabled)
        head = self._store.head()
        self._traffic_pin = _read_traffic_pin(head)
        self._tasks = TaskNumbers(self._store)
        self._plan = components.rollout
        self._rollout: ActiveRollout | None = None
        self._follow_rollout(head)
        self._safety_share: float | None = None
        self._follow_safety(head)
        self._user_secret = self._store.user_secret()
        if not components.only_looks:
            self._repair_stamps_ahead()
            self._fold_safety()
        section = self.settings.store
        self._writer = Writer(self._store, section.queue_size, section.commit_timeout_s)
        self._drift_watch = DriftWatch(self._learner, resets=self.settings.posterior.on_drift == "reset")
        self._closed = False
        self._background = BackgroundLoop(self._round, self.settings.learner.interval_s)

    @classmethod
    def open(
        cls,
        settings: Settings | str | Path,
        *,
        rng: np.random.Generator | None = None,
        host_time: Callable[[], float] = time.time,
        apply: Apply = "new",
    ) -> Self:
        """A router on the settings' database, which is created when it is an empty SQLite file.

        All workers share the settings, but for ``[store]``, ``[server]`` and ``[learner]``. Opening a router
        applies settings that are "new": they were never in force. Settings that were superseded are not
        applied: the router runs with those in force, and logs the difference.

        Args:
            settings: Settings, or the path of a router.toml.
            rng: The source of exploration; fresh entropy by default.
            host_time: The clock of this host, Unix time, seconds.
            apply: "always" applies superseded settings too, "never" none, unless the database is empty.

        Raises ConfigError, SchemaVersionError, SchemaMismatch or StoreError.
        """
        loaded = settings if isinstance(settings, Settings) else load_settings(settings)
        components = build_components(loaded, apply, host_time)
        try:
            return cls(components, rng or np.random.default_rng())
        except BaseException:
            components.store.close()
            raise

    def close(self) -> None:
        """Commit what is queued and close the database. Idempotent.

        Waits ``store.close_timeout_s`` for a round of learning to end, and as long for what is queued.
        """
        if self._closed:
            return
        self._closed = True
        if self._store.forked:  # all there is to close belongs to the parent
            return
        timeout_s = self.settings.store.close_timeout_s
        stopped = self._background.stop(timeout_s), self._writer.close(timeout_s)
        self._store.close(in_use=not all(stopped))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- decisions --------------------------------------------------------------------------------

    def _begin(self, query: PromptSource | None, options: RouteOptions) -> WriteRequest:
        """Choose an arm now; the decision takes effect when the write request is committed.

        Reads the database for a conversation, for a task it does not know, and for a retry that has no
        eligible arm any more.
        Raises what :meth:`Router.route` raises before it commits.
        """
        request, digest = self._prepare(query, options)
        request = self._recall(request)
        try:
            return self._choose(request, digest)
        except NoEligibleArm:
            replay = self._find_replay(request, digest)
            if replay is None:
                raise
            return replay

    def _prepare(
        self,
        query: PromptSource | None,
        options: RouteOptions,
        granted: Collection[str] | None = None,
        key_id: str | None = None,
        *,
        is_call: bool = False,
    ) -> tuple[Request, str]:
        """Check the arguments of a route call: a request, and the digest that identifies it.

        With ``granted``, the caller may have only these arms called. ``key_id`` is the caller's API key.
        """
        now = self._store.clock.now()
        request, digest = make_request(
            query,
            options,
            settings=self.settings,
            pipeline=self.pipeline,
            signallers=self.signallers,
            goal=self._store.pacing.goal,
            pacing_state=self._store.pacing.state_at(now),
            now=now,
            user_secret=self._user_secret,
            find_task=self._tasks.find,
            granted=granted,
            key_id=key_id,
            is_call=is_call,
        )
        return self._bind(self._join_rollout(request, now)), digest

    def _bind(self, request: Request) -> Request:
        """The request with the share of traffic that the policy decides by itself, if it is bound."""
        share = self.safety_share
        return request if share is None else replace(request, drawn={**request.drawn, SAFETY_SHARE: share})

    def _join_rollout(self, request: Request, now: float) -> Request:
        """The request as one of the stage of the rollout under way, if there is one."""
        rollout = self._rollout
        return request if rollout is None else join_rollout(request, rollout, now, self._user_secret)

    def _prepare_call(
        self, source: PromptSource, call: CallRequest, options: RouteOptions
    ) -> tuple[Request, str]:
        """The same for a decision whose arm is called at once."""
        request, digest = self._prepare(source, options, call.granted, call.key_id, is_call=True)
        return add_call(request, call, self._store.clock.now()), digest

    def _recall(self, request: Request) -> Request:
        """The request with its conversation and the number of its task, from the database where it needs it.

        Raises StoreError.
        """
        if request.task_source is not None:
            number = self._tasks.number(request.task_source)
            request = replace(request, task=number, task_source=None)
        return load_conversation(request, self._store, self.settings.conversations)

    def _choose(self, request: Request, digest: str, call: CallRequest | None = None) -> WriteRequest:
        """Draw an arm, and count the decision as in flight. Raises NoEligibleArm or RouterClosed."""
        if self._closed:
            raise RouterClosed
        self._store.require_own_process()  # before a lock that a thread of the parent may have held
        stamp = self._store.clock.stamp()
        pin = self.traffic_pin
        decider = RequestDecider(
            published=self._published,
            policy=self._policy,
            schema_id=self.pipeline.schema_id,
            section=self.settings.conversations,
            request=request if pin is None else replace(request, pinned_arm=pin.arm),
            id=stamp.make_id(),
            stamp=stamp,
            rng=self._rng,
        )
        decision = decider.decide()
        self._store.pacing.add_in_flight(decision)
        claim = None if decision.reason is Reason.PINNED else make_claim(decider)
        budget = None if call is None else call.budget
        return WriteRequest(
            payload=decision,
            digest=digest,
            claim=claim,
            begins_call=call is not None,
            budget=None if budget is None else BudgetClaim(budget=budget, decider=decider),
        )

    def _find_replay(self, request: Request, digest: str) -> WriteRequest | None:
        """The decision that the first request with this key got, which is not in flight; None without one.

        For a request without an eligible arm. Reads the database if there is a key.
        """
        key = request.idempotency_key
        earlier = None if key is None else self._store.decision_of_key(key)
        return None if earlier is None else WriteRequest(payload=earlier, digest=digest)

    # -- feedback and writes ----------------------------------------------------------------------

    def _begin_feedback(
        self,
        decision_id: DecisionId | None,
        metrics: Mapping[str, Number | None],
        idempotency_key: str | None = None,
        *,
        conversation: str | None = None,
        key_id: str | None = None,
    ) -> WriteRequest:
        """Check feedback: metric names and ranges; None retracts. Reads the database for a conversation.

        ``key_id`` is the API key that it came with. Raises InvalidInput or UnknownConversation.
        """
        write = make_feedback(
            decision_id,
            metrics,
            idempotency_key,
            conversation=conversation,
            store=self._store,
            section=self.settings.conversations,
            scales=self.settings.scales(),
            stamp=self._store.clock.stamp(),
        )
        if key_id is None:
            return write
        return replace(write, feedback_key=FeedbackKey(key_id, self.settings.feedback.max_key_share))

    def _submit(self, request: WriteRequest, done: Done) -> None:
        """Queue a write; ``done`` gets the result on the writer's thread, once it is committed or refused.

        Raises Overloaded or RouterClosed.
        """
        self._writer.submit(request, done)

    # -- the published model ----------------------------------------------------------------------

    @property
    def snapshot(self) -> int:
        """Version of the snapshot in use."""
        return self._published.version

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every arm, enabled or not, as of the last refresh."""
        return self._published.arms

    def arm(self, name: str) -> Arm:
        """The arm of that name. Raises InvalidInput."""
        for arm in self._published.arms:
            if arm.name == name:
                return arm
        names = ", ".join(arm.name for arm in self._published.arms)
        raise InvalidInput("arm", f"{name!r} is not an arm", f"use one of {names}")

    @property
    def traffic_pin(self) -> TrafficPin | None:
        """The arm that all traffic goes to now, as of the last refresh; None if it goes to several."""
        pin = self._traffic_pin
        return None if pin is None or self.now() >= pin.until else pin

    @property
    def rollout_stage(self) -> RolloutStage | None:
        """The stage of the rollout under way, as of the last refresh; None without one."""
        return None if self._rollout is None else self._rollout.stage

    @property
    def safety_share(self) -> float | None:
        """The share of traffic that the policy decides by itself, as of the last refresh; None if unbound."""
        return None if self.settings.safety.baseline is None else self._safety_share

    @property
    def policy(self) -> Policy:
        """The policy that decides now: the one of the settings, or its rollout at the stage under way."""
        return self._policy if self._rollout is None else self._rollout.policy

    def rollups(self, asked: RollupFilter) -> list[RollupRow]:
        """The sums over the log that are asked for, up to this moment. Raises StoreError."""
        return self._store.rollups(asked)

    def estimate(self, kind: str) -> StoredEstimate | None:
        """The newest estimate of this kind; None if there is none yet. Raises StoreError."""
        return self._store.estimate(kind)

    def take_lease(self, kind: str, holder: str, *, interval_s: float, lease_s: float) -> bool:
        """Whether ``holder`` shall make the next estimate of this kind, and has ``lease_s`` seconds for it.

        It is due when the newest is ``interval_s`` seconds old and nobody makes one. Raises StoreError.
        """
        return self._store.take_lease(kind, holder, interval_s=interval_s, lease_s=lease_s)

    def counts(self) -> dict[str, int]:
        """The number of rewards that the posterior in use counts, by arm."""
        rewards = self._published.state.rewards
        return dict(zip(rewards.arms, rewards.count.tolist(), strict=True))

    def calibration(self, last: int = NEWEST) -> CalibrationReport:
        """The newest ``last`` rewards and costs against the expected ones, and the arms that drifted.

        Raises InvalidInput.
        """
        check_last(last)
        return replace(
            self._calibrate(last),
            warm_start=self._published.state.rewards.warm_start_verdict,
            clamped_stamps=self._store.count_clamped_stamps(),
            ahead_of_now=tuple(self._store.find_marks_ahead()),
        )

    @property
    def watched_calibration(self) -> CalibrationReport | None:
        """What the watch for drift saw last, without a read of the database; None before its first look."""
        return self._drift_watch.report

    def _calibrate(self, last: int = NEWEST) -> CalibrationReport:
        return calibrate(*self._store.recent(last), self.counts())

    def now(self) -> float:
        """The time by the database's clock, or this host's where that has none: Unix time, seconds."""
        return self._store.clock.reference()

    # -- maintenance ------------------------------------------------------------------------------

    def ping(self) -> None:
        """Raise StoreError when the database takes no writes now, or has no such router."""
        self._store.require_own_process()
        self._readiness.check()

    def refresh(self) -> None:
        """Load the newest snapshot and arms, if there are newer ones."""
        self._store.require_own_process()
        with self._refreshing:  # a slow thread must not replace a newer model by an older one
            head = self._store.head()
            if head is None:
                return
            self._follow_settings(head)
            self._traffic_pin = _read_traffic_pin(head)
            self._tasks.follow(head.tasks_revision)
            self._follow_rollout(head)
            self._follow_safety(head)
            self._published = refresh_published_model(
                self._store, self._published, head, cascades=self.settings.cascade.enabled
            )

    def _follow_rollout(self, head: Head | None) -> None:
        """Decide by the stage of the rollout under way, if another process has begun it."""
        plan, stage = self._plan, self.rollout_stage
        if plan is None or head is None or head.rollout_stage == (None if stage is None else stage.id):
            return
        record = self._store.rollout()
        if record is not None and record.contest == plan.policy.contest:
            self._rollout = plan.at(record.stage)

    def _follow_safety(self, head: Head | None) -> None:
        """Give the policy the share that was found last; if other settings bind none, the last one stays."""
        if head is not None and head.safety_share is not None:
            self._safety_share = head.safety_share

    def _fold_safety(self, *, wait: bool = False) -> None:
        if not self._store.books_safety:  # skip the query when nothing is bound
            return
        interval_s = self.settings.learner.interval_s
        share = fold_safety(self._learner, self._published, interval_s=interval_s, wait=wait)
        self._safety_share = self._safety_share if share is None else share

    def _follow_settings(self, head: Head | None) -> None:
        """Learn by the settings in force, if another worker has changed them."""
        if head is not None and head.settings_id != self._learner.settings_id:
            self._learner = follow_settings(self._store, self._learner, self.settings)
            self._drift_watch = DriftWatch(self._learner, resets=self._drift_watch.resets)

    @contextmanager
    def _learner_transaction(self) -> Iterator[LearnerTransaction]:
        """The learner's transaction; what it publishes is in use after the block."""
        with self._store.learner_transaction() as transaction:
            yield transaction
        self.refresh()

    def _learn(self, *, wait: bool = False) -> int:
        """Fold, refresh, and repair what a fast clock left; how many decisions were folded."""
        folded = self._learner.fold_all(wait=wait)
        self.refresh()
        self._repair_stamps_ahead()
        self._fold_safety(wait=wait)
        return folded

    def _repair_stamps_ahead(self) -> None:
        if repair_stamps_ahead(self._learner, self._published.as_of):
            self.refresh()

    def _round(self) -> None:
        """One round of the background loop: learn, checkpoint, watch for drift."""
        self._learn()
        self._store.checkpoint()
        if self._drift_watch.check(self._calibrate, self.snapshot):
            self.refresh()


def _read_traffic_pin(head: Head | None) -> TrafficPin | None:
    return None if head is None else head.traffic_pin
