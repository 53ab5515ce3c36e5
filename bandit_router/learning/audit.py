"""The audit of `verify`: counts, rebuild = live, PMFs, spending and conversations against the log."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bandit_router.errors import RouterError, SnapshotCorrupt
from bandit_router.learning.accumulate import recount, why_unlearnable
from bandit_router.learning.quantities import QUANTITIES, Quantity
from bandit_router.policies import parse_policy
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.state import REWARD, Component, ModelState, align_warm_start, decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.routing.decide import score_arms
from bandit_router.routing.precedence import CERTAIN, DRAWN
from bandit_router.store.log_reader import LogReader, UnreadableDecision
from bandit_router.store.observations import CountedValues
from bandit_router.store.records import Observation, WeightedValue
from bandit_router.store.recount import recount_days
from bandit_router.store.rollups.cubes import read_state
from bandit_router.store.rollups.tally import describe_cell
from bandit_router.store.snapshots import Head
from bandit_router.store.stamps_ahead import count_clamped_stamps, count_stamps_ahead, find_marks_ahead
from bandit_router.store.store import Store
from bandit_router.types import Decision, FloatArray

_REBUILD_TOLERANCE = 1e-9
_SUM_TOLERANCE = 1e-12
_PMF_TOLERANCE = 1e-9
_SPENT_TOLERANCE = 1e-9
_MOST_PROBLEMS = 20
_REPAIR = "`bandit-router rebuild` or any worker clamps it, once the clock is right"

_RECOUNT = "run `bandit-router rebuild`"


@dataclass(kw_only=True, slots=True)
class AuditReport:
    """The figures and the problems that `verify` prints; ``problems`` is empty when every invariant holds.

    ``in_log`` and ``counted`` are by the plural of each learned quantity.
    """

    version: int = 0
    decisions: int = 0
    in_log: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
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
    clamped_stamps: int = 0
    rollup_cells: int = 0
    problems: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """All of it by name, for a program to read or to be printed."""
        facts: dict[str, Any] = {}
        for name in self.__slots__:
            if name == "in_log":
                for plural, logged in self.in_log.items():
                    facts |= {f"{plural}_in_log": logged, f"{plural}_counted": self.counted[plural]}
            elif name != "counted":
                facts[name] = getattr(self, name)
        return facts

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
        report.version = head.version
        live = _decode_snapshot(log, report.version, report)
        if live is not None:
            _audit_counts(log, head, live, report)
            _audit_warm_start(log, live, report)
        elif not report.problems:
            report.fail(
                f"snapshot {report.version} is the newest and it is gone; run `bandit-router rebuild`"
            )
        _audit_pmfs(log, report)
        _audit_spending(log, report)
        _audit_stamps(log, store.clock.latest(), report)
        for conversation in log.stray_conversations():
            report.fail(f"conversation {conversation!r}: its choice is not the decision that chose its arm")
        for decision_id in log.lost_escalations():
            report.fail(f"decision {decision_id}: a retry and the escalation it came from do not agree")
        for decision_id in log.uncalled_decisions():
            report.fail(f"decision {decision_id}: the gateway made it, and there is no call of its arm")
        for decision_id in log.unpriced_calls():
            report.fail(f"decision {decision_id}: its call has ended, and its cost is not in the log")
        for key_id, day in log.misbooked_keys():
            report.fail(f"key {key_id}: what is booked on day {day} is not the sum of its calls")
        _audit_rollups(log, report)
    return report


def _audit_counts(log: LogReader, head: Head, live: ModelState, report: AuditReport) -> None:
    """Counted = in the log − pending, for all that is learned, and the sums over it equal the live ones."""
    waiting, rebuilt = log.pending(), live.without_evidence()
    report.pending = len(waiting)
    report.in_log = {quantity.plural: 0 for quantity in QUANTITIES}
    names = tuple(quantity.name for quantity in QUANTITIES)
    for observations in log.observations(CountedValues(head.generation, names)):
        for quantity in QUANTITIES:
            if quantity.name in live.components:
                recount(rebuilt, observations, quantity)
            for observation in observations:
                _audit_counted(observation, quantity, live, head, waiting, report)
    on_record = log.counted(head.generation)
    for quantity in QUANTITIES:
        _audit_sums(quantity, live, rebuilt, on_record.pop(quantity.name, 0), report)
    for name, rows in on_record.items():
        report.fail(f"{rows} values of {name!r} are on record, which nothing learns")
    if not report.rebuild_error <= _REBUILD_TOLERANCE:
        report.fail(f"rebuilt from the log, the posterior differs by {report.rebuild_error:.3g} (relative)")


def _audit_counted(
    observation: Observation,
    quantity: Quantity,
    live: ModelState,
    head: Head,
    waiting: set[str],
    report: AuditReport,
) -> None:
    """What the log says of a quantity is what is on record as counted, unless feedback is pending."""
    logged = quantity.value(observation, head.reward_weights) is not None
    report.in_log[quantity.plural] += logged
    is_reward = quantity.name == REWARD
    report.forgotten += is_reward and logged and observation.forgotten
    if quantity.name not in live.components or observation.decision_id in waiting:
        return
    target, counted = quantity.target(observation, head.reward_weights), quantity.counted(observation)
    if target == counted:
        return
    if counted is None and why_unlearnable(live, quantity, observation, quantity.context(observation)):
        report.left_out += is_reward
        return
    on_record, in_log = map(_describe_counted, (counted, target))
    report.fail(f"decision {observation.decision_id}: counted {on_record}, the log says {in_log}")


def _describe_counted(counted: WeightedValue | None) -> str:
    if counted is None:
        return "nothing"
    return f"{counted.value:g}" + ("" if counted.weight == 1.0 else f" of weight {counted.weight:g}")


def _audit_sums(
    quantity: Quantity, live: ModelState, rebuilt: ModelState, on_record: int, report: AuditReport
) -> None:
    """The live component counts what is on record, and equals the one rebuilt from it."""
    component = live.components.get(quantity.name)
    counted = 0 if component is None else int(component.count.sum())
    report.counted[quantity.plural] = counted
    if counted != on_record:
        report.fail(f"the posterior counts {counted} {quantity.plural}, {on_record} are on record")
    if component is not None:
        again = rebuilt.components[quantity.name]
        again.advance(component.as_of)
        report.rebuild_error = max(report.rebuild_error, _rebuild_error(component, again))


def _audit_warm_start(log: LogReader, live: ModelState, report: AuditReport) -> None:
    """The warm start of the live state is the one on record."""
    record = log.warm_start()
    on_record: tuple[WarmStart | None, WarmStart | None] = None, None
    try:
        if record is not None:
            on_record = align_warm_start(decode_state(record.evidence), live.rewards.arms)
    except SnapshotCorrupt as error:
        report.fail(f"the warm start on record: {error}")
        return
    for statistics, warm in zip((live.rewards, live.costs), on_record, strict=True):
        if statistics.warm is not warm and (warm is None or not warm.equals(statistics.warm)):
            report.fail(
                "the posterior has another warm start than the one on record; run `bandit-router rebuild`"
            )


def _rebuild_error(live: Component, rebuilt: Component) -> float:
    """The largest difference between live and rebuilt sums, relative to the largest entry."""
    if (live.count != rebuilt.count).any():
        return math.inf
    if isinstance(live, SufficientStatistics) and isinstance(rebuilt, SufficientStatistics):
        live.match_tasks(rebuilt)  # outcomes that were taken back leave zeros in the live sums
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
        try:
            if decision.snapshot != version:
                version, posterior = decision.snapshot, None
                state = _decode_snapshot(log, version, report)
                posterior = None if state is None else state.rewards.solve()
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
    if decision.reason not in DRAWN:
        return
    costs = decision.expected_costs_usd
    scores = score_arms(
        posterior,
        decision.eligible,
        decision.x,
        costs,
        decision.cost_weight,
        decision.signals,
        decision.task,
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


def _audit_stamps(log: LogReader, latest: float, report: AuditReport) -> None:
    """No time in the log is after ``latest``, Unix time: that would hold learning or spending up."""
    report.clamped_stamps = count_clamped_stamps(log.connection, log.router)
    for column, ahead in count_stamps_ahead(log.connection, log.router, latest).items():
        report.fail(f"{ahead} times in {column} lie ahead of now: a clock was fast; {_REPAIR}")
    for mark in find_marks_ahead(log.connection, log.router, latest):
        report.fail(f"{mark} lies ahead of now: a clock was fast; {_REPAIR}")


def _audit_rollups(log: LogReader, report: AuditReport) -> None:
    """Roll-ups are the sums over the log, to the last digit, unless they were never made."""
    state = read_state(log.connection, log.router)
    if state is None or state.made_at is None:
        return
    for recounted in recount_days(log.connection, log.router):
        report.rollup_cells += len(recounted.cells)
        if recounted.difference:
            cell, cells = describe_cell(min(recounted.difference)), len(recounted.difference)
            report.fail(f"{cells} roll-ups are not the sums of the log, such as {cell}; {_RECOUNT}")


def _decode_snapshot(log: LogReader, version: int, report: AuditReport) -> ModelState | None:
    """The model state of that version; None when it is pruned, or corrupt, which is reported."""
    snapshot = log.snapshot(version)
    try:
        return None if snapshot is None else decode_state(snapshot)
    except SnapshotCorrupt as error:
        report.fail(f"snapshot {version}: {error}")
        return None
