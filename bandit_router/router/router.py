"""Decide and learn: the object a library user holds, and the only orchestrator."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import numpy as np
import uuid_utils

from bandit_router.cascade.escalation import Chain, escalate
from bandit_router.errors import InvalidInput, NoEligibleArm, RouterClosed, StoreError
from bandit_router.learning.audit import AuditReport, verify
from bandit_router.learning.drift import NEWEST, CalibrationReport, calibrate
from bandit_router.learning.drift_watch import DriftWatch
from bandit_router.objective.pacing import GoalStatus
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.warm_start import Evidence, check_evidence
from bandit_router.router.background import BackgroundLoop
from bandit_router.router.bootstrap import Components, build_components
from bandit_router.router.conversations import knowing, recall
from bandit_router.router.escalation import ask, chain_of
from bandit_router.router.explain import Explanation, explain, scores_of
from bandit_router.router.feedback import make_feedback
from bandit_router.router.published_model import load_published_model, refresh_published_model
from bandit_router.router.request import RouteOptions, make_request
from bandit_router.routing.decide import PublishedModel, Request, decide
from bandit_router.settings import Settings, load_settings
from bandit_router.settings.arms import check_arm
from bandit_router.store.conversations import ConversationClaim
from bandit_router.store.fold import LearnerTransaction
from bandit_router.store.write import WriteRequest
from bandit_router.store.writer import Done, Writer
from bandit_router.types import Arm, Decision, Escalation, Outcome, Scores
from bandit_router.validation import check_id, check_last, check_trust

__all__ = ["RouteOptions", "Router"]


class Router:
    """A contextual-bandit router on one database. Thread-safe; many processes may share a database.

    A background thread folds feedback and picks up what other workers published, every
    ``learner.interval_s`` seconds. Use as a context manager, or call :meth:`close`.
    """

    def __init__(self, parts: Components, rng: np.random.Generator) -> None:
        self.settings = parts.settings
        self.policy = parts.policy
        self.pipeline = parts.pipeline
        self.signallers = parts.signallers
        self.rule = parts.rule
        self._store = parts.store
        self._learner = parts.learner
        self._rng = rng
        self._rng_lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._view = load_published_model(self._store)
        self._writer = Writer(self._store, self.settings.store.queue_size)
        self._drift = DriftWatch(self._learner, resets=self.settings.posterior.on_drift == "reset")
        self._closed = False
        self._upkeep = BackgroundLoop(self._round, self.settings.learner.interval_s)

    @classmethod
    def open(cls, settings: Settings | str | Path, *, rng: np.random.Generator | None = None) -> Self:
        """A router on the settings' database, which is created when it is an empty SQLite file.

        Args:
            settings: Settings, or the path of a router.toml.
            rng: The source of exploration; fresh entropy by default.

        Raises ConfigError, SchemaVersionError, SchemaMismatch or StoreError.
        """
        parts = build_components(settings if isinstance(settings, Settings) else load_settings(settings))
        try:
            return cls(parts, rng or np.random.default_rng())
        except BaseException:
            parts.store.close()
            raise

    def close(self) -> None:
        """Commit what is queued and let go of the database. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._upkeep.stop()
        self._writer.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- deciding ---------------------------------------------------------------------------------

    def route(
        self, query: str | Sequence[Mapping[str, Any]] | None = None, **options: Unpack[RouteOptions]
    ) -> Decision:
        """Choose an arm for a query and log the decision; returns once that is committed.

        ``query`` is the text, or chat messages with ``role`` and ``content``.

        Raises InvalidInput, NoEligibleArm, IdempotencyConflict, Overloaded or StoreError.
        """
        request, digest = self.prepare(query, **options)
        decision = self._writer.write(self.decide(self.recall(request), digest))
        assert isinstance(decision, Decision)
        return decision

    def prepare(
        self, query: str | Sequence[Mapping[str, Any]] | None = None, **options: Unpack[RouteOptions]
    ) -> tuple[Request, str]:
        """Check the arguments of :meth:`route`: a request, and the digest that identifies it."""
        now = time.time()
        return make_request(
            query,
            options,
            settings=self.settings,
            pipeline=self.pipeline,
            signallers=self.signallers,
            goal=self._store.goal,
            pace=self._store.pace_at(now),
            now=now,
        )

    def decide(self, request: Request, digest: str) -> WriteRequest:
        """Choose an arm now; the decision counts once the Put is committed."""
        if self._closed:
            raise RouterClosed
        view, id, now = self._view, str(uuid_utils.uuid7()), time.time()
        section, keeping = self.settings.conversations, None
        try:
            decision = self._decide(view, request, id, now)
            if request.since is not None:
                keeping = ConversationClaim(
                    since=request.since,
                    known=request.kept and request.kept.conversation.choice,
                    redecide=lambda standing: self._decide(
                        view, knowing(request, standing, section), id, now
                    ),
                )
        except NoEligibleArm:
            key = request.idempotency_key
            earlier = None if key is None else self._store.decision_of_key(key)
            if earlier is None:  # else it is a retry, which is owed the answer of then
                raise
            decision = earlier
        self._store.add_in_flight(decision)
        return WriteRequest(what=decision, digest=digest, keeping=keeping)

    def _decide(self, view: PublishedModel, request: Request, id: str, now: float) -> Decision:
        with self._rng_lock:
            return decide(view, self.policy, self.pipeline.schema_id, request, id=id, now=now, rng=self._rng)

    def recall(self, request: Request) -> Request:
        """The request, knowing how its conversation stands; reads the database if it is to keep its arm."""
        return recall(request, self._store, self.settings.conversations)

    # -- cascades ---------------------------------------------------------------------------------

    def escalate(
        self, decision: Decision | str, *, confidence: float, deadline_s: float | None = None
    ) -> Escalation:
        """Whether the answer to a decision will do, given how sure of it its model was.

        When it will not, the result has a ``decision``: send the original query, and nothing of the answer,
        to its arm. Once per decision: whoever asks again hears the same. ``deadline_s`` is counted from the
        first decision, and is the one it was routed with by default; there is no retry that would miss it.

        Raises InvalidInput when cascades are off or the decision is a retry itself, UnknownDecision,
        Overloaded or StoreError.
        """
        if self.rule is None:
            raise InvalidInput("cascade", "is off", "set enabled = true under [cascade] in the settings")
        now = time.time()
        asked = ask(
            self._store,
            self.rule,
            decision.id if isinstance(decision, Decision) else decision,
            confidence=confidence,
            deadline_s=deadline_s,
            level=self.settings.router.deadline_level,
            now=now,
        )
        if isinstance(asked, Escalation):
            return asked
        with self._rng_lock:
            id = str(uuid_utils.uuid7())
            found = escalate(self._view, asked, self.rule, id=id, now=now, rng=self._rng)
        if found.decision is not None:
            self._store.add_in_flight(found.decision)
        settled = self._writer.write(WriteRequest(what=found))
        assert isinstance(settled, Escalation)
        return settled

    def chain(self, decision_id: str) -> Chain:
        """The calls of a decision's query, its retry included, with their costs and latencies added up.

        Raises UnknownDecision.
        """
        return chain_of(self._store, self.decision(decision_id))

    # -- learning ---------------------------------------------------------------------------------

    def feedback(
        self,
        decision_id: str | None = None,
        *,
        conversation: str | None = None,
        idempotency_key: str | None = None,
        **metrics: float | None,
    ) -> dict[str, Outcome]:
        """Attach metrics to a decision, seconds or days later; returns once they are committed.

        ``metrics`` are any of quality, satisfaction, error, override (0 to 1), cost_usd and latency_s. The
        same value again is a duplicate and changes nothing, another value is a revision, None takes the
        metric back. Learning follows within ``learner.interval_s``.

        With ``conversation`` instead of an id it is about the decision that chose the arm which that
        conversation keeps: its first, or after a promotion the promotion.

        Raises InvalidInput, UnknownDecision, UnknownConversation, IdempotencyConflict, Overloaded or
        StoreError.
        """
        put = self.prepare_feedback(decision_id, metrics, idempotency_key, conversation=conversation)
        outcomes = self._writer.write(put)
        assert isinstance(outcomes, dict)
        return outcomes

    def prepare_feedback(
        self,
        decision_id: str | None,
        metrics: Mapping[str, float | None],
        idempotency_key: str | None = None,
        *,
        conversation: str | None = None,
    ) -> WriteRequest:
        """Check feedback: metric names and ranges; None retracts. Reads the database for a conversation.

        Raises InvalidInput or UnknownConversation.
        """
        return make_feedback(
            decision_id,
            metrics,
            idempotency_key,
            conversation=conversation,
            store=self._store,
            section=self.settings.conversations,
            now=time.time(),
        )

    def submit(self, put: WriteRequest, done: Done) -> None:
        """Queue a write; ``done`` hears of it on the writer's thread once it is committed or refused.

        Raises Overloaded or RouterClosed.
        """
        self._writer.submit(put, done)

    def learn(self) -> int:
        """Fold all pending feedback now instead of within a second; how many decisions it touched.

        Waits for a learner that is at it, so what was acknowledged before is in :meth:`counts` after.
        """
        touched = self._learner.fold_all(wait=True)
        self.refresh()
        return touched

    def rebuild(self) -> int:
        """Rebuild the posterior from nothing but the log; how many rewards it counts."""
        with self._folding() as fold:
            return self._learner.rebuild(fold)

    def warm_start(self, evidence: Evidence | None, *, trust: float | None = None) -> int:
        """Learn on top of evidence from elsewhere, instead of any before; None takes it away.

        ``trust`` is how many queries the evidence may count for, as many as it is of by default. Where
        rewards say that it is of other models, only what it tells of queries is kept. Returns the version
        that has it; workers follow within a second.

        Raises InvalidInput, or SchemaMismatch for contexts of another pipeline.
        """
        check_trust(trust)
        if evidence is not None:
            arms = [arm.name for arm in self._store.arms()]
            check_evidence(evidence, self.pipeline.schema_id, self.pipeline.dim, arms)
        with self._folding() as fold:
            return self._learner.warm_start(fold, evidence, trust, time.time())

    @contextmanager
    def _folding(self) -> Iterator[LearnerTransaction]:
        """The learner's transaction; what it publishes is in use when it is over."""
        with self._store.folding(wait=True) as fold:
            assert fold is not None, "it waits for its turn"
            yield fold
        self.refresh()

    def verify(self) -> AuditReport:
        """Check every invariant of the log, the posterior and the propensities."""
        return verify(self._store)

    # -- looking ----------------------------------------------------------------------------------

    def decision(self, decision_id: str) -> Decision:
        """The logged decision. Raises UnknownDecision."""
        check_id(decision_id)
        return self._store.decision(decision_id)

    def scores(self, decision: Decision) -> Scores | None:
        """What the policy saw, recomputed from the decision's snapshot; None when that is pruned."""
        return scores_of(self._store, decision)

    def explain(self, decision_id: str) -> Explanation:
        """Why a decision has its arm, and what became of it. Raises UnknownDecision."""
        check_id(decision_id)
        return explain(self._store, decision_id)

    def metrics(self, decision_id: str) -> dict[str, float]:
        """The feedback in force for a decision."""
        return self._store.observation(decision_id).metrics

    def counts(self) -> dict[str, int]:
        """How many rewards the posterior in use has counted, by arm."""
        posterior = self._view.posterior
        return dict(zip(posterior.arms, posterior.count.tolist(), strict=True))

    def calibration(self, last: int = NEWEST) -> CalibrationReport:
        """The newest ``last`` rewards and costs beside what was expected, and which arms are off.

        Raises InvalidInput.
        """
        check_last(last)
        found = calibrate(*self._store.recent(last), self.counts())
        return replace(found, warm_start=self._view.posterior.warm_taken)

    def budget(self) -> GoalStatus:
        """How the goal under [budget] stands now, for all workers together. Raises NoBudget or StoreError."""
        return self._store.goal_status()

    def latency_s(self, arm: str, q: float) -> float | None:
        """What a share q of the arm's calls do not exceed, seconds, within 2.5%; None when none was timed.

        Raises InvalidInput for an arm that is not known.
        """
        return self._view.latencies.quantile(self.arm(arm).name, q)

    @property
    def snapshot(self) -> int:
        """Version of the snapshot in use."""
        return self._view.version

    # -- arms -------------------------------------------------------------------------------------

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every arm, enabled or not, as of the last refresh."""
        return self._view.arms

    def arm(self, name: str) -> Arm:
        """The arm of that name. Raises InvalidInput."""
        for arm in self._view.arms:
            if arm.name == name:
                return arm
        known = ", ".join(arm.name for arm in self._view.arms)
        raise InvalidInput("arm", f"{name!r} is not an arm", f"use one of {known}")

    def put_arm(self, arm: Arm) -> None:
        """Add an arm while running, or change one; other workers follow within a second.

        A new arm is on or off as it says; one that is known stays as :meth:`enable_arm` left it.
        """
        check_arm(arm)
        with self._folding() as fold:
            self._store.put_arm(fold, arm)
            self._learner.include(fold, decode_state(fold.snapshot()), [arm])

    def enable_arm(self, name: str, enabled: bool = True) -> None:
        """Switch an arm on or off; what was learned of it stays. Raises InvalidInput."""
        self.refresh()
        self.arm(name)
        self._store.enable_arm(name, enabled)
        self.refresh()
        if enabled and not self.arm(name).enabled:
            raise InvalidInput("arm", f"{name!r} is off or missing in the settings", "switch it on there")

    def reset_arm(self, name: str) -> None:
        """Forget what was learned of an arm: its model changed under its name. Others follow in a second.

        Feedback on what it decided before now is logged still, and not learned from. Raises InvalidInput.
        """
        self.refresh()
        self.arm(name)
        with self._folding() as fold:
            self._learner.reset(fold, name, time.time())

    # -- upkeep -----------------------------------------------------------------------------------

    def ping(self) -> None:
        """Raise StoreError when the database does not answer or has no such router."""
        if self._store.head() is None:
            raise StoreError(f"there is no router {self._store.router!r} in the database any more")

    def refresh(self) -> None:
        """Pick up the newest snapshot and arms, if there are newer ones."""
        with self._refreshing:  # so that a slow thread never puts an older view over a newer one
            self._view = refresh_published_model(self._store, self._view)

    def _round(self) -> None:
        self._learner.fold_all()
        self.refresh()
        self._store.checkpoint()
        if self._drift.look(self.calibration):
            self.refresh()
