"""The audit of `verify`: counts, rebuild = live, PMFs, spending and conversations against the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bandit_router.errors import RouterError, SnapshotCorrupt
from bandit_router.learning.accumulate import Accumulator, make_accumulators, why_unlearnable
from bandit_router.policies import parse_policy
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.state import ModelState, align_warm_start, decode_state
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.routing.decide import score_arms
from bandit_router.routing.precedence import CERTAIN
from bandit_router.store.log_reader import LogReader, UnreadableDecision
from bandit_router.store.records import Observation
from bandit_router.store.store import Store
from bandit_router.types import Decision, FloatArray, Reason

_REBUILD_TOLERANCE = 1e-9
_SUM_TOLERANCE = 1e-12
_PMF_TOLERANCE = 1e-9
_SPENT_TOLERANCE = 1e-9
_MOST_PROBLEMS = 20

_PLURAL = {"reward": "rewards", "cost": "costs", "latency": "latencies", "confident": "confidences"}
"""The quantities of a model state, as the report names them."""

_DRAWN = (Reason.POLICY, Reason.TIER)
"""Reasons of decisions that their policy made."""


@dataclass(kw_only=True, slots=True)
class AuditReport:
    """The figures and the problems that `verify` prints; ``problems`` is empty when every invariant holds."""

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
        """Whether every invariant holds."""
        return not self.problems

    def fail(self, problem: str) -> None:
        """Add a problem, up to 20 of them."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def audit_store(store: Store) -> AuditReport:
    """Check every invariant against the database as of one moment, without changing it."""
    report = AuditReport()
    with store.read_log() as log:
        head = log.head()
        if head is None:
            report.fail(f"there is no router {store.router!r} in this database")
            return report
        report.version, weights = head
        live = _decode_snapshot(log, report.version, report)
        if live is not None:
            _audit_counts(log, weights, live, report)
            _audit_warm_start(log, live, report)
        elif not report.problems:
            report.fail(
                f"snapshot {report.version} is the newest and it is gone; run `bandit-router rebuild`"
            )
        _audit_pmfs(log, report)
        _audit_spending(log, report)
        for conversation in log.stray_conversations():
            report.fail(f"conversation {conversation!r}: its choice is not the decision that chose its arm")
        for decision_id in log.lost_escalations():
            report.fail(f"decision {decision_id}: a retry and the escalation it came from do not agree")
    return report


def _audit_counts(
    log: LogReader, weights: Mapping[str, float], live: ModelState, report: AuditReport
) -> None:
    """Every quantity: counted = in the log − pending, and sums rebuilt from the log equal the live ones."""
    pending = log.pending()
    accumulators = make_accumulators(live, weights)
    rebuilt = make_accumulators(live.without_evidence(), weights)
    in_log = dict.fromkeys(_PLURAL, 0)
    for observations in log.observations():
        for accumulator, rebuilding in zip(accumulators, rebuilt, strict=True):
            rebuilding.recount(observations)
            quantity = accumulator.quantity
            for observation in accumulator.select_observations(observations):
                target, logged = quantity.target(observation), quantity.observed(observation) is not None
                in_log[quantity.name] += logged
                report.forgotten += quantity.name == "reward" and logged and observation.forgotten
                if observation.decision_id not in pending and target != quantity.counted(observation):
                    _report_mismatch(observation, accumulator, report)
    report.pending = len(pending)
    on_record, counted = log.counted(), dict.fromkeys(_PLURAL, 0)
    for accumulator, rebuilding in zip(accumulators, rebuilt, strict=True):
        name, statistics = accumulator.quantity.name, accumulator.statistics
        counted[name] = int(statistics.count.sum())
        if counted[name] != on_record[name]:
            report.fail(
                f"the posterior counts {counted[name]} {_PLURAL[name]}, {on_record[name]} are on record"
            )
        rebuilding.statistics.advance(statistics.as_of)
        error = _rebuild_error(statistics, rebuilding.statistics)
        report.rebuild_error = max(report.rebuild_error, error)
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


def _audit_warm_start(log: LogReader, live: ModelState, report: AuditReport) -> None:
    """The warm start of the posteriors is the one on record."""
    record = log.warm_start()
    on_record: tuple[WarmStart | None, WarmStart | None] = None, None
    try:
        if record is not None:
            on_record = align_warm_start(decode_state(record.evidence), live.rewards.arms)
    except SnapshotCorrupt as error:
        report.fail(f"the warm start on record: {error}")
        return
    for posterior, warm in zip((live.rewards, live.costs), on_record, strict=True):
        if posterior.warm is not warm and (warm is None or not warm.equals(posterior.warm)):
            report.fail(
                "the posterior has another warm start than the one on record; run `bandit-router rebuild`"
            )


def _report_mismatch(observation: Observation, accumulator: Accumulator, report: AuditReport) -> None:
    """Report a value counted otherwise than the log says, unless it cannot be learned from."""
    quantity = accumulator.quantity
    target, counted = quantity.target(observation), quantity.counted(observation)
    if counted is None and why_unlearnable(accumulator.posterior, observation):
        report.left_out += quantity.name == "reward"
        return
    recorded = "nothing" if counted is None else f"{counted:g}"
    logged = "nothing" if target is None else f"{target:g}"
    report.fail(f"decision {observation.decision_id}: counted {recorded}, the log says {logged}")


def _rebuild_error(live: Posterior | Latencies, rebuilt: Posterior | Latencies) -> float:
    """The largest difference between live and rebuilt sums, relative to the largest entry."""
    if (live.count != rebuilt.count).any():
        return math.inf
    return max(_relative_error(a, b) for a, b in zip(live.sums, rebuilt.sums, strict=True))


def _relative_error(a: FloatArray, b: FloatArray) -> float:
    """The largest difference between two arrays, relative to the largest entry of ``b``."""
    if a.size == 0:
        return 0.0
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def _audit_pmfs(log: LogReader, report: AuditReport) -> None:
    """Every logged PMF sums to 1, holds the propensity, and follows from x and its snapshot."""
    version, posterior = -1, None
    for decision in log.decisions():
        report.decisions += 1
        if isinstance(decision, UnreadableDecision):
            report.fail(f"decision {decision.id}: cannot be read: {decision.why}")
            continue
        if decision.snapshot != version:
            version = decision.snapshot
            state = _decode_snapshot(log, version, report)
            posterior = None if state is None else state.rewards
        try:
            _audit_pmf(decision, posterior, report)
        except (RouterError, LookupError, TypeError, ValueError) as error:
            report.fail(f"decision {decision.id}: its PMF cannot be recomputed: {error!r}")


def _audit_pmf(decision: Decision, posterior: Posterior | None, report: AuditReport) -> None:
    """One PMF: its sum, its propensity, its reason, and, with a ``posterior``, the PMF recomputed on it."""
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
    if decision.reason not in _DRAWN:
        return
    costs = decision.expected_costs_usd
    scores = score_arms(
        posterior, decision.eligible, decision.x, costs, decision.cost_weight, decision.signals
    )
    policy = parse_policy(decision.policy)
    recomputed = policy.pmf(scores)
    report.pmfs_recomputed += 1
    difference = max(abs(p - q) for p, q in zip(recomputed, decision.pmf, strict=True))
    if not difference <= _PMF_TOLERANCE:
        report.fail(f"decision {decision.id}: its PMF differs by {difference:.3g} from the recomputed one")
    reason = policy.reason(scores)
    if reason is not decision.reason:
        report.fail(f"decision {decision.id}: its reason is {decision.reason}, its policy's is {reason}")


def _audit_spending(log: LogReader, report: AuditReport) -> None:
    """The sums booked towards the goal equal those recomputed from the decisions since its start."""
    totals = log.spending()
    if totals is None:
        return
    booked, logged = totals
    report.spent_usd_booked, report.spent_usd_in_log = booked.spent_usd, logged.spent_usd
    report.earned_booked, report.earned_in_log = booked.earned, logged.earned
    if booked.requests != logged.requests:
        report.fail(f"the goal has booked {booked.requests} decisions, the log has {logged.requests}")
    if not abs(booked.spent_usd - logged.spent_usd) <= _SPENT_TOLERANCE * logged.moved_usd:
        report.fail(f"the goal has booked {booked.spent_usd!r} USD, the log says {logged.spent_usd!r}")
    if not abs(booked.earned - logged.earned) <= _SPENT_TOLERANCE * logged.moved:
        report.fail(f"the goal has booked rewards of {booked.earned!r}, the log says {logged.earned!r}")


def _decode_snapshot(log: LogReader, version: int, report: AuditReport) -> ModelState | None:
    """The model state of that version; None when it is pruned, or corrupt, which is reported."""
    snapshot = log.snapshot(version)
    try:
        return None if snapshot is None else decode_state(snapshot)
    except SnapshotCorrupt as error:
        report.fail(f"snapshot {version}: {error}")
        return None
