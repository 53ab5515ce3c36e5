"""The invariants, checked against the log: counts, rebuild = live, every PMF recomputed, spending."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bandit_router.errors import RouterError, SnapshotCorrupt
from bandit_router.learning.accumulate import Accumulator, accumulators_of, why_unlearnable
from bandit_router.policies import parse_policy, reason_of
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.state import ModelState, decode_state, warm_start_for
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.routing.decide import score
from bandit_router.routing.precedence import CERTAIN
from bandit_router.store.audit import Audit, Unreadable
from bandit_router.store.records import Observation
from bandit_router.store.store import Store
from bandit_router.types import Decision, FloatArray, Reason

_REBUILD_TOLERANCE = 1e-9
_SUM_TOLERANCE = 1e-12
_PMF_TOLERANCE = 1e-9
_SPENT_TOLERANCE = 1e-9
_MOST_PROBLEMS = 20

_COUNTS = {"reward": "rewards", "cost": "costs", "latency": "latencies", "confident": "confidences"}
"""What a snapshot counts, in words."""

_CHOSEN = (Reason.POLICY, Reason.TIER)
"""Reasons of decisions that were their policy's."""


@dataclass(kw_only=True, slots=True)
class AuditReport:
    """What `verify` found. ``problems`` is empty when every invariant holds."""

    version: int = 0
    decisions: int = 0
    rewards_in_log: int = 0
    rewards_counted: int = 0
    costs_in_log: int = 0
    costs_counted: int = 0
    latencies_in_log: int = 0
    latencies_counted: int = 0
    confidences_in_log: int = 0
    confidences_counted: int = 0
    pending: int = 0
    left_out: int = 0
    pmfs_recomputed: int = 0
    pmfs_without_snapshot: int = 0
    rebuild_error: float = 0.0
    spent_usd_in_log: float = 0.0
    spent_usd_booked: float = 0.0
    earned_in_log: float = 0.0
    earned_booked: float = 0.0
    forgotten: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def fail(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def verify(store: Store) -> AuditReport:
    """Check every invariant against one consistent view of the database, without changing it."""
    report = AuditReport()
    with store.auditing() as audit:
        head = audit.head()
        if head is None:
            report.fail(f"there is no router {store.router!r} in this database")
            return report
        report.version, weights = head
        live = _decoded(audit, report.version, report)
        if live is not None:
            _check_counts(audit, weights, live, report)
            _check_warm_start(audit, live, report)
        elif not report.problems:
            report.fail(
                f"snapshot {report.version} is the newest and it is gone; run `bandit-router rebuild`"
            )
        _check_pmfs(audit, report)
        _check_spending(audit, report)
        for conversation in audit.stray_conversations():
            report.fail(f"conversation {conversation!r}: its choice is not the decision that chose its arm")
        for decision_id in audit.lost_escalations():
            report.fail(f"decision {decision_id}: a retry and the escalation it came from do not agree")
    return report


def _check_counts(audit: Audit, weights: Mapping[str, float], live: ModelState, report: AuditReport) -> None:
    """Counted = in the log − pending, for all that is learned, and the sums over it equal the live ones."""
    waiting = audit.pending()
    learned, rebuilt = accumulators_of(live, weights), accumulators_of(live.without_evidence(), weights)
    in_log = dict.fromkeys(_COUNTS, 0)
    for observations in audit.observations():
        for part, again in zip(learned, rebuilt, strict=True):
            again.recount(observations)
            seen, term = part.relevant(observations), part.term
            for observation in seen:
                current, said = term.target(observation), term.now(observation) is not None
                in_log[term.what] += said
                report.forgotten += term.what == "reward" and said and observation.forgotten
                if observation.decision_id not in waiting and current != term.counted(observation):
                    _explain(observation, part, report)
    report.pending = len(waiting)
    on_record, counted = audit.counted(), dict.fromkeys(_COUNTS, 0)
    for part, again in zip(learned, rebuilt, strict=True):
        what = part.term.what
        counted[what] = int(part.statistics.count.sum())
        if counted[what] != on_record[what]:
            report.fail(
                f"the posterior counts {counted[what]} {_COUNTS[what]}, {on_record[what]} are on record"
            )
        again.statistics.advance(part.statistics.as_of)
        report.rebuild_error = max(report.rebuild_error, _distance(part.statistics, again.statistics))
    (
        report.rewards_in_log,
        report.costs_in_log,
        report.latencies_in_log,
        report.confidences_in_log,
    ) = in_log.values()
    (
        report.rewards_counted,
        report.costs_counted,
        report.latencies_counted,
        report.confidences_counted,
    ) = counted.values()
    if not report.rebuild_error <= _REBUILD_TOLERANCE:
        report.fail(f"rebuilt from the log, the posterior differs by {report.rebuild_error:.3g} (relative)")


def _check_warm_start(audit: Audit, live: ModelState, report: AuditReport) -> None:
    """The evidence from elsewhere in the posterior is what is on record."""
    stored = audit.warm_start()
    on_record: tuple[WarmStart | None, WarmStart | None] = None, None
    try:
        if stored is not None:
            on_record = warm_start_for(decode_state(stored.evidence), live.rewards.arms)
    except SnapshotCorrupt as error:
        report.fail(f"the warm start on record: {error}")
        return
    for posterior, warm in zip((live.rewards, live.costs), on_record, strict=True):
        if posterior.warm is not warm and (warm is None or not warm.same_as(posterior.warm)):
            report.fail(
                "the posterior has another warm start than the one on record; run `bandit-router rebuild`"
            )


def _explain(observation: Observation, part: Accumulator, report: AuditReport) -> None:
    current, counted = part.term.target(observation), part.term.counted(observation)
    if counted is None and why_unlearnable(part.posterior, observation):
        report.left_out += part.term.what == "reward"
        return
    found = "nothing" if counted is None else f"{counted:g}"
    logged = "nothing" if current is None else f"{current:g}"
    report.fail(f"decision {observation.decision_id}: counted {found}, the log says {logged}")


def _distance(live: Posterior | Latencies, rebuilt: Posterior | Latencies) -> float:
    """The largest difference between two sets of sums, relative to their largest entry."""
    if (live.count != rebuilt.count).any():
        return math.inf
    return max(_relative(a, b) for a, b in zip(live.sums, rebuilt.sums, strict=True))


def _relative(a: FloatArray, b: FloatArray) -> float:
    if a.size == 0:
        return 0.0
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def _check_pmfs(audit: Audit, report: AuditReport) -> None:
    """Every logged PMF sums to 1, holds the propensity, and follows from x and its snapshot."""
    version, posterior = -1, None
    for decision in audit.decisions():
        report.decisions += 1
        if isinstance(decision, Unreadable):
            report.fail(f"decision {decision.id}: cannot be read: {decision.why}")
            continue
        if decision.snapshot != version:
            version = decision.snapshot
            learned = _decoded(audit, version, report)
            posterior = None if learned is None else learned.rewards
        try:
            _check_pmf(decision, posterior, report)
        except (RouterError, LookupError, TypeError, ValueError) as error:
            report.fail(f"decision {decision.id}: its PMF cannot be recomputed: {error!r}")


def _check_pmf(decision: Decision, posterior: Posterior | None, report: AuditReport) -> None:
    pmf = dict(zip(decision.eligible, decision.pmf, strict=True))
    if abs(math.fsum(decision.pmf) - 1.0) > _SUM_TOLERANCE:
        report.fail(f"decision {decision.id}: its PMF sums to {math.fsum(decision.pmf)!r}")
    if pmf.get(decision.arm) != decision.propensity:
        report.fail(f"decision {decision.id}: propensity {decision.propensity} is not its PMF's")
    if decision.reason in CERTAIN and decision.propensity != 1.0:
        report.fail(f"decision {decision.id}: {decision.reason} with propensity {decision.propensity}, not 1")
    if posterior is None:
        report.pmfs_without_snapshot += 1
        return
    if decision.reason not in _CHOSEN:
        return
    costs = decision.expected_costs_usd
    scores = score(posterior, decision.eligible, decision.x, costs, decision.cost_weight, decision.signals)
    policy = parse_policy(decision.policy)
    again = policy.pmf(scores)
    report.pmfs_recomputed += 1
    gap = max(abs(p - q) for p, q in zip(again, decision.pmf, strict=True))
    if not gap <= _PMF_TOLERANCE:
        report.fail(f"decision {decision.id}: its PMF differs by {gap:.3g} from the recomputed one")
    reason = reason_of(policy, scores)
    if reason is not decision.reason:
        report.fail(f"decision {decision.id}: its reason is {decision.reason}, its policy's is {reason}")


def _check_spending(audit: Audit, report: AuditReport) -> None:
    """What is booked is what the log says the decisions since the goal's start have cost and were worth."""
    found = audit.spending()
    if found is None:
        return
    booked, logged = found
    report.spent_usd_booked, report.spent_usd_in_log = booked.spent_usd, logged.spent_usd
    report.earned_booked, report.earned_in_log = booked.earned, logged.earned
    if booked.requests != logged.requests:
        report.fail(f"the goal has booked {booked.requests} decisions, the log has {logged.requests}")
    if not abs(booked.spent_usd - logged.spent_usd) <= _SPENT_TOLERANCE * logged.moved_usd:
        report.fail(f"the goal has booked {booked.spent_usd!r} USD, the log says {logged.spent_usd!r}")
    if not abs(booked.earned - logged.earned) <= _SPENT_TOLERANCE * logged.moved:
        report.fail(f"the goal has booked rewards of {booked.earned!r}, the log says {logged.earned!r}")


def _decoded(audit: Audit, version: int, report: AuditReport) -> ModelState | None:
    snapshot = audit.snapshot(version)
    try:
        return None if snapshot is None else decode_state(snapshot)
    except SnapshotCorrupt as error:
        report.fail(f"snapshot {version}: {error}")
        return None
