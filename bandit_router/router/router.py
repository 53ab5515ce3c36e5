"""The router of library users: decide, escalate, take feedback, learn and explain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Unpack

from bandit_router.cascade.call_chain import CallChain
from bandit_router.cascade.escalation import escalate
from bandit_router.errors import InvalidInput
from bandit_router.features import PromptSource
from bandit_router.learning.audit import AuditReport, audit_store
from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.posterior.warm_start import WarmStartEvidence, check_evidence, renumber_tasks
from bandit_router.router.administration import AdministeredRouter
from bandit_router.router.answers import find_answered_arm
from bandit_router.router.escalation import load_chain, prepare_escalation
from bandit_router.router.explain import Explanation, explain_decision, recompute_scores
from bandit_router.router.inspection import Inspection, find_decision_of, inspect_decision, list_user_ids
from bandit_router.router.knowledge import Knowledge, describe_knowledge, score_tasks
from bandit_router.router.options import RouteOptions
from bandit_router.store.acts import Act
from bandit_router.store.decision_search import DecisionFilter, DecisionPage
from bandit_router.store.write_requests import WriteRequest
from bandit_router.telemetry import describe_decision, trace_route
from bandit_router.types import Decision, DecisionId, Escalation, Number, Outcome, Scores
from bandit_router.validation import check_trust, read_id, read_number

__all__ = ["RouteOptions", "Router"]


class Router(AdministeredRouter):
    """A contextual-bandit router on one database. Thread-safe; many processes may share a database.

    A background thread folds feedback and loads what other workers published, every
    ``learner.interval_s`` seconds. Use as a context manager, or call :meth:`close`.
    """

    # -- deciding ---------------------------------------------------------------------------------

    def route(self, query: PromptSource | None = None, **options: Unpack[RouteOptions]) -> Decision:
        """Choose an arm for a query and log the decision; returns once that is committed.

        ``query`` is the text, chat messages with ``role`` and ``content``, or the request that a provider
        would get, as a mapping: ``messages`` or ``input``, with ``system``, ``tools`` and the like. Arms that
        lack what it needs, such as vision, or whose context window is too small for it, are not eligible.

        Raises InvalidInput, NoEligibleArm, IdempotencyConflict, Overloaded or StoreError.
        """
        with trace_route() as span:
            decision = self._writer.write(self._begin(query, options))
            assert isinstance(decision, Decision)
            describe_decision(span, decision)
            return decision

    def escalate(
        self,
        decision: Decision | DecisionId,
        *,
        confidence: float,
        deadline_s: float | None = None,
        granted: Collection[str] | None = None,
    ) -> Escalation:
        """Accept the answer to a decision, or retry, given how sure of the answer its model was.

        For a retry the result has a ``decision``: send the original query, and nothing of the answer, to its
        arm. An answer is judged once: every later call returns the same. ``deadline_s`` counts from the first
        decision, and is the deadline it was routed with by default; no retry is made that would miss it. With
        ``granted``, the caller may have only these arms called.

        Raises InvalidInput when cascades are off or the decision is a retry itself, UnknownDecision,
        Overloaded or StoreError.
        """
        return self._escalate(
            decision, confidence=confidence, deadline_s=deadline_s, granted=granted, begins_call=False
        )

    def escalate_call(
        self, decision_id: DecisionId, confidence: float, granted: Collection[str] | None
    ) -> Escalation:
        """As :meth:`escalate`, for a gateway that calls the arm of a retry as soon as it is committed."""
        return self._escalate(
            decision_id, confidence=confidence, deadline_s=None, granted=granted, begins_call=True
        )

    def _escalate(
        self,
        decision: Decision | DecisionId,
        *,
        confidence: float,
        deadline_s: float | None,
        granted: Collection[str] | None,
        begins_call: bool,
    ) -> Escalation:
        if self.rule is None:
            raise InvalidInput("cascade", "is off", "set enabled = true under [cascade] in the settings")
        stamp = self._store.clock.stamp()
        prepared = prepare_escalation(
            self._store,
            self.rule,
            decision.id if isinstance(decision, Decision) else decision,
            confidence=confidence,
            deadline_s=deadline_s,
            level=self.settings.router.deadline_level,
            now=stamp.at,
        )
        if isinstance(prepared, Escalation):
            return prepared
        pinned_arm = None if self.traffic_pin is None else self.traffic_pin.arm
        prepared = replace(prepared, granted=granted, pinned_arm=pinned_arm)
        if prepared.decision.arm not in self._published.state.rewards:
            self.refresh()  # another worker added an arm since
        id, claimed_at = stamp.make_id(), stamp.claimed_at
        escalation = escalate(self._published, prepared, self.rule, id=id, now=stamp.at, rng=self._rng)
        retry = escalation.decision
        if retry is not None:
            retry = replace(retry, claimed_at=claimed_at)
            self._store.pacing.add_in_flight(retry)
        escalation = replace(escalation, decision=retry, claimed_at=claimed_at)
        committed = self._writer.write(WriteRequest(payload=escalation, begins_call=begins_call))
        assert isinstance(committed, Escalation)
        return committed

    def chain(self, decision_id: DecisionId) -> CallChain:
        """The calls of a decision's query, its retry included, with their costs and latencies added up.

        Raises UnknownDecision.
        """
        return load_chain(self._store, self.decision(decision_id))

    # -- learning ---------------------------------------------------------------------------------

    def feedback(
        self,
        decision_id: DecisionId | None = None,
        *,
        conversation: str | None = None,
        idempotency_key: str | None = None,
        **metrics: Number | None,
    ) -> dict[str, Outcome]:
        """Attach metrics to a decision, seconds or days later; returns once they are committed.

        ``metrics`` are any of quality, satisfaction, error, override, refusal, truncated, empty (0 to 1; True
        and False are 1 and 0), cost_usd, latency_s and ttft_s (time to first token), or of your own under
        ``[metrics]``, on their scales. The same value again is a duplicate and changes nothing, another value
        is a revision, None retracts the metric. Learning follows within ``learner.interval_s``.

        ``decision_id`` may also be the answer's own id, where the gateway made the call: ``chatcmpl-…``,
        ``resp_…`` or ``msg_…``. With ``conversation`` instead of an id, the feedback is on the decision that
        chose the arm the conversation keeps: its first, or after a promotion the promotion.

        Raises InvalidInput, UnknownDecision, UnknownAnswer, AmbiguousAnswer, UnknownConversation,
        IdempotencyConflict, Overloaded or StoreError.
        """
        request = self._begin_feedback(decision_id, metrics, idempotency_key, conversation=conversation)
        outcomes = self._writer.write(request)
        assert isinstance(outcomes, dict)
        return outcomes

    def learn(self) -> int:
        """Fold all pending feedback now instead of within a second; how many decisions it was on.

        Waits for a learner at work, so that feedback acknowledged before is in :meth:`counts` after.
        """
        return self._learn(wait=True)

    def rebuild(self) -> int:
        """Rebuild the posterior from nothing but the log; how many rewards it counts."""
        self._follow_settings(self._store.head())
        self._repair_stamps_ahead()
        counted = self._learner.rebuild()
        self.refresh()
        return counted

    def delete_damaged_snapshots(self) -> None:
        """Delete every snapshot that cannot be read; reads all that are kept."""
        self._learner.delete_damaged_snapshots()

    def warm_start(self, evidence: WarmStartEvidence | None, *, trust: float | None = None) -> int:
        """Learn on top of evidence from elsewhere, replacing any before; None takes it away.

        ``trust`` is how many queries the evidence may count for; by default as many as it is of. Where
        rewards show that it is of other models, only what it tells of queries is kept. Returns the version
        with the evidence; other workers load it within a second.

        Raises InvalidInput, or SchemaMismatch for contexts of another pipeline.
        """
        trust = check_trust(trust)
        if evidence is not None:
            arms = [arm.name for arm in self._store.arms()]
            check_evidence(evidence, self.pipeline.schema_id, self.pipeline.dim, arms)
            evidence = renumber_tasks(evidence, [self._tasks.number(name) for name in evidence.tasks])
        with self._learner_transaction() as transaction:
            return self._learner.warm_start(transaction, evidence, trust, self._store.clock.now())

    def verify(self) -> AuditReport:
        """Check every invariant of the log, the posterior and the propensities."""
        return audit_store(self._store)

    def sweep_calls(self, age_s: float) -> int:
        """End as lost the calls that began this long ago, whose workers were killed; how many there were."""
        return self._store.sweep_calls(age_s)

    def find_answered_arm(self, pin: str) -> str | None:
        """The arm that gave the answer ``pin``; None when that is not known, or not of one call."""
        return find_answered_arm(self._store, pin)

    def find_kept_arm(self, conversation: str) -> str | None:
        """The arm that a conversation keeps; None when it never kept one."""
        found = self._store.conversation(conversation)
        return None if found is None else found.arm

    # -- reading ----------------------------------------------------------------------------------

    def decision(self, decision_id: DecisionId) -> Decision:
        """The logged decision. Raises UnknownDecision."""
        return self._store.decision(read_id(decision_id))

    def scores(self, decision: Decision) -> Scores | None:
        """The scores its policy read, recomputed from the decision's snapshot; None when that is pruned."""
        return recompute_scores(self._store, decision)

    def explain(self, decision_id: DecisionId) -> Explanation:
        """Why a decision has its arm, and what followed. Raises UnknownDecision."""
        return explain_decision(self._store, read_id(decision_id))

    def inspect(self, decision_id: DecisionId) -> Inspection:
        """All that is logged of a decision. Raises InvalidInput or UnknownDecision."""
        return inspect_decision(self._store, read_id(decision_id))

    def find_decision_of(self, text: str) -> str | None:
        """The id of the decision that was answered with this id, or was made for this idempotency key."""
        return find_decision_of(self._store, text)

    def find_decisions(
        self, wanted: DecisionFilter, *, user: str | None = None, before: str | None = None, size: int = 50
    ) -> DecisionPage:
        """The newest ``size`` decisions that are wanted, of one ``user`` if given, below the id ``before``.

        ``user`` is the id that callers name, or its hash.
        """
        if user is not None:
            wanted = replace(wanted, user_ids=list_user_ids(user, self._user_secret))
        return self._store.find_decisions(wanted, before, size)

    def metrics(self, decision_id: DecisionId) -> dict[str, float]:
        """The feedback in force for a decision. Raises UnknownDecision."""
        return self._store.observation(read_id(decision_id)).metrics

    def knowledge(self) -> Knowledge:
        """What the newest snapshot knows of each arm. Raises SnapshotCorrupt or StoreError."""
        return describe_knowledge(self._store, self._published)

    def score_tasks(
        self, costs_usd: Mapping[str, Mapping[str, float]], cost_weight: float
    ) -> dict[str, Scores]:
        """The enabled arms on a usual query of each task, given their costs by task and λ, 1/USD.

        Raises SnapshotCorrupt or StoreError.
        """
        return score_tasks(self._store, costs_usd, cost_weight)

    def acts(self, last: int) -> list[Act]:
        """The newest ``last`` administrative acts, oldest first."""
        return self._store.acts(last)

    def safety(self) -> SafetyStatus:
        """How the policy stands towards the baseline under [safety], for all workers together.

        Raises NoSafety or StoreError.
        """
        return self._store.safety_status()

    def budget(self) -> GoalStatus:
        """How the goal under [budget] stands now, for all workers together. Raises NoBudget or StoreError."""
        return self._store.goal_status()

    def latency_s(self, arm: str, q: float) -> float | None:
        """The q-quantile of the arm's latencies, seconds, within 2.5%; None when none was reported.

        Raises InvalidInput for an unknown arm, or a q outside [0, 1].
        """
        return self._published.state.latencies.quantile(self.arm(arm).name, read_number("q", q, most=1.0))
