"""Roll-ups are exactly the sums over the log, whatever is written, repeated, killed, folded and forgotten."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from bandit_router.learning.audit import audit_store
from bandit_router.learning.rollups import correct_rollups, fold_rollups
from bandit_router.posterior.latency import BINS, Latencies, find_bin
from bandit_router.settings.objective import check_own_metrics
from bandit_router.store.engine import is_sqlite
from bandit_router.store.learner_transaction import StaleRead
from bandit_router.store.rollups.cubes import read_cells
from bandit_router.store.rollups.deltas import read_deltas
from bandit_router.store.rollups.measures import MEASURES, is_metric
from bandit_router.store.rollups.sums import Sums, join_sum, split_sum
from bandit_router.store.rollups.tally import Cell, Slice, Tally, find_hour, merge_cells
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, rollup_deltas, rollups, routers
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import METRICS, NO_TASK, CallEnd, CallOutcome, Decision, Escalation, Reason
from tests.store.examples import (
    OpenStore,
    decision,
    feedback,
    learner_of,
    logged,
    rows,
    said,
    set_up,
    together,
    with_key,
)
from tests.store.forced import after_statement

START = 1_700_000_000.0
PRUNED = 99
"""A snapshot that is not there, so that `verify` does not recompute the PMF."""

HOURLY = "hour"
METRIC_VALUES = st.sampled_from([0.0, 0.25, 0.5, 1.0])
"""Exact in binary, so that the oracle's fractions are what the database has."""


# -- the oracle: what the roll-ups must be, from what was said, without any of their code ----------


@dataclass
class Truth:
    """All that is in the log, as a test knows it."""

    made: dict[str, Decision] = field(default_factory=dict)
    values: dict[tuple[str, str], float | None] = field(default_factory=dict)
    delays: dict[tuple[str, str], float] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    judged: dict[str, bool] = field(default_factory=dict)
    spent: dict[tuple[Any, ...], tuple[int, Fraction, Fraction]] = field(default_factory=dict)

    def say(self, about: Decision, metric: str, value: float | None, delay: float) -> None:
        key = about.id, metric
        if value is not None or key in self.values:
            self.values[key] = value
            self.delays.setdefault(key, delay)

    def entries(self) -> Iterator[tuple[Decision, str, float]]:
        for made in self.made.values():
            yield made, "decisions", 0.0
            yield made, "expected_quality", made.expected_quality
            yield made, "expected_cost_usd", made.expected_cost_usd
            yield made, "cost_weight", made.cost_weight
            if made.greedy_utility is not None:
                chosen = made.expected_quality - made.cost_weight * made.expected_cost_usd
                yield made, "exploration_price", made.greedy_utility - chosen
        for (decision_id, metric), value in self.values.items():
            if value is not None:
                yield self.made[decision_id], metric, value
        for decision_id, outcome in self.ended.items():
            yield self.made[decision_id], f"call_{outcome}", 0.0
        for decision_id, retried in self.judged.items():
            yield self.made[decision_id], "escalated", float(retried)

    def sums(self) -> dict[tuple[Any, ...], tuple[int, Fraction, Fraction]]:
        """Count, sum and sum of squares by (cube, hour, member, kept, arm, reason, measure)."""
        found: dict[tuple[Any, ...], list[Fraction | int]] = defaultdict(lambda: [0, 0, 0])
        for made, measure, value in self.entries():
            for where in cells_of(made, measure):
                _add(found[where], value)
        for where, (count, total, squares) in self.spent.items():
            found[where] = [count, total, squares]
        return {where: (int(n), Fraction(s), Fraction(q)) for where, (n, s, q) in found.items()}

    def binned(self) -> dict[tuple[Any, ...], dict[int, int]]:
        """The latencies and ratings in force by bin, as the latencies of the posterior are counted."""
        found: dict[tuple[Any, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for made, measure, value in self.entries():
            if MEASURES[measure].binned:
                for where in cells_of(made, measure):
                    found[where][posterior_bin(value)] += 1
        return {where: dict(bins) for where, bins in found.items()}

    def delay_bins(self) -> dict[tuple[Any, ...], dict[int, int]]:
        """The delays of first values by bin."""
        found: dict[tuple[Any, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for (decision_id, metric), delay in self.delays.items():
            for where in cells_of(self.made[decision_id], metric):
                found[where][posterior_bin(delay)] += 1
        return {where: dict(bins) for where, bins in found.items()}

    def forget(self, user: str) -> None:
        gone = {id for id, made in self.made.items() if made.user == user}
        for made, measure, value in list(self.entries()):
            if made.id in gone and measure in ("cost_usd", "expected_cost_usd"):
                nobody = replace(made, signals={}, key_id=None, task=NO_TASK)
                for where in cells_of(nobody, measure, kept=True):
                    sums: list[Any] = list(self.spent.get(where, (0, 0, 0)))
                    _add(sums, value)
                    self.spent[where] = sums[0], sums[1], sums[2]
        self.made = {id: made for id, made in self.made.items() if id not in gone}
        self.values = {key: value for key, value in self.values.items() if key[0] not in gone}
        self.delays = {key: delay for key, delay in self.delays.items() if key[0] not in gone}
        self.ended = {id: outcome for id, outcome in self.ended.items() if id not in gone}
        self.judged = {id: retried for id, retried in self.judged.items() if id not in gone}


def _add(sums: list[Any], value: float) -> None:
    sums[0] += 1
    sums[1] += Fraction(value)
    sums[2] += Fraction(value) ** 2


def cells_of(made: Decision, measure: str, *, kept: bool = False) -> list[tuple[Any, ...]]:
    hour = int(made.decided_at / 3600)
    members = {"tier": made.signals.get("tier"), "key": made.key_id}
    if made.task != NO_TASK:
        members["task"] = str(made.task)
    cubes = [("hour", hour, ""), ("day", hour // 24 * 24, "")]
    cubes += [(cube, hour // 24 * 24, str(member)) for cube, member in members.items() if member]
    return [(*cube, kept, made.arm, str(made.reason), measure) for cube in cubes]


def posterior_bin(seconds: float) -> int:
    latencies = Latencies.empty(("a",))
    latencies.observe("a", np.zeros(1), seconds)
    return int(latencies.bins[0].argmax())


def stored_cells(store: Store) -> dict[Cell, Sums]:
    """What a reader sees: the cubes and the deltas that are not folded yet."""
    with store.read_log() as log:
        deltas = read_deltas(log.connection, store.router).values()
        folded = read_cells(log.connection, store.router)
        merged = merge_cells([folded, *(delta.cells() for delta in deltas)])
    return {cell: sums for cell, sums in merged.items() if sums}


def assert_rolled_up(store: Store, truth: Truth) -> None:
    """What is stored is what was said."""
    stored = stored_cells(store)
    with_values = {cell: sums for cell, sums in stored.items() if sums.count}
    expected = {
        where: (n, round(s * MEASURES[where[-1]].per_one), round(q * MEASURES[where[-1]].squares_per_one))
        for where, (n, s, q) in truth.sums().items()
    }
    assert {tuple(cell): (s.count, s.total, s.squares) for cell, s in with_values.items()} == expected
    assert {tuple(cell): sums.bins for cell, sums in stored.items() if sums.bins} == truth.binned()
    in_log = {tuple(cell): sums.delays for cell, sums in stored.items() if sums.delays and not cell.kept}
    assert in_log == truth.delay_bins()
    assert audit_store(store).problems == []


# -- exactly once ---------------------------------------------------------------------------------

TIERS, KEYS, USERS = (None, "free", "pro"), (None, "k1"), (None, "alice", "bob")
MADE = st.fixed_dictionaries(
    {
        "decided_at": st.integers(0, 30).map(lambda hours: START + 3600.0 * hours),
        "arm": st.sampled_from(["cheap", "dear"]),
        "reason": st.sampled_from([Reason.POLICY, Reason.STICKY]),
        "signals": st.sampled_from(TIERS).map(lambda tier: {} if tier is None else {"tier": tier}),
        "key_id": st.sampled_from(KEYS),
        "task": st.sampled_from([NO_TASK, 0, 1]),
        "user": st.sampled_from(USERS),
        "cost_weight": st.sampled_from([0.0, 2.0]),
        "greedy_utility": st.sampled_from([None, 0.75]),
    }
)
SAID = st.dictionaries(
    st.sampled_from(["quality", "cost_usd", "latency_s"]), st.none() | METRIC_VALUES, min_size=1
)
WHICH = st.integers(0, 7)
STEPS = st.one_of(
    st.tuples(st.just("decide"), MADE),
    st.tuples(st.just("say"), WHICH, SAID, st.sampled_from([0.0, 2.0, 5_000.0])),
    st.tuples(st.just("repeat"), WHICH),
    st.tuples(st.just("end"), WHICH, st.sampled_from(list(CallOutcome)), METRIC_VALUES),
    st.tuples(st.just("judge"), WHICH, st.booleans()),
    st.tuples(st.just("forget"), st.sampled_from(["alice", "bob"])),
    st.tuples(st.just("fold")),
    st.tuples(st.just("kill a fold"), st.integers(0, 6)),
    st.tuples(st.just("learn")),
    st.tuples(st.just("rebuild")),
)


class Killed(Exception):
    """Stands in for a kill: the transaction is never committed."""


class Log:
    """Does the steps to a store, and keeps the truth."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.truth = Truth()
        self.written: list[WriteRequest] = []

    def run(self, steps: list[tuple[Any, ...]]) -> None:
        for verb, *arguments in steps:
            getattr(self, verb.replace(" ", "_"))(*arguments)

    def decide(self, changes: dict[str, Any]) -> None:
        changes = {"snapshot": PRUNED, "expected_cost_usd": 0.25, **changes}
        is_sticky = changes["reason"] is Reason.STICKY
        made = decision(**changes, **(STICKY[changes["arm"] == "dear"] if is_sticky else EVEN))
        self.write(WriteRequest(payload=made, begins_call=True))
        self.truth.made[made.id] = made

    def say(self, which: int, metrics: dict[str, float | None], delay: float) -> None:
        about = self.pick(which)
        if about is not None:
            told = replace(feedback(about, **metrics), received_at=about.decided_at + delay)
            self.write(WriteRequest(payload=with_key(f"{about.id} {len(self.written)}", told), digest="d"))
            for metric, value in metrics.items():
                self.truth.say(about, metric, value, delay)

    def repeat(self, which: int) -> None:
        """The answer was lost, so that the same request comes again."""
        if self.written:
            self.store.write([self.written[which % len(self.written)]])

    def end(self, which: int, outcome: CallOutcome, cost_usd: float) -> None:
        about = self.pick(which)
        if about is not None:
            told = replace(feedback(about, cost_usd=cost_usd), received_at=about.decided_at + 4.0)
            end = CallEnd(decision_id=about.id, outcome=outcome, cost_usd=cost_usd, feedback=told)
            for _ in range(2):
                self.write(WriteRequest(payload=end))
            if about.id not in self.truth.ended:
                self.truth.ended[about.id] = outcome.value
                self.truth.say(about, "cost_usd", cost_usd, 4.0)

    def judge(self, which: int, retries: bool) -> None:
        about = self.pick(which)
        if about is None or about.id in self.truth.judged or about.reason is Reason.ESCALATION:
            return
        at = about.decided_at + 1.0
        changes: dict[str, Any] = {"arm": "dear", "reason": Reason.ESCALATION, "parent": about.id}
        retry = replace(about, id=decision().id, decided_at=at, **changes, **STICKY[1]) if retries else None
        self.write(
            WriteRequest(
                payload=Escalation(
                    parent=about.id,
                    asked_at=at,
                    confidence=0.5,
                    p_good=0.5,
                    p_retry_good=0.75,
                    propensity=0.9,
                    snapshot=PRUNED,
                    why="a test",
                    decision=retry,
                ),
                begins_call=True,
            )
        )
        self.truth.judged[about.id] = retries
        self.truth.say(about, "confidence", 0.5, 1.0)
        if retry is not None:
            self.truth.made[retry.id] = retry
            self.truth.say(retry, "confidence", 0.5, 0.0)

    def forget(self, user: str) -> None:
        learner_of(self.store).forget_user([user])
        self.truth.forget(user)
        self.written = []

    def fold(self) -> None:
        fold_rollups(self.store)

    def kill_a_fold(self, after: int) -> None:
        def kill() -> None:
            raise Killed

        with suppress(Killed), after_statement(self.store, after, kill):
            fold_rollups(self.store)

    def learn(self) -> None:
        learner_of(self.store).fold_all()

    def rebuild(self) -> None:
        assert correct_rollups(self.store) == 0

    def pick(self, which: int) -> Decision | None:
        made = list(self.truth.made.values())
        return made[which % len(made)] if made else None

    def write(self, request: WriteRequest) -> None:
        (answer,) = self.store.write([request])
        assert not isinstance(answer, Exception), answer
        self.written.append(request)


EVEN: dict[str, Any] = {"pmf": (0.5, 0.5), "propensity": 0.5}
STICKY: tuple[dict[str, Any], dict[str, Any]] = (
    {"pmf": (1.0, 0.0), "propensity": 1.0},
    {"pmf": (0.0, 1.0), "propensity": 1.0},
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=4, max_size=20))
def test_roll_ups_are_the_sums_over_the_log(
    steps: list[tuple[Any, ...]], sqlite_template: Path, tmp_path: Path
) -> None:
    run_on_sqlite(steps, sqlite_template, tmp_path)


def run_on_sqlite(steps: list[tuple[Any, ...]], template: Path, folder: Path) -> None:
    path = folder / "router.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(template, path)
    store = set_up(Store.open(f"sqlite:///{path}", "r"))
    try:
        log = Log(store)
        log.run(steps)
        assert_rolled_up(store, log.truth)
        log.fold()
        assert rows(store, rollup_deltas) == 0
        assert_rolled_up(store, log.truth)
    finally:
        store.close()


REVISED: list[tuple[Any, ...]] = [
    ("decide", {"decided_at": START, "arm": "cheap", "reason": Reason.POLICY, "greedy_utility": 0.75}),
    ("say", 0, {"quality": 1.0, "latency_s": 0.5}, 2.0),
    ("fold",),
    ("say", 0, {"quality": 0.5, "latency_s": 0.25}, 5.0),
    ("say", 0, {"latency_s": None}, 6.0),
    ("end", 0, CallOutcome.ANSWERED, 0.25),
    ("judge", 0, True),
]


def add_only(self: Tally, where: Slice, metric: str, before: float | None, after: float | None) -> None:
    """Adds a revision to what it revises."""
    del before
    if after is not None:
        self.sums[where][metric].add_value(MEASURES[metric], after)


def test_a_tally_that_adds_revisions_instead_of_differences_is_caught(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on_sqlite(REVISED, sqlite_template, tmp_path)
    monkeypatch.setattr(Tally, "revise_metric", add_only)
    with pytest.raises(AssertionError):
        run_on_sqlite(REVISED, sqlite_template, tmp_path)


def test_a_fold_that_forgets_to_take_deltas_away_is_caught(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bandit_router.store.rollups.cubes.delete_deltas", lambda *_: None)
    with pytest.raises(AssertionError):
        run_on_sqlite(REVISED, sqlite_template, tmp_path)


def test_workers_that_write_fold_and_correct_at_once_lose_and_double_nothing(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(3)]
    logs = [Log(store) for store in stores]

    def write(log: Log, n: int) -> None:
        for i in range(12):
            made = {"decided_at": START + 3600.0 * (i % 3), "arm": ("cheap", "dear")[n % 2]}
            log.decide(made | {"reason": Reason.POLICY, "signals": {"tier": f"t{i % 2}"}})
            log.say(i, {"quality": 0.25 * (i % 4), "latency_s": 0.5}, 2.0)
            log.say(i, {"quality": 0.5}, 3.0)
            if i % 4 == n:
                log.fold()
            if i % 6 == n:
                log.rebuild()

    together(*(lambda log=log, n=n: write(log, n) for n, log in enumerate(logs)))
    truth = Truth()
    for log in logs:
        truth.made |= log.truth.made
        truth.values |= log.truth.values
        truth.delays |= log.truth.delays
    assert_rolled_up(stores[0], truth)
    fold_rollups(stores[1])
    assert rows(stores[0], rollup_deltas) == 0
    assert_rolled_up(stores[0], truth)


# -- recounted from the log -----------------------------------------------------------------------


CELLS_ARE_WRONG = r"\d+ roll-ups are not the sums of the log, such as .*; run `bandit-router rebuild`"


def small_log(store: Store) -> Log:
    log = Log(store)
    log.run(REVISED)
    log.run([("decide", {"decided_at": START + 90_000.0, "arm": "dear", "reason": Reason.STICKY})])
    log.fold()
    log.say(1, {"quality": 0.75}, 2.0)
    return log


@pytest.mark.parametrize("table", [rollups, rollup_deltas])
def test_verify_names_what_is_wrong_and_a_rebuild_repairs_it(store: Store, table: Any) -> None:
    log = small_log(store)
    with store.learner_transaction() as transaction:
        transaction.connection.execute(delete(table))
    problems = audit_store(store).problems
    assert len(problems) == (2 if table is rollups else 1)  # days
    for problem in problems:
        assert re.fullmatch(CELLS_ARE_WRONG, problem), problem
    learner_of(store).rebuild()
    assert_rolled_up(store, log.truth)


def test_a_cell_that_the_log_does_not_have_is_wrong(store: Store) -> None:
    log = small_log(store)
    with store.learner_transaction() as transaction:
        moved = update(rollups).where(rollups.c.cube == "hour", rollups.c.measure == "decisions")
        transaction.connection.execute(moved.values(hour=rollups.c.hour + 1_000))
    problems = audit_store(store).problems
    assert [problem.split()[0] for problem in problems] == ["2", "1", "2", "1"]
    wrong = "roll-ups are not the sums of the log, such as hour 2023-11-14T22+00:00, cheap, policy, decisions"
    assert wrong in problems[0]
    assert correct_rollups(store) == 6
    assert_rolled_up(store, log.truth)


def test_the_roll_ups_of_an_older_database_are_made_by_the_first_round(store: Store) -> None:
    log = small_log(store)
    with store.learner_transaction() as transaction:
        for table in (rollups, rollup_deltas):
            transaction.connection.execute(delete(table))
        transaction.connection.execute(update(routers).values(rollups_at=None))
    assert audit_store(store).problems == []
    log.say(1, {"quality": 0.5}, 3.0)
    learner_of(store).fold_all()
    assert_rolled_up(store, log.truth)
    assert audit_store(store).rollup_cells > 0


def test_a_difference_is_added_once_by_those_who_find_it_at_once(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(2)]
    log = small_log(stores[0])
    with stores[0].learner_transaction() as transaction:
        transaction.connection.execute(delete(rollups))
    together(*(lambda store=store: correct_rollups(store) for store in stores))
    assert_rolled_up(stores[0], log.truth)


def test_a_recount_ends_with_the_rebuild_that_it_is_for(store: Store) -> None:
    small_log(store)
    signs = iter([StaleRead("the rebuild is taken for dead")])

    def give_sign_of_life() -> None:
        raise next(signs)

    with pytest.raises(StaleRead):
        correct_rollups(store, give_sign_of_life)


def test_what_is_written_during_a_recount_is_not_taken_for_a_difference(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    log = small_log(store)
    writer = Log(other)
    writer.truth, writer.written = log.truth, log.written
    with store.learner_transaction() as transaction:
        transaction.connection.execute(delete(rollups))
    steps = iter([("say", 0, {"quality": 0.25}, 2.0), ("fold",), ("forget", "nobody"), *REVISED])

    def write() -> None:
        step = next(steps, None)
        if step is not None:
            writer.run([step])

    assert correct_rollups(store, write) > 0
    assert_rolled_up(store, log.truth)


def test_the_hour_is_that_of_the_clamped_time(store: Store) -> None:
    """A clock that was an hour fast when it was not noticed yet: the stamps are set back in the log."""
    now = store.clock.reference()
    made = logged(store, snapshot=PRUNED, decided_at=now)
    said(store, made, quality=0.5)
    fold_rollups(store)
    with store.learner_transaction() as transaction:
        ahead = now + 7_200.0
        transaction.connection.execute(update(decisions).values(decided_at=ahead))
    assert audit_store(store).problems != []
    learner_of(store).rebuild()
    assert {cell.hour for cell in stored_cells(store) if cell.cube == HOURLY} == {find_hour(now + 7_200.0)}
    assert not [problem for problem in audit_store(store).problems if "roll-ups" in problem]


def test_an_idle_round_asks_once(store: Store) -> None:
    logged(store)
    fold_rollups(store)
    begin = 1 if is_sqlite(store._engine) else 0
    with after_statement(store, begin + 1, lambda: None) as second:
        fold_rollups(store)
    assert second == []


# -- the fixed point ------------------------------------------------------------------------------

MOST_VALUES = 2**35


@pytest.mark.parametrize("name", MEASURES)
def test_no_sum_overflows_64_bits(name: str) -> None:
    measure = MEASURES[name]
    largest = measure.quantize(1e300)
    assert largest == measure.quantize(measure.largest)
    for integer in largest:
        assert 0 < integer <= 2**60
        for sign in (1, -1):
            high, low = split_sum(sign * integer * MOST_VALUES)
            assert -(2**63) <= high < 2**63
            assert 0 <= low < 2**32
            assert join_sum(high, low) == sign * integer * MOST_VALUES


def test_every_metric_is_rolled_up_and_only_money_is_cut_off() -> None:
    assert METRICS.keys() <= MEASURES.keys()
    assert {name for name, largest in METRICS.items() if MEASURES[name].largest < largest} == {"cost_usd"}


def test_what_is_quantized_is_as_fine_as_a_figure_needs() -> None:
    for name, small in (("cost_usd", 1e-5), ("latency_s", 0.01), ("quality", 0.001)):
        measure = MEASURES[name]
        total, square = measure.quantize(small)
        assert total / measure.per_one == pytest.approx(small, rel=1e-3)
        assert square / measure.squares_per_one == pytest.approx(small**2, rel=1e-2)


def test_sums_of_the_largest_values_come_back_from_the_database(store: Store) -> None:
    made = [logged(store, snapshot=PRUNED, cost_weight=0.0) for _ in range(40)]
    for each in made:
        said(store, each, cost_usd=1e6, latency_s=1e6, quality=1.0)
    fold_rollups(store)
    cells = {cell.measure: sums for cell, sums in stored_cells(store).items() if cell.cube == HOURLY}
    assert (cells["cost_usd"].total, cells["cost_usd"].squares) == (40 * 10**12, 40 * 10**18)
    assert (cells["latency_s"].total, cells["latency_s"].squares) == (40 * 10**12, 40 * 10**18)
    assert 40 * 10**18 > 2**63
    assert audit_store(store).problems == []


def test_the_bins_are_those_of_the_posterior() -> None:
    rng = np.random.default_rng(3)
    latencies = [0.0, 1e-9, 1e-3, 1.0, 1e6, *np.exp(rng.uniform(-10.0, 14.0, 500)).tolist()]
    assert [find_bin(seconds) for seconds in latencies] == [posterior_bin(seconds) for seconds in latencies]
    assert find_bin(1e300) == BINS - 1


@pytest.mark.parametrize("measure", [name for name in MEASURES if not is_metric(name)])
def test_no_metric_of_the_owner_has_the_name_of_another_measure(measure: str) -> None:
    with pytest.raises(ValueError, match="has a meaning already"):
        check_own_metrics([measure], [])
