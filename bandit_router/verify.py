"""The invariants, checked against the log: counts, rebuild = live, every PMF recomputed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bandit_router.decide import score
from bandit_router.errors import RouterError, SnapshotCorrupt
from bandit_router.learner import count, obstacle
from bandit_router.policies import parse_policy
from bandit_router.posterior import Posterior
from bandit_router.reward import reward
from bandit_router.snapshot import decode
from bandit_router.store.audit import Audit, Unreadable
from bandit_router.store.records import Observation
from bandit_router.store.store import Store
from bandit_router.types import Decision, FloatArray, Reason

_REBUILD_TOLERANCE = 1e-9
_SUM_TOLERANCE = 1e-12
_PMF_TOLERANCE = 1e-9
_MOST_PROBLEMS = 20


@dataclass(kw_only=True, slots=True)
class Report:
    """What `verify` found. ``problems`` is empty when every invariant holds."""

    version: int = 0
    decisions: int = 0
    rewards_in_log: int = 0
    rewards_counted: int = 0
    pending: int = 0
    left_out: int = 0
    pmfs_recomputed: int = 0
    pmfs_without_snapshot: int = 0
    rebuild_error: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def fail(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def verify(store: Store) -> Report:
    """Check every invariant against one consistent view of the database, without changing it."""
    report = Report()
    with store.auditing() as audit:
        head = audit.head()
        if head is None:
            report.fail(f"there is no router {store.router!r} in this database")
            return report
        report.version, weights = head
        live = _decoded(audit, report.version, report)
        if live is not None:
            _check_counts(audit, weights, live, report)
        elif not report.problems:
            report.fail(
                f"snapshot {report.version} is the newest and it is gone; run `bandit-router rebuild`"
            )
        _check_pmfs(audit, report)
    return report


def _check_counts(audit: Audit, weights: Mapping[str, float], live: Posterior, report: Report) -> None:
    """Rewards counted = rewards in the log − pending, and the sums over them equal the live ones."""
    waiting = audit.pending()
    rebuilt = live.without_evidence()
    for seen in audit.observations():
        readable = [o for o in seen if o.folded is not None and obstacle(live, o) is None]
        count(rebuilt, [(o, o.folded) for o in readable if o.folded is not None])
        for observation in seen:
            current = reward(observation.metrics, weights)
            report.rewards_in_log += current is not None
            if observation.decision_id not in waiting and current != observation.folded:
                _explain(observation, current, live, report)
    report.pending = len(waiting)
    report.rewards_counted = int(live.count.sum())
    if report.rewards_counted != audit.folded():
        report.fail(f"the posterior counts {report.rewards_counted} rewards, {audit.folded()} are on record")
    rebuilt.advance(live.as_of)
    report.rebuild_error = _distance(live, rebuilt)
    if not report.rebuild_error <= _REBUILD_TOLERANCE:
        report.fail(f"rebuilt from the log, the posterior differs by {report.rebuild_error:.3g} (relative)")


def _explain(observation: Observation, current: float | None, live: Posterior, report: Report) -> None:
    if observation.folded is None and obstacle(live, observation):
        report.left_out += 1
        return
    counted = "nothing" if observation.folded is None else f"{observation.folded:g}"
    logged = "nothing" if current is None else f"{current:g}"
    report.fail(f"decision {observation.decision_id}: counted {counted}, the log says {logged}")


def _distance(live: Posterior, rebuilt: Posterior) -> float:
    """The largest difference between two sets of sums, relative to their largest entry."""
    if (live.count != rebuilt.count).any():
        return math.inf
    pairs = (live.second, rebuilt.second), (live.cross, rebuilt.cross)
    return max((_relative(a, b) for a, b in pairs), default=0.0)


def _relative(a: FloatArray, b: FloatArray) -> float:
    if a.size == 0:
        return 0.0
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def _check_pmfs(audit: Audit, report: Report) -> None:
    """Every logged PMF sums to 1, holds the propensity, and follows from x and its snapshot."""
    version, posterior = -1, None
    for decision in audit.decisions():
        report.decisions += 1
        if isinstance(decision, Unreadable):
            report.fail(f"decision {decision.id}: cannot be read: {decision.why}")
            continue
        if decision.snapshot != version:
            version = decision.snapshot
            posterior = _decoded(audit, version, report)
        try:
            _check_pmf(decision, posterior, report)
        except (RouterError, LookupError, TypeError, ValueError) as error:
            report.fail(f"decision {decision.id}: its PMF cannot be recomputed: {error!r}")


def _check_pmf(decision: Decision, posterior: Posterior | None, report: Report) -> None:
    pmf = dict(zip(decision.eligible, decision.pmf, strict=True))
    if abs(math.fsum(decision.pmf) - 1.0) > _SUM_TOLERANCE:
        report.fail(f"decision {decision.id}: its PMF sums to {math.fsum(decision.pmf)!r}")
    if pmf.get(decision.arm) != decision.propensity:
        report.fail(f"decision {decision.id}: propensity {decision.propensity} is not its PMF's")
    if posterior is None:
        report.pmfs_without_snapshot += 1
        return
    if decision.reason is not Reason.POLICY:
        return
    costs = decision.expected_costs_usd
    scores = score(posterior, decision.eligible, decision.x, costs, decision.cost_weight)
    again = parse_policy(decision.policy).pmf(scores)
    report.pmfs_recomputed += 1
    gap = max(abs(p - q) for p, q in zip(again, decision.pmf, strict=True))
    if not gap <= _PMF_TOLERANCE:
        report.fail(f"decision {decision.id}: its PMF differs by {gap:.3g} from the recomputed one")


def _decoded(audit: Audit, version: int, report: Report) -> Posterior | None:
    blob = audit.snapshot(version)
    try:
        return None if blob is None else decode(blob)
    except SnapshotCorrupt as error:
        report.fail(f"snapshot {version}: {error}")
        return None
