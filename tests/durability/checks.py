"""The checks that durable routers pass and that the deliberately broken ones must fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

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
    with sql(url) as connection:
        return Log(
            decisions={row.id: plain(decision_from(row)) for row in connection.execute(select(decisions))},
            feedback=[(row.decision_id, row.revision, row.value) for row in connection.execute(rows)],
            folded=[(row.decision_id, row.value) for row in connection.execute(rewards)],
            pending=connection.scalar(select(func.count()).select_from(pending)) or 0,
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


def check_nothing_lost(config: Path, told: Told) -> None:
    """Every answer a caller was given is in the log as it was given, and learned from exactly once.

    A call that was never answered may or may not have been carried out.
    """
    nobody_connected(load_settings(config).store.url)
    log, counts = _learned(config)
    lost = [i for i in told.decisions if i not in log.decisions]
    assert not lost, f"{len(lost)} acknowledged decisions are lost: {lost[:3]}"
    for i, answer in told.decisions.items():
        assert {name: log.decisions[i][name] for name in answer} == answer
    in_force = log.in_force()
    for i, stage in told.stages.items():
        allowed = [quality(i, later) for later in range(stage, 3)]
        assert in_force.get(i) in allowed, f"decision {i}: {in_force.get(i)} in force, not one of {allowed}"
    arms = Counter(log.decisions[i]["arm"] for i in in_force)
    assert Counter(log.folded) == Counter(in_force.items()), "rewards counted are not those in the log"
    assert counts == dict.fromkeys(counts, 0) | arms, "the posterior counts other rewards than the log"


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
    with Router.open(config) as router:
        router.learn()
        report = router.verify()
        counts = router.counts()
    assert report.ok, report.problems
    log = read_log(load_settings(config).store.url)
    assert (report.pending, log.pending) == (0, 0)
    assert report.decisions == len(log.decisions)
    return log, counts
