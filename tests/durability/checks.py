"""The checks that durable routers pass and that the deliberately broken ones must fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from bandit_router.learning.audit import AuditReport
from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store.records import decision_from
from bandit_router.store.tables import decisions, feedback, folded, pending, routers
from tests.databases import sql
from tests.durability.helpers import Told, eventually, plain, quality


@dataclass(kw_only=True, slots=True)
class Ledger:
    """What a database must hold: the arm of every decision, and every value said of it, in order."""

    arms: dict[str, str] = field(default_factory=dict)
    said: dict[str, list[float | None]] = field(default_factory=dict)

    def say(self, decision_id: str, value: float | None) -> None:
        self.said.setdefault(decision_id, []).append(value)

    def in_force(self) -> dict[str, float]:
        """The newest value of every decision that has one."""
        return {i: values[-1] for i, values in self.said.items() if values[-1] is not None}

    def counts(self) -> dict[str, int]:
        """How many rewards each arm has."""
        return dict(Counter(self.arms[i] for i in self.in_force()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """What a database holds: decisions as JSON, and all rows of feedback and of counted rewards."""

    decisions: dict[str, dict[str, Any]]
    feedback: list[tuple[str, int, float | None]]
    folded: list[tuple[str, float]]
    pending: int

    def in_force(self) -> dict[str, float]:
        newest = {i: value for i, _, value in sorted(self.feedback, key=lambda row: row[:2])}
        return {i: value for i, value in newest.items() if value is not None}


def read_log(url: str) -> Log:
    """Everything, past our own reading of it."""
    rows = select(feedback.c.decision_id, feedback.c.revision, feedback.c.value)
    in_force = (folded.c.router == routers.c.name) & (folded.c.generation == routers.c.generation)
    rewards = select(folded).join_from(folded, routers, in_force).where(folded.c.quantity == "reward")
    # Marks of a rebuild are folded already; those of a dead one stay until it is given up.
    waiting = select(func.count()).select_from(pending).where(pending.c.rebuild.is_(None))
    with sql(url) as connection:
        return Log(
            decisions={row.id: plain(decision_from(row)) for row in connection.execute(select(decisions))},
            feedback=[(row.decision_id, row.revision, row.value) for row in connection.execute(rows)],
            folded=[(row.decision_id, row.value) for row in connection.execute(rewards)],
            pending=connection.scalar(waiting) or 0,
        )


def check_counted_once(config: Path, ledger: Ledger) -> None:
    """The log is the ledger, row for row, and the posterior counts each reward exactly once."""
    log, counts = _learned(config)
    assert {i: d["arm"] for i, d in log.decisions.items()} == ledger.arms, "decisions are lost or doubled"
    expected = Counter((i, n, value) for i, values in ledger.said.items() for n, value in enumerate(values))
    found = Counter(log.feedback)
    assert not found - expected, f"feedback nobody sent, or twice: {list(found - expected)[:5]}"
    assert not expected - found, f"feedback that is lost: {list(expected - found)[:5]}"
    assert Counter(log.folded) == Counter(ledger.in_force().items()), "rewards counted are not those said"
    assert counts == dict.fromkeys(counts, 0) | ledger.counts(), "the posterior counts other rewards"


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What a log and its posterior lack or count twice of all that callers were told, a line for each."""

    lost_decisions: list[str]
    lost_feedback: list[str]
    doubled: list[str]
    problems: list[str]
    """Whatever else is wrong: answers that differ from the log, invariants that `verify` finds broken."""

    @property
    def ok(self) -> bool:
        return not (self.lost_decisions or self.lost_feedback or self.doubled or self.problems)


def check_nothing_lost(config: Path, told: Told) -> None:
    """Every answer a caller was given is in the log as it was given, and learned from exactly once.

    A call that was never answered may or may not have been carried out.
    """
    findings = compare_with_log(config, told)
    lost = findings.lost_decisions
    assert not lost, f"{len(lost)} acknowledged decisions are lost: {lost[:3]}"
    lost = findings.lost_feedback
    assert not lost, f"{len(lost)} acknowledged values are lost: {lost[:3]}"
    assert not findings.doubled, f"{len(findings.doubled)} are there twice: {findings.doubled[:3]}"
    assert not findings.problems, findings.problems[:3]


def compare_with_log(config: Path, told: Told) -> Findings:
    """Fold what is pending, and compare everything with what callers were told."""
    nobody_connected(load_settings(config).store.url)
    report, counts, log = _learn_and_verify(config)
    in_force = log.in_force()
    rewards = Counter(log.decisions[i]["arm"] for i in in_force)
    expected = Counter(in_force.items())
    keys = Counter(decision["idempotency_key"] for decision in log.decisions.values())
    return Findings(
        lost_decisions=[i for i in told.decisions if i not in log.decisions],
        lost_feedback=[
            *_lost_values(told, in_force),
            *(f"value {item} is not counted" for item in (expected - Counter(log.folded)).elements()),
            *(f"a reward of {arm} is not in the posterior" for arm in (rewards - Counter(counts)).elements()),
        ],
        doubled=[
            *(f"key {key} has {n} decisions" for key, n in keys.items() if key is not None and n > 1),
            *(f"key {key} has {len(ids)} answers" for key, ids in told.answered.items() if len(ids) > 1),
            *(
                f"value {item} is counted beyond the log"
                for item in (Counter(log.folded) - expected).elements()
            ),
            *(
                f"a reward of {arm} is in the posterior twice"
                for arm in (Counter(counts) - rewards).elements()
            ),
        ],
        problems=[*report.problems, *_changed_answers(told, log), *_wrong_totals(report, log)],
    )


def _lost_values(told: Told, in_force: dict[str, float]) -> list[str]:
    allowed = {i: [quality(i, later) for later in range(stage, 3)] for i, stage in told.stages.items()}
    return [
        f"decision {i}: {in_force.get(i)} in force, not one of {values}"
        for i, values in allowed.items()
        if in_force.get(i) not in values
    ]


def _changed_answers(told: Told, log: Log) -> list[str]:
    return [
        f"decision {i}: {name} is {log.decisions[i][name]}, the answer said {value}"
        for i, answer in told.decisions.items()
        if i in log.decisions
        for name, value in answer.items()
        if log.decisions[i][name] != value
    ]


def nobody_connected(url: str) -> None:
    """Wait until the sessions of killed processes have ended at the server, too."""
    others = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    if url.startswith("sqlite"):
        return

    def alone() -> bool:
        with sql(url) as connection:
            return bool(connection.scalar(others) == 1)

    eventually(alone, "the sessions of killed processes ended")


def _learned(config: Path) -> tuple[Log, dict[str, int]]:
    """The log and the posterior's counts once everything is folded and `verify` is content."""
    report, counts, log = _learn_and_verify(config)
    problems = [*report.problems, *_wrong_totals(report, log)]
    assert not problems, problems
    return log, counts


def _learn_and_verify(config: Path) -> tuple[AuditReport, dict[str, int], Log]:
    """Fold everything: what `verify` says then, what the posterior counts, our own reading of the log."""
    with Router.open(config) as router:
        router.learn()
        report, counts = router.verify(), router.counts()
    return report, counts, read_log(load_settings(config).store.url)


def _wrong_totals(report: AuditReport, log: Log) -> list[str]:
    """Where `verify` read another log than we do, or something is pending still."""
    totals = {
        "pending": (report.pending, 0),
        "pending rows": (log.pending, 0),
        "decisions": (report.decisions, len(log.decisions)),
    }
    return [f"{name}: {n}, not {expected}" for name, (n, expected) in totals.items() if n != expected]
