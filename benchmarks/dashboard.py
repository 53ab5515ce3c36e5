"""Pages of figures beside the query that would count the same figures: time to first byte, in ms.

The log has a day of decisions with feedback, written as a service writes them, and copies of that day: the
raw rows of ``--days`` days, a million decisions together, and the roll-ups of two years. One worker serves
it. Each page is asked over one kept-alive connection, in rounds; between them ``SELECT 1`` and the raw GROUP
BY are timed in this process. That query gives counts, sums and sums of squares by day, arm, reason and
metric, checked against the roll-ups; it is let off quantiles, delays and advice. Prints the medians for
SQLite and for PostgreSQL, and exits with 1 when a page of the same days is not 50 times faster than the
query.

Run as a module: ``python -m benchmarks.dashboard``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
from sqlalchemy import Connection, Engine, text

from bandit_router.settings import CONFIG_VARIABLE, load_settings
from bandit_router.store.rollups.measures import DECISIONS, is_metric
from bandit_router.store.rollups.reader import RollupFilter
from bandit_router.store.store import Store
from bandit_router.store.timeouts import Timeouts
from benchmarks.dashboard_log import HISTORY_DAYS, write_log
from benchmarks.fold import databases
from benchmarks.http import pin, serving, two_arm_settings

BAR = 50.0
_DAY_S = 86_400
_ASKED = 7  # times a page is asked in a round
_RAW = "raw GROUP BY"

_DAY = "CAST(floor((d.decided_at - :since) / 86400) AS INTEGER)"
_INSIDE = "d.router = :router AND d.decided_at >= :since AND d.decided_at < :until"
RAW = (
    f"""
    SELECT {_DAY}, d.arm, d.reason, count(*), sum(d.expected_quality), sum(d.cost_weight),
      sum(d.greedy_utility - d.expected_quality + d.cost_weight * d.expected_cost_usd)
    FROM decisions d WHERE {_INSIDE} GROUP BY 1, 2, 3
    """,
    f"""
    SELECT {_DAY}, d.arm, d.reason, f.metric, count(*), sum(f.value), sum(f.value * f.value)
    FROM decisions d JOIN feedback f ON f.router = d.router AND f.decision_id = d.id
    WHERE {_INSIDE} AND f.value IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM feedback g WHERE g.router = f.router AND g.decision_id = f.decision_id
      AND g.metric = f.metric AND g.revision > f.revision)
    GROUP BY 1, 2, 3, 4
    """,
)
"""Counts of decisions, and values in force, by day, arm and reason."""


class Window(NamedTuple):
    """``days`` whole days, the last of them yesterday; times are Unix, seconds."""

    since: int
    until: int
    days: int


def newest_days(days: int) -> Window:
    """The ``days`` before today, UTC."""
    until = int(time.time()) // _DAY_S * _DAY_S
    return Window(until - days * _DAY_S, until, days)


def list_pages(window: Window) -> dict[str, str]:
    """The pages that show these days, by name."""
    first, last, end = (
        datetime.fromtimestamp(at, UTC).date() for at in (window.since, window.until - 1, window.until)
    )
    return {
        "/dashboard": f"/dashboard?since={first}&until={last}&step=day",
        "/v1/stats": f"/v1/stats?since={first}&until={end}&step=day&by=time,arm,reason",
    }


OTHERS = {
    "/dashboard, a year": "/dashboard?range=365d",
    "/v1/stats, two years": f"/v1/stats?since={HISTORY_DAYS}d&by=time,arm,reason",
    "/metrics, all time": "/metrics",
}
"""Pages that show other days."""


def count_raw(connection: Connection, router: str, window: Window) -> dict[str, tuple[int, float]]:
    """Number and sum of values by measure, from the raw log."""
    values = {"router": router, "since": window.since, "until": window.until}
    decided, rated = (connection.execute(text(query), values).all() for query in RAW)
    counted = {DECISIONS: (sum(row[3] for row in decided), 0.0)}
    for row in rated:
        n, total = counted.get(row[3], (0, 0.0))
        counted[row[3]] = n + row[4], total + row[5]
    return counted


def check_sums(store: Store, window: Window, raw: Mapping[str, tuple[int, float]]) -> None:
    """AssertionError unless the roll-ups of these days have the same sums."""
    rows = store.rollups(RollupFilter(since=window.since // 3600, until=window.until // 3600))
    for name, (n, total) in raw.items():
        of_name = [row for row in rows if row.measure == name]
        assert sum(row.count for row in of_name) == n, name
        assert abs(sum(row.total for row in of_name) - total) <= 1e-6 * max(1.0, total), name
    assert raw.keys() == {row.measure for row in rows if is_metric(row.measure)} | {DECISIONS}


def time_ms(do: Callable[[], object]) -> float:
    """How long it takes, ms."""
    began = time.perf_counter()
    do()
    return 1e3 * (time.perf_counter() - began)


def measure(base_url: str, engine: Engine, router: str, window: Window, rounds: int) -> dict[str, float]:
    """The median ms of each page, of ``SELECT 1`` and of the raw query; the first round warms up."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    with httpx.Client(base_url=base_url, timeout=60.0) as client, engine.connect() as connection:

        def read_first_byte(path: str) -> None:
            with client.stream("GET", path, headers={"accept": "text/html,*/*"}) as answer:
                answer.raise_for_status()

        jobs: dict[str, Callable[[], object]] = {
            "SELECT 1": lambda: connection.execute(text("SELECT 1")).all(),
            **{name: partial(read_first_byte, path) for name, path in (list_pages(window) | OTHERS).items()},
            _RAW: lambda: count_raw(connection, router, window),
        }
        for turn in range(rounds + 1):
            for name, do in jobs.items():
                for _ in range(1 if name == _RAW else _ASKED):
                    ms = time_ms(do)
                    if turn > 0:
                        times[name].append(ms)
            connection.rollback()
    return {name: statistics.median(each) for name, each in times.items()}


@contextmanager
def serve_log(url: str, decisions: int, window: Window) -> Iterator[tuple[str, Store]]:
    """The address of a worker that serves the log, and its store."""
    *others, last = range(os.cpu_count() or 1)
    pin(0, {last})
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "router.toml"
        config.write_text(write_settings(url))
        settings = load_settings(config)
        began = time.monotonic()
        write_log(settings, decisions, window.until, window.days)
        print(f"the log took {time.monotonic() - began:.0f} s to write", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "bandit_router.cli", "serve"]
        store = Store.open(url, settings.router.name, create=False, timeouts=Timeouts.of(settings.store))
        with (
            closing(store),
            serving(command, {CONFIG_VARIABLE: str(config)}, set(others or [last])) as server,
        ):
            yield f"http://127.0.0.1:{server.port}", store


def write_settings(url: str) -> str:
    """Settings by which nothing else is done meanwhile, and a long statement may take its time."""
    usual = two_arm_settings().replace('"sqlite:///router.db"', f'"{url}"\nstatement_timeout_s = 3600.0')
    return f"{usual}\n[learner]\ninterval_s = 3600.0\n\n[insight]\nsavings_interval_s = 0\n"


def report(kind: str, medians: Mapping[str, float], pages: Mapping[str, str]) -> bool:
    """Print the medians; whether the bar was missed."""
    raw, missed = medians[_RAW], False
    for name, ms in medians.items():
        ratio = f"{raw / ms:8.0f} times faster than the query" if name in pages else ""
        missed |= name in pages and raw / ms < BAR
        print(f"{kind:10} {name:22} {ms:10.2f} ms {ratio}".rstrip(), flush=True)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=14, help="of raw rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only one of the two")
    options = parser.parse_args()
    window, missed = newest_days(options.days), False
    with databases() as urls:
        for kind, url in urls.items():
            if options.database in (None, kind):
                with serve_log(url, options.decisions, window) as (base_url, store):
                    with store._engine.connect() as connection:
                        check_sums(store, window, count_raw(connection, store.router, window))
                    medians = measure(base_url, store._engine, store.router, window, options.rounds)
                missed |= report(kind, medians, list_pages(window))
    print(f"dashboard: {'MISSED' if missed else 'ok'} (bar {BAR:g})")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
